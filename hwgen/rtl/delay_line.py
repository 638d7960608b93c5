"""Delay lines that move only when they are told to."""

from __future__ import annotations

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..sizing.graph_engine import SHORT_LINE
from .storage import block_attributes
from .stream import pipeline_signal

__all__ = ["BlockDelayLine", "DelayLine"]


class DelayLine(wiring.Component):
    """``o`` is what ``i`` was ``length`` steps ago; before that it means nothing.

    Registers when it is short, else a memory of LUTs that is read where it is written next.

    Members
    -------
    step : In(1)
    i : In(width), o : Out(width)   in the cycle of ``step``
    """

    def __init__(self, width: int, length: int):
        self._width = width
        self._length = length
        super().__init__({"step": In(1), "i": In(width), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        if self._length <= SHORT_LINE:
            value = self.i
            for stage in range(self._length):
                later = pipeline_signal(self._width, name=f"stage{stage}")
                with m.If(self.step):
                    m.d.sync += later.eq(value)
                value = later
            m.d.comb += self.o.eq(value)
            return m
        m.submodules.memory = memory = Memory(shape=self._width, depth=self._length, init=[])
        place = _ring(m, self.step, self._length)
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [write.addr.eq(place), write.data.eq(self.i), write.en.eq(self.step)]
        m.d.comb += [read.addr.eq(place), self.o.eq(read.data)]
        return m


class BlockDelayLine(wiring.Component):
    """The same of block RAM, for long lines: ``i`` and ``o`` belong to the ``step`` of ``LATENCY`` cycles before.

    A block RAM is slow without its output register, which has no enable; so nothing here waits. ``length`` is at least
    4, so that what is written two cycles late is there when its turn comes.
    """

    LATENCY = 2

    def __init__(self, width: int, length: int):
        self._width = width
        self._length = length
        super().__init__({"step": In(1), "i": In(width), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        # What is read is never being written: the write is at least a step behind. Left to keep what such a read would
        # give, Yosys puts a multiplexer behind every bit.
        attributes = block_attributes(self._width, self._length, rom=False) | {"no_rw_check": 1}
        m.submodules.memory = memory = Memory(shape=self._width, depth=self._length, init=[], attrs=attributes)
        place = _ring(m, self.step, self._length)
        step = self.step
        written = place
        for stage in range(self.LATENCY):
            later_step = Signal(name=f"step_d{stage + 1}")
            later_place = pipeline_signal(place.shape(), name=f"place_d{stage + 1}")
            m.d.sync += [later_step.eq(step), later_place.eq(written)]
            step, written = later_step, later_place
        write, read = memory.write_port(), memory.read_port()
        oldest = pipeline_signal(self._width, name="oldest")
        m.d.sync += oldest.eq(read.data)
        m.d.comb += [
            read.addr.eq(place),
            self.o.eq(oldest),
            write.addr.eq(written),
            write.data.eq(self.i),
            write.en.eq(step),
        ]
        return m


def _ring(m: Module, step, length: int) -> Signal:
    """A counter of ``length`` places."""
    place = Signal(range(length))
    last = Signal()
    with m.If(step):
        m.d.sync += [place.eq(Mux(last, 0, place + 1)), last.eq(place == length - 2)]
    return place
