"""A product without a multiplier: a weight code selects a multiple of the activation, a shift and a sign.

Every level of a codebook is ``+-base << shift``. The bases' multiples of an activation (``3a = a + 2a``) are made once
per activation lane and shared by all PEs; a MAC is left with one small multiplexer for the base, one for the shift
and an XOR for the sign. The sign is a ones' complement: ``~p = -p - 1``. The missing one per negative weight is known
when the hardware is made and sits in the bias (``bounds.negative_codes``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from amaranth.hdl import *

from ..codes import Codebook, signed_terms
from ..interval import Interval
from .stream import shape_of

__all__ = ["Split", "multiple", "product_interval", "select_base", "shift_and_sign", "split"]


@dataclass(frozen=True)
class Split:
    """How a codebook's levels are built: ``level = sign * (bases[base[code]] << shifts[shift[code]])``.

    base[code] is None for level zero (and for codes that are never stored, so that synthesis may choose).
    """

    bases: tuple[int, ...]
    shifts: tuple[int, ...]
    base: tuple[int | None, ...]
    shift: tuple[int, ...]
    negative: tuple[bool, ...]


def _mux_cost(inputs: int) -> int:
    """LUT4 per bit of an ``inputs``:1 multiplexer, roughly."""
    return (0, 0, 1, 2, 2, 4, 4, 5, 5)[inputs] if inputs <= 8 else 5 * (inputs // 8 + 1)


@cache
def split(book: Codebook) -> Split:
    """The cheapest :class:`Split` of ``book`` into a base multiplexer and a shift multiplexer.

    Tries every arithmetic progression of shifts from 0; the bases are then what the levels leave.
    """
    magnitudes = sorted({abs(level) for level in book.levels} - {0})
    best: tuple[int, tuple[int, ...], tuple[int, ...], dict[int, tuple[int, int]]] | None = None
    for stride in range(1, book.max_level.bit_length() + 1):
        for count in range(1, book.max_level.bit_length() + 1):
            shifts = tuple(range(0, stride * count, stride))
            bases: list[int] = []
            form: dict[int, tuple[int, int]] = {}
            for magnitude in magnitudes:
                exact = [s for s in shifts if magnitude % (1 << s) == 0]
                known = [s for s in exact if magnitude >> s in bases]
                shift = (known or exact)[-1]
                if not known:
                    bases.append(magnitude >> shift)
                form[magnitude] = (magnitude >> shift, shift)
            used = tuple(sorted({shift for _, shift in form.values()}))
            width = max(bases).bit_length() + 8
            cost = width * _mux_cost(len(bases) + 1) + (width + used[-1]) * max(1, _mux_cost(len(used) + 1))
            # A base that is no power of two costs an adder per lane, shared by the PEs of a column.
            cost += sum(width // 4 for base in bases if base & (base - 1))
            if best is None or cost < best[0]:
                best = cost, tuple(sorted(bases)), used, form
    assert best is not None
    _, bases_, shifts_, form = best
    canonical = [book.is_canonical(code) and book.levels[code] != 0 for code in range(len(book.levels))]
    parts = [form.get(abs(level), (0, 0)) for level in book.levels]
    return Split(
        bases_,
        shifts_,
        tuple(bases_.index(b) if ok else None for (b, _), ok in zip(parts, canonical, strict=True)),
        tuple(shifts_.index(s) if ok else 0 for (_, s), ok in zip(parts, canonical, strict=True)),
        tuple(level < 0 and ok for level, ok in zip(book.levels, canonical, strict=True)),
    )


def product_interval(book: Codebook, taps: Interval) -> Interval:
    """Values of a ones'-complement product of any level of ``book`` with an activation in ``taps``."""
    ends = [0]
    for level in set(book.levels):
        for x in (taps.lo, taps.hi):
            ends.append(level * x - (level < 0))
    return Interval.hull(ends)


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
    """The chosen multiple, or zero: first half of a product, combinational.

    ``multiples``: signals with ``bases[i] * x``; returns a signal that holds any of them.
    """
    parts = split(book)
    chosen = Signal(shape_of((taps | Interval(0, 0)) * max(parts.bases)), name=f"{name}_base")
    which = _lookup(m, code, tuple(0 if b is None else b + 1 for b in parts.base), f"{name}_which")
    with m.Switch(which):
        for index in range(len(parts.bases)):
            with m.Case(index + 1):
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
