"""The families of codebooks, each a function of its parameters; ``catalogue.py`` gives the usual ones names.

All but :func:`explicit` are symmetric about zero and coded as sign and magnitude: the top bit of a code is the sign.
Levels are scaled to integers; the factor goes into the scale of the weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import HwgenError
from .book import Codebook

__all__ = ["NOZERO", "apot", "explicit", "logarithmic", "minifloat", "radix4", "shiftcnn", "sp2"]

NOZERO = "nozero"
"""The word for a codebook without level 0: the end of a name, ``pot3-nozero``, or an item of a list, ``1,-1,nozero``.
"""

MAX_LEVELS = 256
"""Levels of any codebook: a code is a byte."""


def minifloat(exponent_bits: int, mantissa_bits: int, name: str | None = None, *, zero_free: bool = False) -> Codebook:
    """The sign-magnitude minifloat ``ExMy`` with subnormals: code ``[sign | exponent | mantissa]``, no Inf, no NaN.

    Magnitude ``f`` where the exponent ``e`` is 0, else ``(2**y + f) << (e - 1)``. ``E2M1`` is exactly twice the OCP MX
    v1.0 FP4 value set; ``ExM0`` are powers of two, ``E1My`` integers.

    zero_free: no subnormals and no zero, ``(2**y + f) << e`` for every exponent. With ``y`` 0 that is DenseShift's code
    (Li et al. 2022, arXiv 2208.09708), whose point is that a code for zero is a code less for the rest.
    """
    one = 1 << mantissa_bits
    magnitudes = [
        (one + f) << e if zero_free else f if e == 0 else (one + f) << (e - 1)
        for e in range(1 << exponent_bits)
        for f in range(one)
    ]
    default = f"e{exponent_bits}m{mantissa_bits}" + (f"-{NOZERO}" if zero_free else "")
    return _sign_magnitude(name or default, magnitudes)


def logarithmic(bits: int, steps: Sequence[int], name: str, *, first: int = 0) -> Codebook:
    """Fine-grained logarithmic levels: zero and the lowest magnitudes ``steps[k % n] << k // n`` from ``k = first`` on.

    steps: ``n`` ascending integers within an octave, shift-add approximations of ``steps[0] * 2**(k / n)``.
    Base ``2**(1 / n)`` after Madadum and Becerikli (IASC 33(2), 2022), whose own approximation is not published.
    """
    count = len(steps)
    magnitudes = [steps[k % count] << k // count for k in range(first, first + (1 << bits - 1) - 1)]
    return _sign_magnitude(name, [0, *magnitudes])


def radix4(bits: int, name: str, *, zero_free: bool = False) -> Codebook:
    """Powers of four, or of two with a stride of 2 (JLQ; the FP4 of Sun et al., NeurIPS 2020): 0, 1, 4, 16, ..."""
    half = 1 << bits - 1
    powers = [1 << 2 * k for k in range(half if zero_free else half - 1)]
    return _sign_magnitude(name, powers if zero_free else [0, *powers])


_APOT_SETS = {3: ((0, 1, 2, 4), (0,)), 4: ((0, 1, 4, 8), (0, 2)), 5: ((0, 2, 8, 32), (0, 1, 4, 16))}


def apot(bits: int, name: str) -> Codebook:
    """Additive powers of two at 3, 4 or 5 bits (Li, Dong, Wang, ICLR 2020): a sum of one member of each of two sets.

    The sets are those of the authors' code: ``{0, 1/2, 1/4, 1/8}`` alone at 3 bits, ``{0, 1/2, 1/4, 1/16} + {0, 1/8}``
    at 4, ``{0, 1/2, 1/8, 1/32} + {0, 1/4, 1/16, 1/64}`` at 5. ``APoT3`` has the levels of ``PoT3``.
    """
    return _sign_magnitude(name, _sums(*_APOT_SETS[bits]))


def sp2(bits: int, name: str) -> Codebook:
    """Sums ``q1 + q2`` of two powers of two (SP2, Chang et al., HPCA 2021), ``qi`` 0 or ``2**-1 .. 2**-(2**mi - 1)``.

    ``m1 + m2 = bits - 1`` with ``m1 >= m2``. Different codes have one sum (1/2 + 0 = 1/4 + 1/4): only distinct levels
    are kept, in as few bits as these take, so that ``SP2`` at 5 bits is stored in 4.
    """
    m2 = (bits - 1) // 2
    m1 = bits - 1 - m2
    top = (1 << m1) - 2  # the exponent of 1/2 when the smallest term is 1
    first, second = ([0, *(1 << top - k for k in range((1 << m) - 1))] for m in (m1, m2))
    return _sign_magnitude(name, _sums(first, second))


def shiftcnn(name: str) -> Codebook:
    """ShiftCNN with N = 2 terms of B = 4 bits (Gudovskiy and Rigazio 2017, arXiv 1706.02393): 103 distinct levels.

    The greedy rule takes the nearest power of two, boundary 1.5 * 2**e, out of 7, then that of what is left, out of 7
    that are half as large. A remainder lies in ``[-1/4, 1/2)`` of the first term, so the second one is at most a half
    above or a quarter below. Their two codes take 8 bits, the distinct levels 7. Levels beyond the first codebook's
    largest term, which the authors' scale never reaches, are kept for scales that are chosen otherwise.
    """
    magnitudes = {0, 1}
    for shift in range(1, 8):
        first = 1 << shift
        magnitudes |= {first, *(first + (1 << k) for k in range(shift)), *(first - (1 << k) for k in range(shift - 1))}
    return _sign_magnitude(name, sorted(magnitudes))


def explicit(levels: Iterable[int], name: str = "explicit", *, zero_free: bool = False) -> Codebook:
    """A codebook of any integer levels. Zero is added when it is missing, unless ``zero_free``.

    A set symmetric about zero is coded as sign and magnitude if it fills its bits, any other in ascending order, after
    zero where there is one. Raises :class:`HwgenError` for more than 256 levels, for no level but zero, and for a zero
    that must not be.
    """
    distinct = {int(level) for level in levels}
    if zero_free and 0 in distinct:
        raise HwgenError(f"code {name!r}: 0 must not be among the levels of a code without zero")
    if not zero_free:
        distinct.add(0)
    if not any(distinct):
        raise HwgenError(f"code {name!r}: a code must have at least one level other than zero")
    if len(distinct) > MAX_LEVELS:
        raise HwgenError(f"a codebook may have at most {MAX_LEVELS} levels, not {len(distinct)}")
    magnitudes = sorted({abs(level) for level in distinct})
    if distinct == {s * m for m in magnitudes for s in (1, -1)} and len(magnitudes) & (len(magnitudes) - 1) == 0:
        return _sign_magnitude(name, magnitudes)
    ordered = (*([] if zero_free else [0]), *sorted(distinct - {0}))
    return Codebook(name, max(1, (len(ordered) - 1).bit_length()), ordered)


def _sums(first: Iterable[int], second: Sequence[int]) -> list[int]:
    return sorted({a + b for a in first for b in second})


def _sign_magnitude(name: str, magnitudes: Sequence[int]) -> Codebook:
    """The top bit is the sign. Codes beyond the last magnitude repeat it, so that they are never used."""
    bits = (len(magnitudes) - 1).bit_length()
    filled = [*magnitudes, *[magnitudes[-1]] * ((1 << bits) - len(magnitudes))]
    return Codebook(name, bits + 1, (*filled, *(-m for m in filled)))
