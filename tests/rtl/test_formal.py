"""Proofs about all inputs and all states: arithmetic, stream rules, and the queue that cannot overflow.

Every proof has its counterpart that must be refuted, so a checker that checks nothing would be noticed.
"""

import numpy as np
import pytest
from amaranth.hdl import Array, Assert, Assume, Const, Fragment, Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In

import hwgen.rtl.results
from hwgen.codes import CODES
from hwgen.floatnet import PoolKind
from hwgen.interval import Interval
from hwgen.plan import Folding
from hwgen.rtl.conv import ConvEngine
from hwgen.rtl.frame import Egress, Ingress
from hwgen.rtl.odometer import Odometer
from hwgen.rtl.pool import PoolEngine
from hwgen.rtl.product import accumulate, first_product, multiple, operand
from hwgen.rtl.queue import Queue
from hwgen.rtl.relay import Relay
from hwgen.rtl.requant import Channel, Requantizer
from hwgen.rtl.stream import shape_of
from hwgen.rtl.width import Gearbox, Narrow, Widen
from hwgen.sim.formal import Refuted, StreamRules, driven, prove, prove_always, prove_bounded
from hwgen.sizing.product import product_interval, recipe

from ..networks import conv, pool, tensor
from .mutants import mutate

pytestmark = pytest.mark.synth

CRUMB = Interval(0, 3)


class ProductProof(wiring.Component):
    """A product is ``level * x``, less one where the level is negative, first in its chain and added to another.

    Of the pipeline's function alone, registers being wires; ``test_product.py`` sees that they are in step.
    """

    def __init__(self, book, taps, *, error=0):
        self._book, self._taps, self._error = book, taps, error
        self._product = product_interval(book, taps) | Interval(-1, 0)
        super().__init__({"x": In(shape_of(taps)), "word": In(book.bits), "total": In(shape_of(self._product))})

    def elaborate(self, platform):
        m = Module()
        book, how = self._book, recipe(self._book)
        multiples = {}
        for base in how.bases:
            multiples[base] = Signal(shape_of(self._taps * base), name=f"x{base}")
            m.d.comb += [multiples[base].eq(multiple(self.x, base)), Assert(multiples[base] == base * self.x)]
        value = operand(m, book, self.word, multiples, self._taps, "lane")
        first = first_product(m, book, value, self._taps, "first_product")
        added = accumulate(m, platform, book, self.total, value, shape_of(self._product * 2), "lane_total")
        m.d.comb += Assume((self.total >= self._product.lo) & (self.total <= self._product.hi))
        legal = {how.stored[code]: code for code in range(len(book.levels)) if book.is_canonical(code)}
        for word in range(1 << book.bits):
            with m.If(self.word == word):
                if word in legal:
                    level = book.levels[legal[word]]
                    m.d.comb += Assert(first == level * self.x - int(level < 0) + self._error * int(legal[word] == 1))
                    m.d.comb += Assert(added == self.total + first)
                else:
                    m.d.comb += Assume(0)
        return transparent(Fragment.get(m, platform))


def transparent(fragment: Fragment) -> Fragment:
    """A pipeline without feedback whose registers are wires."""
    fragment.add_statements("comb", fragment.statements.pop("sync", []))
    return fragment


SMALL = {name: book for name, book in CODES.items() if book.bits <= 5}
"""8 x 8 bits take a solver minutes; ``test_product.py`` tries those one by one."""


@pytest.mark.parametrize("taps", [Interval(0, 255), Interval(-128, 127)], ids=["unsigned", "signed"])
@pytest.mark.parametrize("book", SMALL.values(), ids=SMALL)
def test_shift_and_add_is_multiplication(book, taps, tmp_path):
    prove(ProductProof(book, taps), tmp_path)


def test_a_wrong_product_is_refuted(tmp_path):
    with pytest.raises(Refuted):
        prove(ProductProof(CODES["e2m1"], Interval(0, 255), error=1), tmp_path)


