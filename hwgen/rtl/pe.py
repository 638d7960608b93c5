"""The processing element: SIMD products, an adder tree, an accumulator."""

from __future__ import annotations

from itertools import pairwise

from amaranth.hdl import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..codes import Codebook
from ..interval import Interval
from ..sizing.split import product_interval, split
from .product import select_base, shift_and_sign
from .stream import pipeline_signal, shape_of
from .tree import adder_tree, tree_latency

__all__ = ["PE"]


class PE(wiring.Component):
    """One output channel of a folded convolution (or several in turn): ``acc = first ? sum : acc + sum``.

    A pipeline that never stalls. Stages: base multiplexer, shift and sign, one per adder level, accumulator.
    Latency: ``PE.latency(simd)`` cycles from ``codes`` to ``acc``; throughput ``simd`` MACs per cycle.

    With ``groups`` > 1 the accumulator is a ring of that many registers that turns by one at every valid beat, so that
    ``groups`` channels take turns without a memory or a multiplexer; ``acc`` is the one just updated.

    Parameters
    ----------
    book : Codebook
    taps : Interval        values of an activation, zero included
    simd : int             lanes
    accumulator : Interval values of every partial sum
    groups : int           accumulators in the ring

    Members
    -------
    multiples : In(simd x one signal per base)  activation multiples, with the codes that belong to them
    codes : In(simd x bits)
    valid, first : In(1)   delayed by ``latency(simd) - 1`` to arrive with the sum
    acc : Out(accumulator)
    """

    def __init__(self, book: Codebook, taps: Interval, simd: int, accumulator: Interval, *, groups: int = 1):
        self._book = book
        self._taps = taps
        self._simd = simd
        self._accumulator = accumulator
        self._groups = groups
        super().__init__(
            {
                "multiples": In(self.multiples_layout(book, taps, simd)),
                "codes": In(data.ArrayLayout(book.bits, simd)),
                "valid": In(1),
                "first": In(1),
                "acc": Out(shape_of(accumulator)),
            }
        )

    @staticmethod
    def multiples_layout(book: Codebook, taps: Interval, simd: int) -> data.ArrayLayout:
        """Per lane one field for every base of the codebook."""
        fields = {f"x{base}": shape_of(taps * base) for base in split(book).bases}
        return data.ArrayLayout(data.StructLayout(fields), simd)

    @staticmethod
    def latency(simd: int) -> int:
        """Cycles from ``codes`` to ``acc``."""
        return 3 + tree_latency(simd)

    def elaborate(self, platform):
        m = Module()
        products = []
        for lane in range(self._simd):
            name = f"lane{lane}"
            multiples = [self.multiples[lane][f"x{base}"] for base in split(self._book).bases]
            chosen = select_base(m, self._book, self.codes[lane], multiples, self._taps, name)
            base = pipeline_signal(chosen.shape(), name=f"{name}_base_q")
            code = pipeline_signal(self._book.bits, name=f"{name}_code_q")
            m.d.sync += [base.eq(chosen), code.eq(self.codes[lane])]
            product = shift_and_sign(m, self._book, code, base, self._taps, name)
            registered = pipeline_signal(product.shape(), name=f"{name}_product_q")
            m.d.sync += registered.eq(product)
            products.append(registered)
        total = adder_tree(m, products, product_interval(self._book, self._taps) | Interval(-1, 0))

        ring = [pipeline_signal(shape_of(self._accumulator), name=f"acc{index}") for index in range(self._groups)]
        with m.If(self.valid):
            m.d.sync += ring[0].eq(Mux(self.first, 0, ring[-1]) + total)
            m.d.sync += [later.eq(earlier) for earlier, later in pairwise(ring)]
        m.d.comb += self.acc.eq(ring[0])
        return m
