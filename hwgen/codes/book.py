"""A codebook: a finite set of integer levels with a code for each, and how a real number becomes one of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .terms import Term, signed_terms

__all__ = ["Codebook", "Rounding"]


class Rounding(Enum):
    """Where the boundary lies between two neighbouring levels ``a`` and ``b`` of one sign.

    Around zero there is no geometric mean: next to level 0, or between a negative and a positive level, both roundings
    take the arithmetic mean. So zero reaches to half the smallest magnitude, as in Przewlocka-Rus et al. 2022
    (arXiv 2203.05025); LogNet itself, which has no such boundary, rounds nothing but 0 to zero.
    """

    LINEAR = "linear"
    """The arithmetic mean ``(a + b) / 2``: least error of the value. At most ``(r - 1) / (r + 1)`` of it, for levels in
    a ratio of ``r``."""
    LOGARITHMIC = "logarithmic"
    """The geometric mean ``sqrt(a * b)``: least error of the logarithm (LogNet, Miyashita et al. 2016; DeepShift). At
    most ``sqrt(r) - 1`` of the value."""


@dataclass(frozen=True)
class Codebook:
    """A finite set of integer levels with a code for each.

    ``levels[code]`` is the level of ``code``; its length is at most ``2**bits``. Where a level occurs twice (negative
    zero, or a set of levels that does not fill its bits) the lower code is the canonical one and the other is never
    produced and never accepted. Level 0, where it is a level, has code 0; a codebook may also do without (*zero-free*).
    """

    name: str
    bits: int
    levels: tuple[int, ...]

    def __post_init__(self) -> None:
        if not any(self.levels):
            raise ValueError("a codebook must have at least one level other than zero")
        if 0 in self.levels and self.levels[0] != 0:
            raise ValueError(f"code 0 must be level 0 where zero is a level, not {self.levels[0]!r}")
        if len(self.levels) > 1 << self.bits:
            raise ValueError(f"{len(self.levels)} levels must fit {self.bits} bits")

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
    def zero_free(self) -> bool:
        """Whether zero is no level, so that no weight is exactly 0."""
        return 0 not in self._code_of

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
        """Whether ``code`` may be stored (it exists and no lower code has its level)."""
        return 0 <= code < len(self.levels) and self._code_of[self.levels[code]] == code

    def decode(self, codes: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Levels of ``codes`` (any shape, unsigned integers). ``ValueError`` for a code that is not canonical."""
        codes = np.asarray(codes)
        legal = np.array([self.is_canonical(c) for c in range(1 << self.bits)])
        if codes.size and (codes.min() < 0 or codes.max() >= legal.size or not legal[codes].all()):
            raise ValueError(f"codes must be codes of {self.name}, each the lowest of its level (no negative zero)")
        return np.array(self.levels, np.int64)[codes]

    def encode(self, levels: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Codes of integer ``levels`` (any shape). ``ValueError`` if a value is not a level."""
        levels = np.asarray(levels, np.int64)
        index = np.clip(np.searchsorted(self.sorted_levels, levels), 0, self.sorted_levels.size - 1)
        if not np.array_equal(self.sorted_levels[index], levels):
            raise ValueError(f"values must be levels of {self.name}")
        return np.array([self._code_of[int(level)] for level in self.sorted_levels], np.uint8)[index]

    @cached_property
    def _boundaries(self) -> dict[Rounding, npt.NDArray[np.float64]]:
        """Between neighbouring levels, ascending: one fewer than there are levels."""
        low, high = self.sorted_levels[:-1].astype(np.float64), self.sorted_levels[1:].astype(np.float64)
        arithmetic, product = (low + high) / 2, low * high
        geometric = np.where(product > 0, np.copysign(np.sqrt(np.abs(product)), low), arithmetic)
        return {Rounding.LINEAR: arithmetic, Rounding.LOGARITHMIC: geometric}

    def nearest(self, values: npt.ArrayLike, rounding: Rounding = Rounding.LINEAR) -> npt.NDArray[np.int64]:
        """The nearest level to each of ``values`` (float, in units of one level step; ties go to the lower level).

        rounding: what is near. In a zero-free codebook 0 becomes the lower of the two levels around it if they are
        equally far.
        """
        return self.sorted_levels[np.searchsorted(self._boundaries[rounding], np.asarray(values, np.float64))]