class RequantizerProof(wiring.Component):
    """The pipeline equals ``clip((acc * mul + add) >> shift)``, written with a multiplication, five cycles later."""

    def __init__(self, channels, shift, lo, hi, *, error=0):
        self._channels, self._shift, self._clip, self._error = channels, shift, (lo, hi), error
        self._dut = Requantizer(channels, shift, lo, hi)
        super().__init__({"valid": In(1), "acc": In(self._dut.acc.shape())})

    def elaborate(self, platform):
        m = Module()
        dut = self._dut
        m.submodules.dut = inside = Fragment.get(dut, platform)
        m.d.comb += [dut.valid.eq(self.valid), dut.acc.eq(self.acc)]
        count = len(self._channels)
        index = Signal(range(max(count, 2)))
        if count > 1:
            with m.If(self.valid):
                m.d.sync += index.eq(Mux(index == count - 1, 0, index + 1))
            # Induction starts anywhere, so the channel counters must be said to agree.
            m.d.comb += [Assert(index == driven(inside)["index"]), Assert(index < count)]
        # Every value lies in its own channel's interval: what the caller promises, and what the widths rest on.
        for number, channel in enumerate(self._channels):
            with m.If(index == number):
                m.d.comb += Assume((self.acc[0] >= channel.acc.lo) & (self.acc[0] <= channel.acc.hi))
        mul = Array([Const(channel.mul, 8) for channel in self._channels])[index]
        add = Array([Const(channel.add, signed(10)) for channel in self._channels])[index]
        exact = Signal(signed(20))
        lo, hi = self._clip
        m.d.comb += exact.eq((self.acc[0] * mul + add + self._error) >> self._shift)
        stages = [(self.valid, Mux(exact < lo, lo, Mux(exact > hi, hi, exact)))]
        for stage in range(Requantizer.LATENCY):
            valid, value = Signal(name=f"valid{stage}"), Signal(signed(20), name=f"value{stage}")
            m.d.sync += [valid.eq(stages[-1][0]), value.eq(stages[-1][1])]
            stages.append((valid, value))
        m.d.comb += Assert(dut.o_valid == stages[-1][0])
        with m.If(dut.o_valid):
            m.d.comb += Assert(dut.o[0] == stages[-1][1])
        return m


NARROW = Interval(-9, 14)
CHANNELS = {
    "one": [Channel(3, 5, NARROW)],
    "power of two": [Channel(16, -8, NARROW)],
    "below eight": [Channel(1, 2, NARROW), Channel(7, 2, NARROW)],
    "several": [Channel(9, 40, NARROW), Channel(14, -90, Interval(0, 15)), Channel(24, 4, Interval(-3, -1))],
}


@pytest.mark.parametrize("clip", [(0, 15), (-8, 7)], ids=["unsigned", "signed"])
@pytest.mark.parametrize("name", CHANNELS)
def test_requantizer_is_multiply_add_shift_clip(name, clip, tmp_path):
    prove_always(RequantizerProof(CHANNELS[name], 3, *clip), tmp_path)


@pytest.mark.parametrize("name", CHANNELS)
def test_a_wrong_bias_is_refuted(name, tmp_path):
    with pytest.raises(Refuted):
        prove_bounded(RequantizerProof(CHANNELS[name], 3, 0, 15, error=8), tmp_path, steps=12)


class OdometerProof(wiring.Component):
    """The registered flags say what comparisons of the counters would say."""

    def __init__(self, sizes, *, error=0):
        self._sizes, self._error = sizes, error
        super().__init__({"step": In(1)})

    def elaborate(self, platform):
        m = Module()
        dut = Odometer(self._sizes)
        m.submodules.dut = inside = Fragment.get(dut, platform)
        state = driven(inside)
        m.d.comb += dut.step.eq(self.step)
        ended = Const(1)
        for level, size in enumerate(self._sizes):
            if size > 1:
                # The invariant: every loop's own flag, also while an inner loop hides it.
                m.d.comb += Assert(state[f"last{level}"] == (dut.index[level] == size - 1))
            ended = ended & (dut.index[level] == size - 1 - self._error)
            m.d.comb += [Assert(dut.carry[level] == ended), Assert(dut.index[level] < size)]
        return m


