"""What is compared: schemes, each a code, a method and the bits of an activation, and the text that lists them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from ..codes import codebook, names_of
from ..errors import HwgenError
from ..quantize.coded import OWN
from ..quantize.methods import method_of

__all__ = ["Scheme", "labels", "parse_schemes"]


@dataclass(frozen=True)
class Scheme:
    """One way to quantize a network. code, method: as in ``--code`` and ``--method``; act_bits: 2..8."""

    code: str
    method: str
    act_bits: int


def parse_schemes(codes: str, methods: str, act_bits: str = "8") -> list[Scheme]:
    """Every code with every method and every number of activation bits, in this order.

    codes, methods, act_bits: names or numbers between commas or spaces. A list of levels, ``0,1,-1,3``, is one code and
    stands between spaces; the options of a method follow it after commas, ``plain,mmse:tensors=2,budget=5,auto``.
    Raises :class:`HwgenError`, one sentence, for whatever is not known.
    """
    books, recipes, widths = _codes(codes), _methods(methods), _act_bits(act_bits)
    for what, found in (("codes", books), ("methods", recipes), ("activation bits", widths)):
        if not found:
            raise HwgenError(f"there are no {what} to compare; name one at least")
    return [Scheme(*parts) for parts in product(books, recipes, widths)]


def labels(schemes: Sequence[Scheme]) -> list[str]:
    """A short name for each scheme, of what tells it apart from the others: ``e2m1 auto, 4-bit activations``."""
    several_methods = len({scheme.method for scheme in schemes}) > 1
    several_widths = len({scheme.act_bits for scheme in schemes}) > 1
    return [
        scheme.code
        + (f" {scheme.method}" if several_methods else "")
        + (f", {scheme.act_bits}-bit activations" if several_widths else "")
        for scheme in schemes
    ]


def _codes(text: str) -> list[str]:
    names = names_of(text)
    for name in names:
        if name != OWN:
            codebook(name)
    return names


def _methods(text: str) -> list[str]:
    found: list[str] = []
    for part in filter(None, re.split(r"[,\s]+", re.sub(r"\s*\+\s*", "+", text))):
        key, equals, _ = part.partition("=")
        if found and equals and ":" not in key:  # an option of the method before
            found[-1] += f",{part}"
        else:
            found.append(part)
    names = _distinct(found)
    for name in names:
        method_of(name)
    return names


def _act_bits(text: str) -> list[int]:
    names = _distinct(re.split(r"[,\s]+", text))
    for name in names:
        if not re.fullmatch("[2-8]", name):
            raise HwgenError(f"activation bits must be 2 to 8, or several of them between commas, not {name!r}")
    return [int(name) for name in names]


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name))
