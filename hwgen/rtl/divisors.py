"""Which divisor an average takes that leaves padding out."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..network import Pool
from .lookup import flag
from .odometer import Odometer

__all__ = ["DivisorIndex"]


class DivisorIndex(wiring.Component):
    """Counts the result words of a pool with ``divisors`` and says which distinct divisor each of them takes.

    A row's divisor and a column's depend on each other in nothing, so each is a small number in a register that its
    own counter keeps; what both make together is a table of a few entries. Latency: none, ``index`` belongs to the
    word of this cycle's ``step``.

    Parameters
    ----------
    layer : Pool
        With two or more distinct divisors.
    words : int
        Per pixel.

    Members
    -------
    step : In(1)    a word is here
    index : Out(range(number of distinct divisors))
    """

    def __init__(self, layer: Pool, words: int):
        if layer.divisors is None or len(layer.distinct_divisors) < 2:
            raise ValueError(f"{layer.name}: it must have two or more distinct divisors")
        self._rows, self._columns = layer.divisors
        self._distinct = layer.distinct_divisors
        self._words = words
        super().__init__({"step": In(1), "index": Out(range(len(self._distinct)))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.odometer = odometer = Odometer([self._words, len(self._columns), len(self._rows)])
        m.d.comb += odometer.step.eq(self.step)
        columns, column = self._axis(m, "column", self._columns, odometer, 1)
        rows, row = self._axis(m, "row", self._rows, odometer, 2)
        with m.Switch(Cat(column, row)):
            for down, a in enumerate(rows):
                for across, b in enumerate(columns):
                    with m.Case(down << len(column) | across):
                        m.d.comb += self.index.eq(self._distinct.index(a * b))
        return m

    def _axis(self, m: Module, name: str, divisors: Sequence[int], odometer: Odometer, level: int):
        """The distinct ones of ``divisors``, and the number among them of the present one."""
        distinct = sorted(set(divisors))
        numbers = [distinct.index(divisor) for divisor in divisors]
        advance = odometer.step & odometer.carry[level - 1]
        bits = [
            flag(m, f"{name}{bit}", [bool(number >> bit & 1) for number in numbers], odometer.index[level], advance)
            for bit in range((len(distinct) - 1).bit_length())
        ]
        return distinct, Cat(bits)
