"""Integers as sums of signed powers of two."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Term", "signed_terms"]


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