@pytest.mark.parametrize("sizes", [[2], [3, 4], [5, 1, 2], [2, 3, 2, 7]], ids=str)
def test_carries_are_comparisons(sizes, tmp_path):
    prove_always(OdometerProof(sizes), tmp_path)


def test_a_carry_one_too_early_is_refuted(tmp_path):
    with pytest.raises(Refuted):
        prove_bounded(OdometerProof([3, 4], error=1), tmp_path, steps=8)


class QueueProof(wiring.Component):
    """While the feeder claims only with room and pushes only what it claimed, the FIFO takes every word."""

    def __init__(self, words, depth, *, pushes_unclaimed=False):
        self._dut = Queue(unsigned(1), words=words, depth=depth)
        self._words, self._depth, self._unclaimed = words, depth, pushes_unclaimed
        super().__init__({"claim": In(1), "push": In(1), "data": In(1), "ready": In(1)})

    def elaborate(self, platform):
        m = Module()
        dut, depth = self._dut, self._depth
        m.submodules.dut = inside = Fragment.get(dut, platform)
        state = driven(inside)
        m.d.comb += [
            dut.claim.eq(self.claim),
            dut.push.eq(self.push),
            dut.data.eq(self.data),
            dut.o.ready.eq(self.ready),
        ]
        owed = Signal(range(2 * depth + 1))
        m.d.sync += owed.eq(owed + Mux(self.claim, self._words, 0) - self.push)
        m.d.comb += Assume(~self.claim | dut.room)
        if not self._unclaimed:
            m.d.comb += Assume(~self.push | (owed != 0) | self.claim)
        level, out = state["fifo.inner_level"], state["fifo.r_rdy"]
        m.d.comb += [
            Assert(~self.push | (level != depth - 1)),  # what the FIFO calls full: the word would be lost
            # The invariant: every place is free, promised or taken; and the store is full only behind a full output.
            Assert(state["free"] + owed + level + out == depth),
            Assert((level != depth - 1) | out),
        ]
        return m


@pytest.mark.parametrize(("words", "depth"), [(1, 4), (2, 4), (4, 4), (3, 8), (1, 3)])
def test_the_queue_cannot_overflow(words, depth, tmp_path):
    prove_always(QueueProof(words, depth), tmp_path)


def test_unclaimed_words_are_refuted(tmp_path):
    with pytest.raises(Refuted):
        prove_bounded(QueueProof(1, 4, pushes_unclaimed=True), tmp_path, steps=12)


AXI_IN = ("tvalid", "tready", ("tdata", "tlast"))
AXI_OUT = ("tvalid", "tready", ("tdata", "tlast", "tuser"))


def tiny_conv(*, kernel, shape=(2, 2, 1), folding=(2, 1, 1), **options):
    source = tensor(shape, CRUMB)
    layer = conv(np.random.default_rng(0), source, 2, kernel, output=CRUMB, book="ternary", **options)
    return ConvEngine(layer, source, Folding(*folding))


def tiny_pool(kind):
    source = tensor((2, 2, 1), CRUMB)
    layer = pool(np.random.default_rng(0), source, kind, (1, 2), (1, 1))
    return PoolEngine(layer, source, Folding(1, 1, 1))


STREAMS = {
    "widen": (lambda: Widen(CRUMB, 1, 3), {}),
    "narrow": (lambda: Narrow(CRUMB, 1, 3), {}),
    "gearbox": (lambda: Gearbox(CRUMB, 4, 6), {}),
    "relay": (lambda: Relay(unsigned(2)), {}),
    "queue": (lambda: Queue(unsigned(2), words=2, depth=4), {}),
    "windowed convolution": (lambda: tiny_conv(kernel=(1, 2)), {}),
    "direct convolution": (lambda: tiny_conv(kernel=(1, 1)), {}),
    "dense": (lambda: tiny_conv(kernel=(2, 2)), {}),
    "depthwise": (lambda: tiny_conv(kernel=(1, 2), shape=(2, 2, 2), groups=2, folding=(2, 2, 1)), {}),
    "depthwise of the map": (lambda: tiny_conv(kernel=(2, 1), shape=(2, 1, 2), groups=2, folding=(2, 2, 1)), {}),
    "maximum": (lambda: tiny_pool(PoolKind.MAX), {}),
    "average": (lambda: tiny_pool(PoolKind.AVERAGE), {}),
    "ingress": (lambda: Ingress(CRUMB, 2, 3), {"inputs": [AXI_IN]}),
    "egress": (lambda: Egress(Interval(-2, 1), 2, 3), {"outputs": [AXI_OUT]}),
}


