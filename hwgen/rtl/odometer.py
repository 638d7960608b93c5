"""Nested loop counters."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Odometer"]


class Odometer(wiring.Component):
    """Counts through nested loops, one innermost iteration per ``step``.

    ``carry[i]`` says that a step now ends loop ``i`` (it and all loops inside it are in their last iteration), a chain
    of ANDs of registered flags rather than comparisons, because addresses hang on it. ``index[i]`` is the iteration
    of loop ``i``.

    Parameters
    ----------
    sizes
        Iterations per loop, innermost first, each at least 1.

    Members
    -------
    step : In(1)
    carry : Out(len(sizes))
    index : list of Signal, one per loop (not ports)
    """

    def __init__(self, sizes: Sequence[int]):
        if not sizes or any(size < 1 for size in sizes):
            raise ValueError(f"sizes must be one or more counts of at least 1, not {list(sizes)!r}")
        self._sizes = tuple(sizes)
        self.index = [Signal(range(max(size, 2)), name=f"index{i}") for i, size in enumerate(sizes)]
        super().__init__({"step": In(1), "carry": Out(len(sizes))})

    def elaborate(self, platform):
        m = Module()
        inner = Const(1)
        for level, (size, index) in enumerate(zip(self._sizes, self.index, strict=True)):
            m.d.comb += self.carry[level].eq(inner if size == 1 else inner & self._count(m, level, size, index, inner))
            inner = self.carry[level]
        return m

    def _count(self, m, level, size, index, inner):
        """Add the counter of one loop; returns the register that says "in its last iteration"."""
        last = Signal(name=f"last{level}")
        with m.If(self.step & inner):
            m.d.sync += [index.eq(Mux(last, 0, index + 1)), last.eq(~last & (index == size - 2))]
        return last
