"""The core: one engine per layer between AXI4-Stream ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod
from operator import and_, or_

from amaranth.hdl import *
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out

from ..network import Network
from ..sizing.folding import Folding
from ..sizing.graph import Edge, consumers, input_lanes, result_lanes
from ..sizing.pipeline import FORK_WORDS
from .engines import engine_of, frames_held, inputs_of
from .fifo import BranchFifo
from .fork import Fork
from .frame import Egress, Ingress, byte_lanes, result_shape
from .stream import join
from .width import Gearbox

__all__ = ["Core", "InputPort", "OutputPort", "engine_name"]

MOST_INPUT_BITS = 8
"""A value is one byte of ``s_axis_tdata``."""


def engine_name(index: int, name: str) -> str:
    """The instance name of a layer's engine in the Verilog: a plain identifier, unique within the core."""
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in name).strip("_")
    return f"layer{index}_{plain}" if plain else f"layer{index}"


@dataclass(frozen=True)
class InputPort:
    """An AXI4-Stream slave: its ports begin with ``prefix``; a frame is ``beats`` beats of ``lanes`` bytes."""

    prefix: str
    tensor: str
    lanes: int
    beats: int


@dataclass(frozen=True)
class OutputPort:
    """An AXI4-Stream master: its ports begin with ``prefix``; a frame is ``beats`` beats of ``lanes`` int32."""

    prefix: str
    tensor: str
    lanes: int
    beats: int

    @property
    def words(self) -> int:
        """int32 of a frame."""
        return self.lanes * self.beats


