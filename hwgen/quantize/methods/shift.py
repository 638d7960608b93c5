"""Virtual bit shift: groups of input channels within a layer have exponents of their own (Nicodemo et al. 2019, arXiv
1911.00527).

A group whose weights are all below ``2**-k`` of the channel's range has ``k`` leading bits that say nothing. They are
dropped, the next ``b`` bits are stored, and a shift by ``k`` puts them back: :func:`encode` and :func:`decode` do it in
fixed point. Any codebook will do, whose levels a group then has ``2**-k`` times as large. In units of the finest group
these are the levels ``level << e``, one explicit codebook that today's engine runs. Hardware of its own would
store ``b`` bits per weight and ``k`` per group (:func:`stored_bits`), and shift one partial sum per group and output.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...codes import Codebook, explicit
from ...codes.families import MAX_LEVELS
from ...floatnet import FloatNetwork
from ..scales import CodedWeights, on_grid, with_levels
from ..tensors import MAX_LEVEL
from .method import Method, option
from .plain import plain
from .problem import Coder, Problem

__all__ = ["Shift", "decode", "encode", "exponents", "shifted", "stored_bits"]

Real = npt.NDArray[np.float64]
Integer = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shift(Method):
    """See the module's text. size: input channels of a group; bits: the most that a group drops, 1 to 8."""

    name: ClassVar[str] = "shift"
    keeps_code: ClassVar[bool] = False

    size: int = option(8, 1)
    bits: int = option(3, 1, 8)

    def coder(self, network: FloatNetwork, codebook: Codebook) -> Coder:
        return self.code

    def code(self, problem: Problem) -> CodedWeights:
        coded, book = plain(problem), problem.codebook
        most = self.bits
        while most and not _fits(book, most, coded.weight_scale, problem.ratio):
            most -= 1
        if not most:
            note = f"plainly rounded, as {book.name} shifted by 1 is no code, or its scales would be off the grid"
            return replace(coded, note=note)
        drops = exponents(problem.weight, problem.importance, coded.weight_scale, book, self.size, most)
        most = int(drops.max())
        if not most:
            note = f"plainly rounded, as no group of {self.size} input channels gains from leaving out leading bits"
            return replace(coded, note=note)
        mul, shift = on_grid(coded.weight_scale / 2**most, problem.ratio)
        fine = _unrolled(book, most)
        each = _per_weight(drops, self.size, problem.weight.shape)
        levels = book.nearest(problem.weight / (coded.weight_scale[:, None, None, None] / 2.0**each)) << (most - each)
        note = (
            f"groups of {self.size} input channels have exponents of their own, as part of longer codes; an engine "
            f"that shifts the partial sum of a group would store codes of {book.name} and "
            f"{most.bit_length()} bits per group"
        )
        return with_levels(levels, fine, problem.ratio, mul, shift, note)


def encode(weight: npt.ArrayLike, bits: int, drop: npt.ArrayLike) -> Integer:
    """The word of ``bits`` bits, sign included, of ``weight``, real, whose ``drop`` leading bits are left out.

    Of the word of ``bits + drop`` bits of a fixed-point number from -1 to 1, rounded to nearest, the leading bits all
    equal the sign while the rounded weight is in ``[-2**-drop, 2**-drop)``; anything beyond saturates.
    """
    half = 1 << bits - 1
    words = np.floor(np.asarray(weight, np.float64) * half * 2.0 ** np.asarray(drop) + 0.5)
    return np.clip(words, -half, half - 1).astype(np.int64)


def decode(words: npt.ArrayLike, bits: int, drop: npt.ArrayLike) -> Real:
    """The weights of ``words``: an arithmetic shift by ``drop`` behind the point of ``bits - 1`` fractional bits."""
    return np.asarray(words, np.int64) / (2.0 ** (bits - 1) * 2.0 ** np.asarray(drop))


def stored_bits(shape: tuple[int, ...], size: int, bits: int, most: int) -> int:
    """Memory of a layer with weights of ``shape`` (O, kh, kw, I / groups) in hardware with a shift per group.

    ``bits`` per weight, and for each output channel and each ``size`` of its input channels the bits of 0 to ``most``.
    """
    outputs, height, width, inputs = shape
    return outputs * (height * width * inputs * bits + -(-inputs // size) * most.bit_length())


def exponents(weight: Real, importance: Real, scale: Real, codebook: Codebook, size: int, most: int) -> Integer:
    """How many bits, 0 to ``most``, each group drops: (O, ceil(I / size)) for ``weight`` (O, kh, kw, I).

    Out of those whose range holds the group, and 0, the one with the least squared error; the smaller of equals.
    That error is never more than without shifts. scale: (O,).
    """
    outputs = len(weight)
    groups = -(-weight.shape[3] // size)

    def grouped(values: Real) -> Real:
        padded = np.pad(values, ((0, 0), (0, 0), (0, 0), (0, groups * size - weight.shape[3])))
        return padded.reshape(outputs, -1, groups, size).transpose(0, 2, 1, 3).reshape(outputs, groups, -1)

    relative, shares = grouped(weight / scale[:, None, None, None]), grouped(importance)
    best = np.zeros((outputs, groups), np.int64)
    least = np.full((outputs, groups), np.inf)
    for drop in range(most + 1):
        errors = relative - codebook.nearest(relative * 2**drop) / 2**drop
        noise = (shares * np.square(errors)).sum(axis=2)
        inside = np.abs(relative).max(axis=2) * 2**drop <= codebook.max_level
        better = (inside | (drop == 0)) & (noise < least)
        best[better], least[better] = drop, noise[better]
    return best


def shifted(codebook: Codebook, most: int) -> set[int]:
    """Every ``level << e`` with ``e`` from 0 to ``most``."""
    return {level << e for level in codebook.sorted_levels.tolist() for e in range(most + 1)}


def _unrolled(codebook: Codebook, most: int) -> Codebook:
    name = f"{codebook.name} shifted by 0 to {most}"
    return explicit(shifted(codebook, most), name=name, zero_free=codebook.zero_free)


def _fits(codebook: Codebook, most: int, scale: Real, ratio: float) -> bool:
    """Whether ``level << e`` is a codebook, and its scales, ``2**most`` times finer than ``scale``, are on the grid."""
    if codebook.max_level << most > MAX_LEVEL or len(shifted(codebook, most)) > MAX_LEVELS:
        return False
    mul, shift = on_grid(scale / 2**most, ratio)
    return bool((ratio * mul / 2.0**shift == scale / 2**most).all())


def _per_weight(drops: Integer, size: int, shape: tuple[int, ...]) -> Integer:
    """``drops`` (O, groups) for every weight: (O, 1, 1, I)."""
    return drops.repeat(size, axis=1)[:, None, None, : shape[3]]
