"""A register slice: cuts every combinational path of a stream."""

from __future__ import annotations

from amaranth.hdl import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .stream import pipeline_signal

__all__ = ["Relay"]


class Relay(wiring.Component):
    """Passes words on; ``i.ready``, ``o.valid`` and ``o.payload`` are all registers, and there is room for two words.

    Latency: 1 cycle. Throughput: one word per cycle.

    Members: ``i``: In(stream of ``shape``), ``o``: Out(stream of ``shape``).
    """

    DEPTH = 2
    """Words."""

    def __init__(self, shape):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        arriving = Value.cast(self.i.payload)
        word = pipeline_signal(len(arriving), name="word")
        spare = pipeline_signal(len(arriving), name="spare")
        valid, spare_valid = Signal(), Signal()
        m.d.comb += [self.i.ready.eq(~spare_valid), self.o.valid.eq(valid), Value.cast(self.o.payload).eq(word)]
        with m.If(~valid | self.o.ready):
            m.d.sync += [
                valid.eq(spare_valid | self.i.valid),
                word.eq(Mux(spare_valid, spare, arriving)),
                spare_valid.eq(0),
            ]
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += [spare.eq(arriving), spare_valid.eq(1)]
        return m
