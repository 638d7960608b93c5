"""A product without a multiplier: a weight code selects a multiple of the activation, a shift and a sign.

Every level of a codebook is ``+-base << shift``. The bases' multiples of an activation (``3a = a + 2a``) are made once
per activation lane and shared by all PEs; a MAC is left with one small multiplexer for the base, one for the shift
and an XOR for the sign. The sign is a ones' complement: ``~p = -p - 1``. The missing one per negative weight is known
when the hardware is made and sits in the bias (``bounds.negative_codes``).
"""

from __future__ import annotations

from amaranth.hdl import *

from ..codes import Codebook, signed_terms
from ..interval import Interval
from ..sizing.split import product_interval, split
from .stream import shape_of

__all__ = ["multiple", "select_base", "shift_and_sign"]


def multiple(x, base: int):
    """``base * x`` by shifts and additions."""
    high, *rest = signed_terms(base)
    total = x.shift_left(high.shift)
    for sign, shift in rest:
        total = total + x.shift_left(shift) if sign > 0 else total - x.shift_left(shift)
    return total


def _lookup(m: Module, code, table: tuple[int, ...], name: str):
    """``table[code]`` as a small function of the code's bits."""
    value = Signal(range(max(table) + 1), name=name)
    with m.Switch(code):
        for result in sorted(set(table) - {0}):
            with m.Case(*(index for index, entry in enumerate(table) if entry == result)):
                m.d.comb += value.eq(result)
    return value


def select_base(m: Module, book: Codebook, code, multiples, taps: Interval, name: str):
    """The chosen multiple, or zero where that is a level: first half of a product, combinational.

    ``multiples``: signals with ``bases[i] * x``; returns a signal that holds any of them.
    """
    parts = split(book)
    first = 0 if book.zero_free else 1  # choice 0 is zero, which takes an input of the multiplexer
    chosen = Signal(shape_of((taps | Interval(0, 0)) * max(parts.bases)), name=f"{name}_base")
    which = _lookup(m, code, tuple(0 if b is None else b + first for b in parts.base), f"{name}_which")
    with m.Switch(which):
        for index in range(len(parts.bases)):
            with m.Case(index + first):
                m.d.comb += chosen.eq(multiples[index])
    return chosen


def shift_and_sign(m: Module, book: Codebook, code, chosen, taps: Interval, name: str):
    """Shift and conditional ones' complement: second half of a product, combinational.

    ``code`` and ``chosen`` belong to the same activation; returns the signed product (less one where negative).
    """
    parts = split(book)
    shape = shape_of(product_interval(book, taps) | Interval(-1, 0))
    amount = _lookup(m, code, parts.shift, f"{name}_shift")
    shifted = Signal(shape, name=f"{name}_shifted")
    with m.Switch(amount):
        for index, shift in enumerate(parts.shifts):
            with m.Case(index):
                m.d.comb += shifted.eq(chosen.shift_left(shift))
    negative = Signal(name=f"{name}_negative")
    m.d.comb += negative.eq(_lookup(m, code, tuple(int(n) for n in parts.negative), f"{name}_sign"))
    result = Signal(shape, name=f"{name}_product")
    m.d.comb += result.eq((shifted ^ negative.replicate(len(shifted))).as_signed())
    return result