class Core(wiring.Component):
    """A network as a streaming pipeline; raw pixels in, int32 results out.

    A frame goes in channel-last, ``lanes`` bytes per beat (``tlast`` with its last beat), and comes out channel-last,
    ``lanes`` int32 per beat, the lowest channel in the low bits. ``tuser`` with ``tlast`` says that the frame was too
    short or too long, on whatever input; the next frame is not affected. Of several inputs each has ports of its own,
    and so has each output; frame ``n`` of every output is made from frame ``n`` of every input. A source may run ahead
    of another, and an output that is not taken holds up the others, by no more than what the layers between them store.

    A tensor with several readers is forked; between it and each reader may lie a FIFO, and a gearbox where the lanes
    differ.

    Throughput: one frame per ``max(cycles of each engine)`` cycles, with FIFOs as ``plan.schedule`` says.

    Parameters
    ----------
    network : Network
    foldings : one Folding per layer
    fifos : words of FIFO on an edge, where it needs one
    lanes : int32 per beat of every output, each a divisor of its channels; one unless given
    identity : int
        64 bits that name the network (``store.identity``), readable at ``identity``.

    Members
    -------
    s_axis_tdata, s_axis_tvalid, s_axis_tready, s_axis_tlast : AXI4-Stream slave; of further inputs ``s_axis1_*``...
    m_axis_tdata, m_axis_tvalid, m_axis_tready, m_axis_tlast, m_axis_tuser : AXI4-Stream master; ``m_axis1_*``...
    identity : Out(64)
    frames, errors, stalled_in, stalled_out : Out(32)
        Frames sent (on the first output); frames that were short or long; cycles in which a source waited for us;
        cycles in which we waited for a sink. All wrap.

    Raises ``ValueError`` for inputs of more than 8 bits, and for lanes that do not divide an output's channels.
    """

    def __init__(
        self,
        network: Network,
        foldings: Sequence[Folding],
        fifos: Mapping[Edge, int] | None = None,
        *,
        lanes: Sequence[int] | None = None,
        identity: int = 0,
    ):
        if len(foldings) != len(network.layers):
            raise ValueError(f"foldings must be one for each of {len(network.layers)} layers, not {len(foldings)}")
        for tensor in network.inputs:
            if tensor.interval.bits > MOST_INPUT_BITS:
                raise ValueError(
                    f"{tensor.name}: an input must have at most {MOST_INPUT_BITS} bits, not {tensor.interval.bits}"
                )
        self._network = network
        self._foldings = list(foldings)
        self._fifos = dict(fifos or {})
        self._identity = identity
        self.inputs = tuple(
            InputPort(_prefix("s_axis", index), tensor.name, count, prod(tensor.shape) // count)
            for index, (tensor, count) in enumerate(
                zip(network.inputs, input_lanes(network, [folding.simd for folding in foldings]), strict=True)
            )
        )
        self.outputs = tuple(
            OutputPort(_prefix("m_axis", index), name, count, prod(network.tensor(name).shape) // count)
            for index, (name, count) in enumerate(zip(network.outputs, result_lanes(network, lanes), strict=True))
        )
        self.engines = [engine_name(index, layer.name) for index, layer in enumerate(network.layers)]
        members: dict[str, wiring.Member] = {}
        for i in self.inputs:
            members |= {
                f"{i.prefix}tdata": In(byte_lanes(i.lanes)),
                f"{i.prefix}tvalid": In(1),
                f"{i.prefix}tready": Out(1),
                f"{i.prefix}tlast": In(1),
            }
        for o in self.outputs:
            members |= {
                f"{o.prefix}tdata": Out(result_shape(o.lanes)),
                f"{o.prefix}tvalid": Out(1),
                f"{o.prefix}tready": In(1),
                f"{o.prefix}tlast": Out(1),
                f"{o.prefix}tuser": Out(1),
            }
        counters = {name: Out(32) for name in ("frames", "errors", "stalled_in", "stalled_out")}
        super().__init__(members | {"identity": Out(64)} | counters)

    def _port(self, port: InputPort | OutputPort, name: str):
        return getattr(self, port.prefix + name)

    def elaborate(self, platform):
        m = Module()
        network = self._network
        readers = consumers(network)
        self._frames_held = 0
        waiting: dict[Edge, tuple] = {}  # streams on their way to a reader, with their lanes

        ingresses = []
        for index, (port, tensor) in enumerate(zip(self.inputs, network.inputs, strict=True)):
            ingress = Ingress(tensor.interval, port.lanes, port.beats)
            m.submodules[_numbered("ingress", index)] = ingress
            ingresses.append(ingress)
            m.d.comb += [
                ingress.tdata.eq(self._port(port, "tdata")),
                ingress.tvalid.eq(self._port(port, "tvalid")),
                ingress.tlast.eq(self._port(port, "tlast")),
                self._port(port, "tready").eq(ingress.tready),
            ]
            self._fork(
                m, _numbered("ingress_fork", index), tensor, ingress.o, port.lanes, readers[tensor.name], waiting
            )

        for name, layer, folding in zip(self.engines, network.layers, self._foldings, strict=True):
            sources = [network.tensor(source) for source in layer.sources]
            engine = engine_of(layer, sources, folding)
            for index, (source, i) in enumerate(zip(sources, inputs_of(engine), strict=True)):
                edge = Edge(source.name, layer.name, index)
                join(m, self._edge(m, name, edge, source, waiting, folding.simd), i)
            m.submodules[name] = engine
            self._frames_held += frames_held(engine, layer, sources)
            self._tap(m, name, engine.o)
            self._fork(m, f"{name}_fork", layer.output, engine.o, folding.lanes, readers[layer.name], waiting)

        egresses = []
        for index, result in enumerate(self.outputs):
            tensor = network.tensor(result.tensor)
            m.submodules[_numbered("egress", index)] = egress = Egress(tensor.interval, result.lanes, result.beats)
            egresses.append(egress)
            edge = Edge(result.tensor, None, index)
            join(m, self._edge(m, "egress", edge, tensor, waiting, result.lanes), egress.i)
            m.d.comb += [
                self._port(result, "tdata").eq(egress.tdata),
                self._port(result, "tvalid").eq(egress.tvalid),
                self._port(result, "tlast").eq(egress.tlast),
                self._port(result, "tuser").eq(egress.tuser),
                egress.tready.eq(self._port(result, "tready")),
            ]

        damaged = self._flag(m, ingresses, egresses)
        self._count(m, damaged)
        return m

    def _fork(self, m, name, tensor, stream, lanes, readers, waiting):
        """The ``stream`` of ``tensor`` for all its readers."""
        if len(readers) == 1:
            waiting[readers[0]] = stream, lanes
            return
        m.submodules[name] = fork = Fork(tensor.interval, lanes, len(readers))
        self._frames_held += 1 + FORK_WORDS * lanes // prod(tensor.shape)
        join(m, stream, fork.i)
        waiting.update({edge: (o, lanes) for edge, o in zip(readers, fork.outputs, strict=True)})

    def _edge(self, m, name, edge, tensor, waiting, wanted):
        """The stream at the end of ``edge``: after its FIFO, in words of ``wanted`` lanes."""
        stream, lanes = waiting.pop(edge)
        if depth := self._fifos.get(edge, 0):
            m.submodules[_numbered(f"{name}_fifo", edge.index)] = queue = BranchFifo(stream.payload.shape(), depth)
            join(m, stream, queue.i)
            self._frames_held += 1 + depth * lanes // prod(tensor.shape)
            stream = queue.o
        if lanes != wanted:
            m.submodules[_numbered(f"{name}_width", edge.index)] = gearbox = Gearbox(tensor.interval, lanes, wanted)
            self._frames_held += 1 + gearbox.depth // prod(tensor.shape)
            join(m, stream, gearbox.i)
            stream = gearbox.o
        return stream

    def _flag(self, m, ingresses, egresses):
        """One error bit per frame, from its inputs to its outputs; returns a strobe for every damaged frame.

        There is a place for every frame that the layers may hold, so a frame never waits for one. The ends may lie at
        the ends of the device, so both directions are registered, and room is kept for the frames that end meanwhile.
        """
        in_flight = 4
        depth = self._frames_held + 2 + in_flight
        heads = []
        for index, ingress in enumerate(ingresses):
            m.submodules[_numbered("flags", index)] = flags = fifo.SyncFIFO(width=1, depth=depth)
            m.d.sync += [
                flags.w_data.eq(ingress.error),
                flags.w_en.eq(ingress.done),
                ingress.done_ready.eq(flags.level <= flags.depth - in_flight),
            ]
            heads.append(flags)
        error = reduce(or_, (flags.r_data for flags in heads))
        whole = reduce(and_, (flags.r_rdy for flags in heads))  # the frame's bit of every input is there
        taken = Signal()
        m.d.comb += [flags.r_en.eq(taken) for flags in heads]
        if len(egresses) == 1:
            (egress,) = egresses
            m.d.comb += [egress.flag.valid.eq(whole), egress.flag.payload.eq(error)]
            m.d.comb += taken.eq(whole & egress.flag.ready)
            return taken & error
        tails = []
        for index, egress in enumerate(egresses):
            m.submodules[_numbered("result_flags", index)] = flags = fifo.SyncFIFO(width=1, depth=depth)
            m.d.comb += [
                flags.w_data.eq(error),
                flags.w_en.eq(taken),
                egress.flag.valid.eq(flags.r_rdy),
                egress.flag.payload.eq(flags.r_data),
                flags.r_en.eq(egress.flag.ready),
            ]
            tails.append(flags)
        m.d.comb += taken.eq(whole & reduce(and_, (flags.w_rdy for flags in tails)))
        return taken & error

    @staticmethod
    def _tap(m, name, source):
        """Wires with names of their own, for a bench to watch: a port's name may have to give way to a signal's."""
        valid, ready = Signal(name=f"{name}_valid"), Signal(name=f"{name}_ready")
        payload = Signal(len(Value.cast(source.payload)), name=f"{name}_payload")
        m.d.comb += [valid.eq(source.valid), ready.eq(source.ready), payload.eq(Value.cast(source.payload))]

    def _count(self, m, damaged):
        m.d.comb += self.identity.eq(self._identity)
        first = self.outputs[0]
        stalled = {
            name: reduce(or_, (self._port(port, "tvalid") & ~self._port(port, "tready") for port in ports))
            for name, ports in (("stalled_in", self.inputs), ("stalled_out", self.outputs))
        }
        done = self._port(first, "tvalid") & self._port(first, "tready") & self._port(first, "tlast")
        for name, event in {"frames": done, "errors": damaged, **stalled}.items():
            counter = getattr(self, name)
            with m.If(event):
                m.d.sync += counter.eq(counter + 1)


def _prefix(name: str, index: int) -> str:
    return f"{_numbered(name, index)}_"


def _numbered(name: str, index: int) -> str:
    """The first keeps its plain name."""
    return f"{name}{index}" if index else name