class Deaf(wiring.Component):
    """``dut`` that believes its sink is always ready."""

    def __init__(self, dut):
        self._dut = dut
        super().__init__(dut.signature)

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self._dut
        for name, member in self.signature.members.items():
            if member.is_signature and member.flow == wiring.Out:
                o = getattr(self, name)
                inner = getattr(dut, name)
                m.d.comb += [o.valid.eq(inner.valid), o.payload.eq(inner.payload), inner.ready.eq(1)]
            elif member.is_signature:
                wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(dut, name))
            elif name == "tready" and member.flow == In:
                m.d.comb += dut.tready.eq(1)
            elif member.flow == In:
                m.d.comb += getattr(dut, name).eq(getattr(self, name))
            else:
                m.d.comb += getattr(self, name).eq(getattr(dut, name))
        return m


@pytest.mark.parametrize("name", STREAMS)
def test_streams_hold_what_is_not_taken(name, tmp_path):
    make, ports = STREAMS[name]
    prove_always(StreamRules(make(), **ports), tmp_path)


@pytest.mark.parametrize("name", STREAMS)
def test_a_deaf_stream_is_refuted(name, tmp_path):
    """A real counterexample from power-up, not merely an induction that fails."""
    make, ports = STREAMS[name]
    with pytest.raises(Refuted):
        prove_bounded(StreamRules(Deaf(make()), **ports), tmp_path, steps=30)


class EngineProof(wiring.Component):
    """An engine pushes only what it claimed, and so never into a full queue, whatever source and sink do.

    Without an output port: what only makes data falls away, and control alone is left to the solver.
    """

    def __init__(self, engine):
        self._engine = engine
        super().__init__({"valid": In(1), "ready": In(1)})

    def elaborate(self, platform):
        m = Module()
        engine = self._engine
        m.submodules.dut = inside = Fragment.get(engine, platform)
        m.d.comb += [engine.i.valid.eq(self.valid), engine.o.ready.eq(self.ready)]
        wires = driven(inside, "comb")
        claim, push = wires["results.claim"], wires["results.push"]
        words = engine.o.payload.shape().length
        per_claim = engine_rows(engine) // words
        owed = Signal(8)
        m.d.sync += owed.eq(owed + Mux(claim, per_claim, 0) - push)
        m.d.comb += [Assert(~push | (owed != 0)), Assert(~push | wires["results.queue.fifo.w_rdy"])]
        return m


def engine_rows(engine) -> int:
    """Results of one reduction: one per PE, or per lane of a pool."""
    return 2 if isinstance(engine, ConvEngine) else 1


ENGINES = ["windowed convolution", "direct convolution", "dense", "depthwise", "depthwise of the map", "maximum"]
CYCLES = 26
"""From power-up: long enough to fill pipeline and queue, as the refuted mutant shows."""


@pytest.fixture
def short_queues(monkeypatch):
    """Queues of four words fill soon; their depth is a matter of speed only."""
    monkeypatch.setattr(hwgen.rtl.results, "queue_depth", lambda words, period, latency: 4)


@pytest.mark.usefixtures("short_queues")
@pytest.mark.parametrize("name", ENGINES)
def test_engines_push_what_they_claimed(name, tmp_path):
    prove_bounded(EngineProof(STREAMS[name][0]()), tmp_path, steps=CYCLES)


@pytest.mark.usefixtures("short_queues")
@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_that_ignores_room_is_refuted(name, tmp_path, monkeypatch):
    mutate(monkeypatch, Queue, "elaborate", "self.room.eq(free >= self._words)", "self.room.eq(1)")
    with pytest.raises(Refuted):
        prove_bounded(EngineProof(STREAMS[name][0]()), tmp_path, steps=CYCLES)
