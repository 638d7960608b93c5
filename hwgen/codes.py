"""Codebooks: a weight is a code, a code is a short sum of signed powers of two.

A :class:`Codebook` maps a ``bits``-bit code to a signed integer *level*. Levels are what the integer reference
multiplies with, and what the hardware builds from shifted copies of an activation. The families:

* minifloat ``ExMy`` (:func:`minifloat`): sign, x exponent bits, y mantissa bits, subnormals, no Inf/NaN.
  ``E2M1`` is exactly twice the OCP MX v1.0 FP4 value set; ``E3M0`` is PoT4; ``E1M2`` is int4.
* ``APoT4`` (Li, Dong, Wang, ICLR 2020, sums of two powers of two), ternary, and any explicit list of levels.

Code 0 is always level 0: zero has a code of its own, with sign 0 (the ones'-complement sign folding of the
hardware relies on it). A sign-magnitude codebook has one code that is never used, the negative zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import HwgenError

__all__ = ["CODES", "Codebook", "Term", "codebook", "explicit", "minifloat", "signed_terms"]


class Term(NamedTuple):
    """One signed power of two, ``sign * 2**shift`` with ``sign`` +1 or -1."""

    sign: int
    shift: int


def signed_terms(value: int) -> tuple[Term, ...]:
    """The canonical signed-digit form of ``value``: fewest signed powers of two that sum to it, high shift first.

    Non-adjacent form (Reitwiesner 1960); ``signed_terms(0) == ()``.
    """
    terms: list[Term] = []
    shift = 0
    while value:
        if value & 1:
            digit = 2 - (value & 3)  # +1 when the next bit is 0, -1 when it is 1
            terms.append(Term(digit, shift))
            value -= digit
        value >>= 1
        shift += 1
    return tuple(reversed(terms))


@dataclass(frozen=True)
class Codebook:
    """A finite set of integer levels with a code for each.

    ``levels[code]`` is the level of ``code``; its length is at most ``2**bits``. Where a level occurs twice (negative
    zero) the lower code is the canonical one and the other is never produced and never accepted.
    """

    name: str
    bits: int
    levels: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.levels or self.levels[0] != 0:
            raise ValueError(f"code 0 must be level 0, not {self.levels[:1]!r}")
        if len(self.levels) > 1 << self.bits:
            raise ValueError(f"{len(self.levels)} levels must fit {self.bits} bits")
        if len(set(self.levels)) < 2:
            raise ValueError("a codebook must have at least one level other than zero")

    @cached_property
    def _code_of(self) -> dict[int, int]:
        table: dict[int, int] = {}
        for code, level in enumerate(self.levels):
            table.setdefault(level, code)
        return table

    @cached_property
    def sorted_levels(self) -> npt.NDArray[np.int64]:
        """Every distinct level, ascending."""
        return np.array(sorted(self._code_of), np.int64)

    @property
    def max_level(self) -> int:
        """The largest magnitude of any level."""
        return max(abs(level) for level in self.levels)

    @property
    def max_terms(self) -> int:
        """The most signed powers of two that any level needs."""
        return max(len(signed_terms(level)) for level in self.levels)

    def terms(self, code: int) -> tuple[Term, ...]:
        """The signed powers of two whose sum is the level of ``code``."""
        return signed_terms(self.levels[code])

    def is_canonical(self, code: int) -> bool:
        """Whether ``code`` may be stored (it exists and is not the negative zero)."""
        return 0 <= code < len(self.levels) and self._code_of[self.levels[code]] == code

    def decode(self, codes: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Levels of ``codes`` (any shape, unsigned integers). ``ValueError`` for a code that is not canonical."""
        codes = np.asarray(codes)
        legal = np.array([self.is_canonical(c) for c in range(1 << self.bits)])
        if codes.size and (codes.min() < 0 or codes.max() >= legal.size or not legal[codes].all()):
            raise ValueError(f"codes must be codes of {self.name} other than negative zero")
        return np.array(self.levels, np.int64)[codes]

    def encode(self, levels: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Codes of integer ``levels`` (any shape). ``ValueError`` if a value is not a level."""
        levels = np.asarray(levels, np.int64)
        index = np.clip(np.searchsorted(self.sorted_levels, levels), 0, self.sorted_levels.size - 1)
        if not np.array_equal(self.sorted_levels[index], levels):
            raise ValueError(f"values must be levels of {self.name}")
        return np.array([self._code_of[int(level)] for level in self.sorted_levels], np.uint8)[index]

    def nearest(self, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The nearest level to each of ``values`` (float, in units of one level step; ties go to the lower level)."""
        levels = self.sorted_levels
        return levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, np.asarray(values, np.float64))]


