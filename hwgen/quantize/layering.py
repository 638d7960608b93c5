"""Vertical layering: one stored network, whose codes hold those of every lower precision as their leading bits.

A nested code is a chain of *digits*, each a code of one *base* codebook, the most significant first:

    level = (d1 << (terms - 1) * spacing) + ... + (d_terms << 0)

The digits are greedy, as in ShiftCNN (Gudovskiy and Rigazio 2017): each is the level nearest to what those before it
leave. Only levels that greedy digits reproduce are used, so each has one code, and dropping digits is quantizing anew
(Wu et al. 2023, arXiv 2212.05326, cascade precisions in the same way)::

    decode(code >> dropped * bits) == greedy sum of fewer digits(decode(code))        for every code

A level has one code, and where two chains of digits make it (2 + 1 = 4 - 1) the greedy one counts. So the first digit
is not always the one nearest to the weight itself: on ResNet-8 that, and a scale shared by all precisions, cost one
term of PoT3 about 1 dB against rounding to PoT3 alone.

The other nesting of that paper, leaving away the last bits of one code, is not here. It merges neighbouring magnitudes,
which for powers of two are the exponents 2j and 2j + 1, into the smaller: Gaussian weights of E2M1 keep 11.5 dB of 19,
of PoT4 7.8 dB of 14. And a small negative weight would become the negative zero, which the hardware does not have.

Units stay, so that weight scales and requantization serve every precision. The name of a codebook says how it is
nested, and is believed only if the levels agree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from ..codes import Codebook
from ..codes import codebook as find_codebook
from ..errors import HwgenError
from ..network import Conv, Network

__all__ = ["CODE_BITS", "Nested", "drop", "nesting_of", "nestings"]

CODE_BITS = 8
"""Bits of a code, at most."""

_NAME = re.compile(r"(\d+) of (\d+) terms of (.+), (\d+) apart")


@dataclass(frozen=True)
class Nested:
    """The first ``kept`` digits of nested codes of ``terms`` digits, ``spacing`` binary places apart."""

    base: Codebook
    terms: int
    spacing: int
    kept: int

    @cached_property
    def codebook(self) -> Codebook:
        """``kept * base.bits`` bits; the codes of levels that greedy digits do not reproduce are left out."""
        codes = np.arange(1 << self.kept * self.base.bits)
        digits = self.digits(codes)
        legal = np.isin(digits, [code for code in range(len(self.base.levels)) if self.base.is_canonical(code)])
        levels = np.array(self.base.levels)[np.where(legal, digits, 0)]
        sums = (levels << self._shifts[:, None]).sum(axis=0)
        own = legal.all(axis=0) & (self.greedy(sums) == levels).all(axis=0)
        if not self.possible:
            raise ValueError(f"code 0 of {self.base.name} must be what greedy digits make of its level")
        # A code that repeats the level of code 0 is one that is never used. Without a zero, no sum may be one either.
        own &= (sums != 0) | (codes == 0)
        for kept in range(1, self.kept):
            shorter = replace(self, kept=kept).codebook
            prefixes = codes >> (self.kept - kept) * self.base.bits
            own &= np.isin(prefixes, [code for code in range(len(shorter.levels)) if shorter.is_canonical(code)])
        name = f"{self.kept} of {self.terms} terms of {self.base.name}, {self.spacing} apart"
        return Codebook(name, self.kept * self.base.bits, tuple(np.where(own, sums, sums[0]).tolist()))

    @property
    def possible(self) -> bool:
        """Whether greedy digits reproduce code 0, as they must; only without a zero they may not."""
        first = np.full(self.kept, self.base.levels[0])
        return bool((self.greedy((first << self._shifts).sum()) == first).all())

    @property
    def _shifts(self) -> npt.NDArray[np.int64]:
        """Of each digit that is kept."""
        return self.spacing * (self.terms - 1 - np.arange(self.kept))

    def digits(self, codes: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """``codes``, any shape, taken apart into codes of ``base``: (kept, *codes.shape)."""
        bits = self.base.bits
        parts = [np.asarray(codes, np.int64) >> bits * at & (1 << bits) - 1 for at in reversed(range(self.kept))]
        return np.stack(parts)

    def greedy(self, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The digits of ``values``, real or whole, any shape, as levels of ``base``: (kept, *values.shape)."""
        rest = np.asarray(values, np.float64)
        found = []
        for shift in self._shifts.tolist():
            digit = _nearest(self.base, rest / (1 << shift))
            rest = rest - (digit << shift)
            found.append(digit)
        return np.stack(found)


def _nearest(book: Codebook, values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The nearest levels; where they are the same on both sides of zero, of equally near ones the smaller magnitude."""
    if not np.array_equal(book.sorted_levels, -book.sorted_levels[::-1]):
        return book.nearest(values)
    return np.where(values < 0, -book.nearest(-values), book.nearest(values))


@cache
def nestings(base: Codebook, terms: int) -> tuple[Nested, ...]:
    """Whole codes of ``terms`` digits, one for each spacing that is worth a try and possible."""
    found = (Nested(base, terms, spacing, terms) for spacing in range(1, base.max_level.bit_length() + 2))
    return tuple(nested for nested in found if nested.possible)


@cache
def nesting_of(book: Codebook) -> Nested | None:
    """How the codes of ``book`` are nested, or None if they are not."""
    if (form := _NAME.fullmatch(book.name)) is None:
        return None
    kept, terms, spacing = int(form[1]), int(form[2]), int(form[4])
    try:
        base = find_codebook(form[3])
    except HwgenError:
        return None
    if not 1 <= kept <= terms or terms * base.bits > CODE_BITS:
        return None
    found = (replace(nested, kept=kept) for nested in nestings(base, terms) if nested.spacing == spacing)
    return next((nested for nested in found if nested.codebook == book), None)


def drop(network: Network, terms: int) -> Network:
    """``network`` with nested codes, cut down to their first ``terms`` digits; scales and biases stay.

    The result is that of quantizing with fewer terms from the start, code for code. Layers whose codes are not nested,
    or have no more digits than that, stay as they are. Raises :class:`HwgenError` where that leaves every layer as it
    is.
    """
    found = [nesting_of(layer.codebook) for layer in network.layers if isinstance(layer, Conv)]
    kept = max((nested.kept for nested in found if nested is not None), default=0)
    if kept == 0:
        raise HwgenError("the network's codes are not nested; quantize the model with `--method layering`")
    if kept == 1:
        raise HwgenError("the network holds but one term of each code; drop from the one that it was made from")
    if not 1 <= terms < kept:
        raise HwgenError(f"terms must be 1 to {kept - 1}, fewer than the {kept} of the network, not {terms}")
    layers = tuple(_cut(layer, terms) if isinstance(layer, Conv) else layer for layer in network.layers)
    note = f"nested codes are cut down to the first {terms} of {kept} terms."
    return replace(network, layers=layers, notes=(*network.notes, note))


def _cut(layer: Conv, terms: int) -> Conv:
    nested = nesting_of(layer.codebook)
    if nested is None or nested.kept <= terms:
        return layer
    codes = layer.codes >> (nested.kept - terms) * nested.base.bits
    return replace(layer, codes=codes.astype(np.uint8), codebook=replace(nested, kept=terms).codebook)
