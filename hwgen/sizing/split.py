"""How the levels of a codebook are built from few multiples, shifts and a sign; ``rtl.product`` makes it of logic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from ..codes import Codebook
from ..interval import Interval

__all__ = ["Split", "product_interval", "split"]


@dataclass(frozen=True)
class Split:
    """How a codebook's levels are built: ``level = sign * (bases[base[code]] << shifts[shift[code]])``.

    base[code] is None for level zero and for codes that are never stored.
    """

    bases: tuple[int, ...]
    shifts: tuple[int, ...]
    base: tuple[int | None, ...]
    shift: tuple[int, ...]
    negative: tuple[bool, ...]


_MUX = (0.0, 0.0, 1.0, 1.5, 2.0, 3.5, 4.0, 5.0, 5.0)


def _mux_luts(inputs: int) -> float:
    """LUT4 per bit of a multiplexer with so many inputs, roughly."""
    return _MUX[inputs] if inputs < len(_MUX) else 0.7 * inputs


@cache
def split(book: Codebook) -> Split:
    """The cheapest :class:`Split` of ``book`` into a base multiplexer and a shift multiplexer.

    Tries every arithmetic progression of shifts from 0; the bases are then what the levels leave.
    """
    magnitudes = sorted({abs(level) for level in book.levels} - {0})
    best: tuple[float, tuple[int, ...], tuple[int, ...], dict[int, tuple[int, int]]] | None = None
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
            choices = len(bases) + (not book.zero_free)
            cost = width * _mux_luts(choices) + (width + used[-1]) * max(1, _mux_luts(len(used) + 1))
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