def minifloat(exponent_bits: int, mantissa_bits: int, name: str | None = None) -> Codebook:
    """The sign-magnitude minifloat ``ExMy`` with subnormals: code ``[sign | exponent | mantissa]``.

    Magnitude ``f`` where the exponent ``e`` is 0, else ``(2**y + f) << (e - 1)``.
    """
    magnitudes = [
        f if e == 0 else ((1 << mantissa_bits) + f) << (e - 1)
        for e in range(1 << exponent_bits)
        for f in range(1 << mantissa_bits)
    ]
    return _sign_magnitude(name or f"e{exponent_bits}m{mantissa_bits}", magnitudes)


def explicit(levels: Iterable[int], name: str = "explicit") -> Codebook:
    """A codebook of any integer levels; zero is added when it is missing.

    A set symmetric about zero is coded as sign and magnitude, any other in ascending order after zero.
    """
    distinct = {int(level) for level in levels} | {0}
    if len(distinct) > 256:
        raise HwgenError(f"a codebook may have at most 256 levels, not {len(distinct)}")
    magnitudes = sorted({abs(level) for level in distinct})
    if distinct == {s * m for m in magnitudes for s in (1, -1)} and len(magnitudes) & (len(magnitudes) - 1) == 0:
        return _sign_magnitude(name, magnitudes)
    ordered = (0, *sorted(distinct - {0}))
    return Codebook(name, max(1, (len(ordered) - 1).bit_length()), ordered)


def _sign_magnitude(name: str, magnitudes: list[int]) -> Codebook:
    return Codebook(name, (len(magnitudes) - 1).bit_length() + 1, (*magnitudes, *(-m for m in magnitudes)))


CODES: dict[str, Codebook] = {
    book.name: book
    for book in (
        minifloat(2, 1, "e2m1"),
        minifloat(2, 0, "pot3"),
        minifloat(3, 0, "pot4"),
        minifloat(4, 0, "pot5"),
        minifloat(1, 2, "int4"),
        minifloat(3, 1, "e3m1"),
        minifloat(2, 2, "e2m2"),
        _sign_magnitude("apot4", [0, 1, 2, 3, 4, 6, 8, 10]),
        Codebook("ternary", 2, (0, 1, -1)),
    )
}
"""Every codebook that ``--code`` knows by name."""


def codebook(name: str) -> Codebook:
    """The codebook called ``name``: one of :data:`CODES`, any ``exmy``, or a list such as ``"0,1,-1,3"``.

    Raises :class:`HwgenError` with the known names for anything else.
    """
    text = name.strip().lower()
    if text in CODES:
        return CODES[text]
    if len(text) == 4 and text[0] == "e" and text[2] == "m" and text[1].isdigit() and text[3].isdigit():
        exponent, mantissa = int(text[1]), int(text[3])
        if exponent >= 1 and 2 <= exponent + mantissa + 1 <= 6 and exponent <= 4:
            return minifloat(exponent, mantissa)
    try:
        levels = [int(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if any(levels):
        return explicit(levels, name=text)
    raise HwgenError(f"code {name!r} is not known; choose one of {', '.join(CODES)}, or list integer levels: 0,1,-1,3")
