"""The core: one engine per layer between two AXI4-Stream ports."""

from __future__ import annotations

from math import prod

from amaranth.hdl import *
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out

from ..folding import Folding
from ..network import Conv, Network, Tensor
from .conv import ConvEngine
from .frame import Egress, Ingress, byte_lanes
from .pool import PoolEngine
from .stream import join
from .width import Gearbox

__all__ = ["Core", "engine_name"]


def engine_name(index: int, name: str) -> str:
    """The instance name of a layer's engine in the Verilog: a plain identifier, unique within the core."""
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in name).strip("_")
    return f"layer{index}_{plain}" if plain else f"layer{index}"


class Core(wiring.Component):
    """A network as a streaming pipeline; raw pixels in, int32 results out.

    A frame goes in channel-last, ``lanes`` bytes per beat (``input_beats`` beats, ``tlast`` with the last), and comes
    out channel-last, one int32 per beat (``output_words``). ``m_axis_tuser`` with ``m_axis_tlast`` says that the frame
    was too short or too long; the next frame is not affected.

    Throughput: one frame per ``max(cycles of each engine)`` cycles.

    Parameters
    ----------
    network : Network
    foldings : one Folding per layer
    identity : int
        64 bits that name the network (``store.identity``), readable at ``identity``.

    Members
    -------
    s_axis_tdata, s_axis_tvalid, s_axis_tready, s_axis_tlast : AXI4-Stream slave
    m_axis_tdata, m_axis_tvalid, m_axis_tready, m_axis_tlast, m_axis_tuser : AXI4-Stream master
    identity : Out(64)
    frames, errors, stalled_in, stalled_out : Out(32)
        Frames sent; frames that were short or long; cycles in which the source waited for us; cycles in which we
        waited for the sink. All wrap.
    """

    def __init__(self, network: Network, foldings: list[Folding], *, identity: int = 0):
        if len(foldings) != len(network.layers):
            raise ValueError(f"foldings must be one for each of {len(network.layers)} layers, not {len(foldings)}")
        self._network = network
        self._foldings = list(foldings)
        self._identity = identity
        height, width, channels = network.input.shape
        self.lanes = foldings[0].simd
        self.input_beats = height * width * channels // self.lanes
        rows, columns, outputs = network.output.shape
        self.output_words = rows * columns * outputs
        self.engines = [engine_name(index, layer.name) for index, layer in enumerate(network.layers)]
        super().__init__(
            {
                "s_axis_tdata": In(byte_lanes(self.lanes)),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "s_axis_tlast": In(1),
                "m_axis_tdata": Out(signed(32)),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tlast": Out(1),
                "m_axis_tuser": Out(1),
                "identity": Out(64),
                "frames": Out(32),
                "errors": Out(32),
                "stalled_in": Out(32),
                "stalled_out": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        network = self._network
        m.submodules.ingress = ingress = Ingress(network.input.interval, self.lanes, self.input_beats)
        m.d.comb += [
            ingress.tdata.eq(self.s_axis_tdata),
            ingress.tvalid.eq(self.s_axis_tvalid),
            ingress.tlast.eq(self.s_axis_tlast),
            self.s_axis_tready.eq(ingress.tready),
        ]

        source, lanes, tensor = ingress.o, self.lanes, network.input
        frames_held = 0
        for name, layer, folding in zip(self.engines, network.layers, self._foldings, strict=True):
            source, held = self._convert(m, f"{name}_width", tensor, source, lanes, folding.simd)
            if isinstance(layer, Conv):
                engine = ConvEngine(layer, tensor, folding)
            else:
                engine = PoolEngine(layer, tensor, folding)
            m.submodules[name] = engine
            frames_held += held + engine.frames_held
            join(m, source, engine.i)
            source, lanes, tensor = engine.o, folding.lanes, layer.output
            self._tap(m, name, source)
        source, held = self._convert(m, "egress_width", tensor, source, lanes, 1)
        frames_held += held

        m.submodules.egress = egress = Egress(network.output.interval, self.output_words)
        join(m, source, egress.i)
        m.d.comb += [
            self.m_axis_tdata.eq(egress.tdata),
            self.m_axis_tvalid.eq(egress.tvalid),
            self.m_axis_tlast.eq(egress.tlast),
            self.m_axis_tuser.eq(egress.tuser),
            egress.tready.eq(self.m_axis_tready),
        ]

        self._flag(m, ingress, egress, frames_held)
        self._count(m, ingress)
        return m

    @staticmethod
    def _convert(m, name, tensor: Tensor, source, lanes: int, wanted: int):
        """``source``, which carries ``tensor``, with ``wanted`` lanes per word; and the frames held on that way."""
        if lanes == wanted:
            return source, 0
        m.submodules[name] = gearbox = Gearbox(tensor.interval, lanes, wanted)
        join(m, source, gearbox.i)
        return gearbox.o, 1 + gearbox.depth // prod(tensor.shape)

    @staticmethod
    def _flag(m, ingress, egress, frames_held: int):
        """One error bit per frame, from its first end to its last.

        There is a place for every frame that the layers may hold, so a frame never waits for one. The two ends may lie
        at two ends of the device, so both directions are registered, and room is kept for the frames that end
        meanwhile.
        """
        in_flight = 4
        m.submodules.flags = flags = fifo.SyncFIFO(width=1, depth=frames_held + 2 + in_flight)
        m.d.sync += [
            flags.w_data.eq(ingress.error),
            flags.w_en.eq(ingress.done),
            ingress.done_ready.eq(flags.level <= flags.depth - in_flight),
        ]
        m.d.comb += [
            egress.flag.valid.eq(flags.r_rdy),
            egress.flag.payload.eq(flags.r_data),
            flags.r_en.eq(egress.flag.ready),
        ]

    @staticmethod
    def _tap(m, name, source):
        """Wires with names of their own, for a bench to watch: a port's name may have to give way to a signal's."""
        valid, ready = Signal(name=f"{name}_valid"), Signal(name=f"{name}_ready")
        payload = Signal(len(Value.cast(source.payload)), name=f"{name}_payload")
        m.d.comb += [valid.eq(source.valid), ready.eq(source.ready), payload.eq(Value.cast(source.payload))]

    def _count(self, m, ingress):
        m.d.comb += self.identity.eq(self._identity)
        events = {
            "frames": self.m_axis_tvalid & self.m_axis_tready & self.m_axis_tlast,
            "errors": ingress.done & ingress.error,
            "stalled_in": self.s_axis_tvalid & ~self.s_axis_tready,
            "stalled_out": self.m_axis_tvalid & ~self.m_axis_tready,
        }
        for name, event in events.items():
            counter = getattr(self, name)
            with m.If(event):
                m.d.sync += counter.eq(counter + 1)
