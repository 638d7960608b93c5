"""Changing the number of lanes of a pixel stream."""

from __future__ import annotations

from math import lcm

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..interval import Interval
from .stream import join, pipeline_signal, pixel_stream

__all__ = ["Gearbox", "Narrow", "Widen"]


class Widen(wiring.Component):
    """Packs ``factor`` words into one; collects the next ones while the packed word waits.

    Latency: ``factor`` words. Throughput: one input word per cycle, as long as a packed word does not wait longer than
    its successor takes to collect.

    Members: ``i``: In(stream of ``lanes`` lanes), ``o``: Out(stream of ``lanes * factor`` lanes).
    """

    def __init__(self, interval: Interval, lanes: int, factor: int):
        if factor < 2:
            raise ValueError(f"factor must be at least 2, not {factor!r}")
        self._factor = factor
        super().__init__({"i": In(pixel_stream(interval, lanes)), "o": Out(pixel_stream(interval, lanes * factor))})

    def elaborate(self, platform):
        m = Module()
        word = Value.cast(self.i.payload)
        collected = pipeline_signal(len(word) * (self._factor - 1), name="collected")
        packed = pipeline_signal(len(word) * self._factor, name="packed")
        count = Signal(range(self._factor))
        completes = count == self._factor - 1
        full = Signal()
        m.d.comb += [self.o.valid.eq(full), Value.cast(self.o.payload).eq(packed)]
        m.d.comb += self.i.ready.eq(~completes | ~full | self.o.ready)
        with m.If(self.o.ready):
            m.d.sync += full.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [collected.eq(Cat(collected, word)[len(word) :]), count.eq(Mux(completes, 0, count + 1))]
            with m.If(completes):
                m.d.sync += [packed.eq(Cat(collected, word)), full.eq(1)]
        return m


class Narrow(wiring.Component):
    """Cuts a word into ``factor`` words, low lanes first. Latency 1; emits a word per cycle.

    Members: ``i``: In(stream of ``lanes * factor`` lanes), ``o``: Out(stream of ``lanes`` lanes).
    """

    def __init__(self, interval: Interval, lanes: int, factor: int):
        if factor < 2:
            raise ValueError(f"factor must be at least 2, not {factor!r}")
        self._factor = factor
        super().__init__({"i": In(pixel_stream(interval, lanes * factor)), "o": Out(pixel_stream(interval, lanes))})

    def elaborate(self, platform):
        m = Module()
        width = len(Value.cast(self.o.payload))
        held = pipeline_signal(width * self._factor, name="held")
        count = Signal(range(self._factor))
        busy, final = Signal(), Signal()
        m.d.comb += [self.o.valid.eq(busy), Value.cast(self.o.payload).eq(held[:width])]
        m.d.comb += final.eq(count == self._factor - 1)
        m.d.comb += self.i.ready.eq(~busy | (final & self.o.ready))
        with m.If(busy & self.o.ready):
            m.d.sync += [held.eq(held >> width), count.eq(count + 1)]
            with m.If(final):
                m.d.sync += [busy.eq(0), count.eq(0)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [held.eq(Value.cast(self.i.payload)), busy.eq(1)]
        return m


class Gearbox(wiring.Component):
    """Any number of lanes to any other: up to the least common multiple, then down.

    Neither half ever waits for the other longer than for its own next word, so the narrower side's word moves in every
    cycle. With equal lanes it is wires; when one divides the other, one of the halves.

    Throughput: ``min(i_lanes, o_lanes)`` channels per cycle. Latency: ``lcm(i_lanes, o_lanes) / i_lanes`` input words
    (0 when ``o_lanes`` divides ``i_lanes``), 1 cycle more when ``i_lanes`` does not divide ``o_lanes``.

    Members: ``i``: In(stream of ``i_lanes`` lanes), ``o``: Out(stream of ``o_lanes`` lanes). ``depth``: values that it
    may hold.
    """

    def __init__(self, interval: Interval, i_lanes: int, o_lanes: int):
        self._interval = interval
        self._lanes = i_lanes, o_lanes
        self.depth = 0 if i_lanes == o_lanes else 3 * lcm(i_lanes, o_lanes)
        super().__init__({"i": In(pixel_stream(interval, i_lanes)), "o": Out(pixel_stream(interval, o_lanes))})

    def elaborate(self, platform):
        m = Module()
        i_lanes, o_lanes = self._lanes
        common = lcm(i_lanes, o_lanes)
        source = wiring.flipped(self.i)
        if i_lanes < common:
            m.submodules.widen = widen = Widen(self._interval, i_lanes, common // i_lanes)
            join(m, source, widen.i)
            source = widen.o
        if o_lanes < common:
            m.submodules.narrow = narrow = Narrow(self._interval, o_lanes, common // o_lanes)
            join(m, source, narrow.i)
            source = narrow.o
        join(m, source, wiring.flipped(self.o))
        return m
