"""Proofs about the components of a graph: stream rules, a fork that serves everyone once, queues that cannot overflow.

Every proof has its counterpart that must be refuted, as in ``test_formal.py``.
"""

import numpy as np
import pytest
from amaranth.hdl import Assert, Const, Fragment, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

import hwgen.rtl.queue
import hwgen.rtl.remap
from hwgen.interval import Interval
from hwgen.rtl.fork import Fork
from hwgen.rtl.queue import Queue
from hwgen.rtl.remap import RemapEngine
from hwgen.sim.formal import Refuted, StreamRules, driven, prove_always, prove_bounded

from ..networks import add, concat, crop, table, tensor, upsample
from .mutants import mutate
from .streams import streaming_engine
from .test_formal import Deaf
from .test_structure import assert_no_multiplier

pytestmark = pytest.mark.synth

CRUMB = Interval(0, 3)
NIBBLE = Interval(-8, 7)


def tiny_add():
    sources = [tensor((1, 2, 2), CRUMB, "a"), tensor((1, 2, 2), CRUMB, "b")]
    return streaming_engine(add(np.random.default_rng(0), sources, output=CRUMB), sources, 1)


def tiny_concat():
    sources = [tensor((1, 1, 2), CRUMB, "a"), tensor((1, 1, 1), CRUMB, "b", scale=2.0)]
    return streaming_engine(concat(np.random.default_rng(0), sources, output=NIBBLE), sources, 1)


def tiny_table():
    source = tensor((1, 1, 2), CRUMB)
    return streaming_engine(table(np.random.default_rng(0), source, per_channel=True, output=CRUMB), [source], 1)


def tiny_remap():
    source = tensor((2, 1, 1), CRUMB)
    return streaming_engine(upsample(source, 2), [source], 1)


ENGINES = {"add": tiny_add, "concat": tiny_concat, "table": tiny_table, "remap": tiny_remap}
STREAMS = {"fork": lambda: Fork(CRUMB, 1, 2), "fork to three": lambda: Fork(CRUMB, 1, 3)} | ENGINES


@pytest.mark.parametrize("name", STREAMS)
def test_streams_hold_what_is_not_taken(name, tmp_path):
    prove_always(StreamRules(STREAMS[name]()), tmp_path)


@pytest.mark.parametrize("name", STREAMS)
def test_a_deaf_stream_is_refuted(name, tmp_path):
    with pytest.raises(Refuted):
        prove_bounded(StreamRules(Deaf(STREAMS[name]())), tmp_path, steps=30)


@pytest.mark.parametrize("name", STREAMS)
def test_no_multiplier(name, tmp_path):
    assert_no_multiplier(STREAMS[name](), tmp_path)


class ForkProof(wiring.Component):
    """When the words that come in count up, those of every consumer do: none is lost, doubled or out of order."""

    COUNT = 3

    def __init__(self, n):
        self._dut = Fork(Interval.of_bits(self.COUNT, signed=False), 1, n)
        super().__init__({"valid": In(1), "ready": In(n)})

    def elaborate(self, platform):
        m = Module()
        dut = self._dut
        m.submodules.dut = inside = Fragment.get(dut, platform)
        state = driven(inside)
        arrived = Signal(self.COUNT)
        m.d.comb += [dut.i.valid.eq(self.valid), dut.i.payload[0].eq(arrived)]
        m.d.sync += arrived.eq(arrived + (dut.i.valid & dut.i.ready))
        spare_valid = state["spare_valid"]
        last = (arrived - spare_valid - 1)[: self.COUNT]  # that was offered
        pending = Const(0)
        for number, o in enumerate(dut.outputs):
            taken = Signal(self.COUNT, name=f"taken{number}")
            m.d.comb += o.ready.eq(self.ready[number])
            m.d.sync += taken.eq(taken + (o.valid & o.ready))
            m.d.comb += Assert(taken == (arrived - spare_valid - o.valid)[: self.COUNT])
            with m.If(o.valid):
                m.d.comb += Assert(o.payload[0] == taken)
            pending = pending | o.valid
        # The invariant: the slice holds the last words that arrived, the spare one behind another.
        m.d.comb += [
            Assert(~pending | (state["word"] == last)),
            Assert(~spare_valid | (pending & (state["spare"] == (arrived - 1)[: self.COUNT]))),
        ]
        return m


@pytest.mark.parametrize("n", [2, 3])
def test_the_fork_serves_everyone_once(n, tmp_path):
    prove_always(ForkProof(n), tmp_path)


