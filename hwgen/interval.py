"""Closed integer intervals: every width in the hardware is computed from one, never typed in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Interval"]


@dataclass(frozen=True, order=True)
class Interval:
    """All integers ``lo <= x <= hi``.

    Raises ``ValueError`` when ``lo > hi``.
    """

    lo: int
    hi: int

    def __post_init__(self) -> None:
        if self.lo > self.hi:
            raise ValueError(f"interval must have lo <= hi, not {self.lo}..{self.hi}")

    @staticmethod
    def of_bits(bits: int, *, signed: bool) -> Interval:
        """The interval of a two's-complement (``signed``) or unsigned integer of ``bits`` bits."""
        return Interval(-(1 << bits - 1), (1 << bits - 1) - 1) if signed else Interval(0, (1 << bits) - 1)

    @staticmethod
    def hull(values: Iterable[int | Interval]) -> Interval:
        """The smallest interval that holds every one of ``values``, numbers or intervals (at least one)."""
        ends = [v if isinstance(v, Interval) else Interval(int(v), int(v)) for v in values]
        return Interval(min(end.lo for end in ends), max(end.hi for end in ends))

    @property
    def signed(self) -> bool:
        """Whether a negative value occurs."""
        return self.lo < 0

    @property
    def bits(self) -> int:
        """Bits of the narrowest two's-complement (if negative values occur) or unsigned integer that holds it."""
        if self.signed:
            return max((-self.lo - 1).bit_length(), self.hi.bit_length() if self.hi > 0 else 0) + 1
        return max(self.hi.bit_length(), 1)

    def __contains__(self, value: int) -> bool:
        return self.lo <= value <= self.hi

    def __or__(self, other: Interval) -> Interval:
        return Interval(min(self.lo, other.lo), max(self.hi, other.hi))

    def __add__(self, other: Interval | int) -> Interval:
        if isinstance(other, int):
            return Interval(self.lo + other, self.hi + other)
        return Interval(self.lo + other.lo, self.hi + other.hi)

    def __mul__(self, factor: int) -> Interval:
        """Times one integer constant of either sign."""
        return Interval.hull((self.lo * factor, self.hi * factor))

    def __rshift__(self, shift: int) -> Interval:
        """Arithmetic shift right (floor), as the hardware does it."""
        return Interval(self.lo >> shift, self.hi >> shift)

    def clip(self, lo: int, hi: int) -> Interval:
        """The image under ``min(max(x, lo), hi)``."""
        return Interval(min(max(self.lo, lo), hi), min(max(self.hi, lo), hi))
