"""One stream to several consumers."""

from __future__ import annotations

from functools import reduce
from operator import and_

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..interval import Interval
from .stream import pipeline_signal, pixel_stream

__all__ = ["Fork"]


class Fork(wiring.Component):
    """Every consumer takes every word once, each when it is ready; the next word comes when all have taken this one.

    A register slice (``relay.py``) with a valid bit for each consumer: ``i.ready`` and all outputs are registers, and a
    stall of one consumer holds up the others only at the next word. How far they may drift apart is decided by the
    FIFOs behind.

    Latency: 1 cycle. Throughput: one word per cycle.

    Members
    -------
    i : In(pixel stream)
    o0, o1, ... : Out(pixel stream); ``outputs`` lists them
    """

    def __init__(self, interval: Interval, lanes: int, n: int):
        if n < 2:
            raise ValueError(f"n must be at least 2 consumers, not {n!r}")
        signature = pixel_stream(interval, lanes)
        super().__init__({"i": In(signature)} | {f"o{number}": Out(signature) for number in range(n)})
        self.outputs = [getattr(self, f"o{number}") for number in range(n)]

    def elaborate(self, platform):
        m = Module()
        arriving = Value.cast(self.i.payload)
        word = pipeline_signal(len(arriving), name="word")
        spare = pipeline_signal(len(arriving), name="spare")
        spare_valid = Signal()
        valids = [Signal(name=f"valid{number}") for number in range(len(self.outputs))]
        served = reduce(and_, (~valid | o.ready for valid, o in zip(valids, self.outputs, strict=True)))
        m.d.comb += self.i.ready.eq(~spare_valid)
        for valid, o in zip(valids, self.outputs, strict=True):
            m.d.comb += [o.valid.eq(valid), Value.cast(o.payload).eq(word)]
            m.d.sync += valid.eq(Mux(served, spare_valid | self.i.valid, valid & ~o.ready))
        with m.If(served):
            m.d.sync += [word.eq(Mux(spare_valid, spare, arriving)), spare_valid.eq(0)]
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += [spare.eq(arriving), spare_valid.eq(1)]
        return m