def test_a_forgetful_fork_is_refuted(tmp_path, monkeypatch):
    """One that offers a word again to who has it."""
    mutate(monkeypatch, Fork, "elaborate", "valid & ~o.ready)", "valid)")
    with pytest.raises(Refuted):
        prove_bounded(ForkProof(2), tmp_path, steps=12)


class EngineProof(wiring.Component):
    """An engine never pushes into a full queue, whatever its sources and its sink do: every claim is on its way."""

    def __init__(self, engine):
        self._engine = engine
        self._inputs = getattr(engine, "inputs", None) or [engine.i]
        super().__init__({"valid": In(len(self._inputs)), "ready": In(1)})

    def elaborate(self, platform):
        m = Module()
        engine = self._engine
        m.submodules.dut = inside = Fragment.get(engine, platform)
        m.d.comb += engine.o.ready.eq(self.ready)
        m.d.comb += [i.valid.eq(self.valid[number]) for number, i in enumerate(self._inputs)]
        state, wires = driven(inside), driven(inside, "comb")
        owed = sum((register for name, register in state.items() if name.startswith("step_d")), Const(0))
        level, out = state["queue.fifo.inner_level"], state["queue.fifo.r_rdy"]
        depth = state["queue.free"].init
        m.d.comb += [
            Assert(~wires["push"] | wires["queue.fifo.w_rdy"]),
            # The invariant of QueueProof, with what is on its way counted in the pipeline itself.
            Assert(state["queue.free"] + owed + level + out == depth),
            Assert((level != depth - 1) | out),
        ]
        return m


@pytest.mark.parametrize("name", ENGINES)
def test_engines_push_what_they_claimed(name, tmp_path):
    prove_always(EngineProof(ENGINES[name]()), tmp_path)


@pytest.fixture
def short_queues(monkeypatch):
    """Queues of four words fill soon; their depth is a matter of speed only."""
    monkeypatch.setattr(hwgen.rtl.queue, "queue_depth", lambda words, period, latency: 4)


@pytest.mark.usefixtures("short_queues")
@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_that_ignores_room_is_refuted(name, tmp_path, monkeypatch):
    mutate(monkeypatch, Queue, "elaborate", "self.room.eq(free >= self._words)", "self.room.eq(1)")
    with pytest.raises(Refuted):
        prove_bounded(EngineProof(ENGINES[name]()), tmp_path, steps=26)


RING_CYCLES = 22
"""From power-up: long enough to overwrite a row, as the refuted mutant shows."""


class RingProof(wiring.Component):
    """A row is overwritten only when every word of it has been read, and read only when it is complete.

    Every word carries the number of its row, modulo more rows than the ring has, going in and so coming out.
    """

    def __init__(self, rows, columns):
        self._source = tensor((rows, columns, 1), Interval.of_bits(2, signed=False))
        layer = crop(self._source, range(rows), range(columns - 1, -1, -1))
        self._dut = RemapEngine(layer, self._source, 1)
        super().__init__({"valid": In(1), "ready": In(1)})

    def elaborate(self, platform):
        m = Module()
        dut = self._dut
        width = self._source.shape[1]
        m.submodules.dut = dut
        m.d.comb += [dut.i.valid.eq(self.valid), dut.o.ready.eq(self.ready)]
        for port, number in ((dut.i, Signal(2, name="sent")), (dut.o, Signal(2, name="got"))):
            column = Signal(range(width), name=f"{number.name}_column")
            with m.If(port.valid & port.ready):
                m.d.sync += column.eq(Mux(column == width - 1, 0, column + 1))
                with m.If(column == width - 1):
                    m.d.sync += number.eq(number + 1)
            if port is dut.i:
                m.d.comb += port.payload[0].eq(number)
            else:
                with m.If(port.valid):
                    m.d.comb += Assert(port.payload[0] == number)
        return m


@pytest.mark.usefixtures("short_queues")
def test_the_ring_keeps_rows_until_they_are_read(tmp_path):
    prove_bounded(RingProof(1, 3), tmp_path, steps=RING_CYCLES)


@pytest.mark.usefixtures("short_queues")
@pytest.mark.parametrize(
    "fault", [("_write", "(vacant != 0)", "1"), ("_read", "(stored != 0)", "1")], ids=["overwritten", "read too early"]
)
def test_a_ring_without_its_guards_is_refuted(fault, tmp_path, monkeypatch):
    mutate(monkeypatch, RemapEngine, *fault)
    with pytest.raises(Refuted):
        prove_bounded(RingProof(1, 3), tmp_path, steps=RING_CYCLES)
