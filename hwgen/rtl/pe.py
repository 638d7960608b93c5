"""The processing element: SIMD products, chains of adders, a tree over them, an accumulator."""

from __future__ import annotations

from itertools import pairwise

from amaranth.hdl import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..codes import Codebook
from ..interval import Interval
from ..sizing.product import CHAIN, product_interval, recipe
from .adders import gate_add
from .product import accumulate, first_product, operand
from .stream import pipeline_signal, shape_of
from .tree import adder_tree

__all__ = ["PE"]


class PE(wiring.Component):
    """One output channel of a folded convolution (or several in turn): ``acc = more ? acc + sum : sum``.

    A pipeline that never stalls. ``CHAIN`` neighbouring lanes are a chain: the first lane's product, then an addition
    per cycle for each of the others, whose multiples and codes arrive as many cycles later. A tree adds the chains.

    Latency: ``array_latency(book, simd)`` cycles from the codes of lane 0 to ``acc``. Throughput: ``simd`` MACs per
    cycle.

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
    multiples : In(simd x one signal per base)  activation multiples, ``lane % CHAIN`` cycles late
    codes : In(simd x bits)  as stored, see ``sizing.product.Recipe``; as late
    valid, more : In(1)    delayed by ``array_latency - 1`` to arrive with the sum; more: it adds to what there is
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
                "more": In(1),
                "acc": Out(shape_of(accumulator)),
            }
        )

    @staticmethod
    def multiples_layout(book: Codebook, taps: Interval, simd: int) -> data.ArrayLayout:
        """Per lane one field for every base of the codebook."""
        fields = {f"x{base}": shape_of(taps * base) for base in recipe(book).bases}
        return data.ArrayLayout(data.StructLayout(fields), simd)

    def elaborate(self, platform):
        m = Module()
        product = product_interval(self._book, self._taps) | Interval(-1, 0)
        chains = [self._chain(m, platform, start, product) for start in range(0, self._simd, CHAIN)]
        # The last chain may be shorter; it waits for the others.
        longest = min(CHAIN, self._simd)
        aligned = []
        for number, (total, lanes) in enumerate(chains):
            for cycle in range(longest - lanes):
                later = pipeline_signal(total.shape(), name=f"chain{number}_wait{cycle}")
                m.d.sync += later.eq(total)
                total = later
            aligned.append(total)
        total = adder_tree(m, aligned, product * longest)

        shape = shape_of(self._accumulator)
        ring = [pipeline_signal(shape, name=f"acc{index}") for index in range(self._groups)]
        new = gate_add(m, platform, "acc_sum", total, ring[-1], self.more, shape)
        with m.If(self.valid):
            m.d.sync += ring[0].eq(new)
            m.d.sync += [later.eq(earlier) for earlier, later in pairwise(ring)]
        m.d.comb += self.acc.eq(ring[0])
        return m

    def _chain(self, m, platform, start: int, product: Interval):
        """The sum of a chain from lane ``start`` on, and its lanes."""
        lanes = range(start, min(start + CHAIN, self._simd))
        total = None
        for place, lane in enumerate(lanes):
            name = f"lane{lane}"
            word = self.codes[lane]
            multiples = {base: self.multiples[lane][f"x{base}"] for base in recipe(self._book).bases}
            value = operand(m, self._book, word, multiples, self._taps, name)
            if total is None:
                total = first_product(m, self._book, value, self._taps, f"{name}_product")
            else:
                shape = shape_of(product * (place + 1))
                total = accumulate(m, platform, self._book, total, value, shape, f"{name}_total")
        return total, len(lanes)
