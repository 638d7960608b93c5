"""Factors of whole tensors: a ratio of two units as a few signed powers of two over a right shift.

They are wired into the hardware, so they may have more terms than a requantization factor, and need no grid of scales:
two tensors that meet in an addition or a concatenation have the scales that they have.
"""

from __future__ import annotations

from functools import cache
from math import floor, inf, log2

from ..codes import signed_terms
from ..network import RESCALE_TERMS
from .requant import MAX_SHIFT

__all__ = ["TOLERANCE", "WORST", "common_shift", "rescale_factor", "wired"]

TOLERANCE = 2.0**-9
"""Relative error that ends the search for a factor: half a unit at the end of an 8-bit tensor."""

WORST = 0.006
"""Relative error that no factor exceeds: four terms miss a ratio of 1.336 by 0.58 %; the root mean square is 0.13 %."""

LEADING_BITS = 11
"""Bits of a factor that matter: four terms resolve no more."""

FACTOR_BITS = 8
"""Bits that the smallest factor of an addition has."""

WIDEST_FACTOR = 16
"""Bits that the largest factor of an addition may have; a source that far above the others saturates the sum anyway."""


@cache
def _short(bits: int) -> tuple[int, ...]:
    """Every integer of exactly ``bits`` bits with few enough terms, and the power of two above them."""
    found = [value for value in range(1 << bits - 1, 1 << bits) if len(signed_terms(value)) <= RESCALE_TERMS]
    return (*found, 1 << bits)


def wired(value: float) -> int:
    """The integer of at most ``RESCALE_TERMS`` signed powers of two nearest to ``value``, of its sign and not zero."""
    magnitude = abs(value)
    if magnitude < 1:
        found = 1
    else:
        drop = max(0, floor(log2(magnitude)) + 1 - LEADING_BITS)
        bits = floor(log2(magnitude / 2.0**drop)) + 1
        found = min(_short(bits), key=lambda short: abs(short - magnitude / 2.0**drop)) << drop
    return found if value >= 0 else -found


def rescale_factor(ratio: float) -> tuple[int, int]:
    """``(mul, shift)`` with ``mul / 2**shift`` near ``ratio`` > 0: the first within :data:`TOLERANCE`, else the best.

    Where the shift would leave 0..MAX_SHIFT, the nearest that there is.
    """
    best, least = (1, 0), inf
    for bits in range(1, LEADING_BITS + 1):
        shift = min(max(bits - 1 - floor(log2(ratio)), 0), MAX_SHIFT)
        mul = wired(ratio * 2.0**shift)
        error = abs(mul / 2.0**shift / ratio - 1)
        if error < least:
            best, least = (mul, shift), error
        if error <= TOLERANCE:
            break
    mul, shift = best
    while mul % 2 == 0 and shift:
        mul, shift = mul // 2, shift - 1
    return mul, shift


def common_shift(ratios: list[float]) -> int:
    """The shift at which the smallest magnitude of ``ratios`` has 8 bits, and the largest no more than 16."""
    magnitudes = [abs(ratio) for ratio in ratios]
    finest = FACTOR_BITS - 1 - floor(log2(min(magnitudes)))
    coarsest = WIDEST_FACTOR - 1 - floor(log2(max(magnitudes)))
    return min(max(min(finest, coarsest), 0), MAX_SHIFT)
