"""Several low-precision tensors whose scales are powers of two apart: one sum, one explicit codebook.

``T ~ alpha * ((T1 << k1) + (T2 << k2) + ... + Tn)`` with levels of one *base* codebook. The values of the bracket are
integers, so a codebook that lists them lets today's engine run the sum as it stands, in one pass. The same codes taken
apart, one code of the base per tensor, are what an engine would read that makes ``n`` passes into one accumulator and
needs the products of the base alone.

Shifts that differ by ``k`` are the hardware's form of free scales in a ratio of ``2**k`` (:mod:`.mmse`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from math import sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from ..codes import Codebook, explicit
from ..codes.families import MAX_LEVELS
from .mse import SortedValues

__all__ = ["MAX_TENSORS", "Sums", "least_noise", "pooled", "tensor_books", "tensor_sums"]

MAX_TENSORS = 3
"""Tensors of one layer. Three of 4 bits already exceed what 8 bits of code can hold."""

MAX_LEVEL = 1 << 16
"""The largest sum, as large as a level of any code may be."""

POOL = 4096
"""Weights that stand for a layer where spacings are compared."""

EXACT = 1e-12
"""Noise, relative to the signal, below which a codebook counts as exact."""

STEPS_PER_OCTAVE, OCTAVES = 6, 5
"""The grid of scales on which spacings are compared, from an octave above no clipping down."""


@dataclass(frozen=True)
class Sums:
    """The sums ``(l1 << shifts[0]) + ... + (ln << shifts[n - 1])`` of levels of ``base``; shifts descend to 0.

    Where there are more than 256 of them those stay that are nearest to :func:`_wanted` values. Of several ways to make
    one sum the one counts whose last tensors are smallest: the first holds most of it.
    """

    base: Codebook
    shifts: tuple[int, ...]

    @property
    def largest(self) -> int:
        """The largest magnitude of any sum."""
        return self.base.max_level * sum(1 << shift for shift in self.shifts)

    @cached_property
    def codebook(self) -> Codebook:
        """The codebook that lists the sums."""
        levels, _ = self._table
        name = "+".join(f"{self.base.name}<<{shift}" if shift else self.base.name for shift in self.shifts)
        return explicit(levels.tolist(), name, zero_free=0 not in levels)

    @property
    def count(self) -> int:
        """The number of tensors."""
        return len(self.shifts)

    def tensor_codes(self, codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """``codes`` of :attr:`codebook`, any shape, as codes of ``base`` for each tensor: (count, *codes.shape)."""
        sums, parts = self._table
        return self.base.encode(parts[:, np.searchsorted(sums, self.codebook.decode(codes))])

    @cached_property
    def _table(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The sums that are kept, ascending (L,), and the levels that make them: (count, L)."""
        grid = np.meshgrid(*[self.base.sorted_levels] * self.count)
        parts = np.stack([part.ravel() for part in grid])
        # By the last tensor's magnitude, then that of the one before: np.unique takes the first of equal sums.
        parts = parts[:, np.lexsort(np.abs(parts))]
        sums, first = np.unique((parts << np.array(self.shifts)[:, None]).sum(axis=0), return_index=True)
        if len(sums) > MAX_LEVELS:
            kept = _thinned(sums)
            sums, first = sums[kept], first[kept]
        return sums, parts[:, first]


def _wanted(count: int) -> npt.NDArray[np.float64]:
    """Where ``count`` levels make the least error of Gaussian values, 0 in the middle, the outermost at +-1.

    The best density of many levels is the cube root of that of the values (Panter and Dite 1951): again Gaussian, and
    wider by sqrt(3).
    """
    at = np.array([NormalDist(sigma=sqrt(3)).inv_cdf((i + 0.5) / count) for i in range(count)])
    symmetric = (at - at[::-1]) / 2
    return np.asarray(symmetric / symmetric[-1], np.float64)


def _thinned(sums: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Indices of at most 255 of ``sums`` (L,), ascending integers: those nearest to wanted values."""
    at = _wanted(MAX_LEVELS - 1) * np.abs(sums).max()
    nearest = np.searchsorted((sums[1:] + sums[:-1]) / 2, np.abs(at))
    # The same on both sides wherever the sums are.
    mirrored = np.searchsorted((sums[1:] + sums[:-1]) / 2, -np.abs(at), side="right")
    return np.unique(np.where(at < 0, mirrored, nearest))


@cache
def tensor_sums(base: Codebook, count: int) -> tuple[Sums, ...]:
    """Every spacing of ``count`` tensors of ``base`` that is worth a try.

    Neighbouring tensors are up to two octaves farther apart than the range of ``base`` is wide, and never farther.
    """
    gaps = range(base.max_level.bit_length() + 3)
    shifts = ([sum(chosen[at:]) for at in range(count)] for chosen in product(gaps, repeat=count - 1))
    return tuple(sums for each in shifts if (sums := Sums(base, tuple(each))).largest <= MAX_LEVEL)


def tensor_books(base: Codebook, count: int) -> list[Codebook]:
    """The codebooks of :func:`tensor_sums`; of ``base`` itself for one tensor."""
    return [base] if count == 1 else [sums.codebook for sums in tensor_sums(base, count)]


def pooled(weight: npt.NDArray[np.float64], importance: npt.NDArray[np.float64] | None = None) -> SortedValues:
    """Weights (O, kh, kw, I) of a layer as one sample, each channel at unit power; for :func:`least_noise`.

    Channels get scales of their own, so that only the shape of their distributions matters. importance: of each
    weight's squared error, of the same shape.
    """
    rows = weight.reshape(len(weight), -1)
    counts = np.ones_like(rows) if importance is None else importance.reshape(rows.shape)
    power = (counts * rows**2).sum(axis=1, keepdims=True) / counts.sum(axis=1, keepdims=True)
    alive = np.nonzero(power[:, 0])[0]
    values = (rows[alive] / np.sqrt(power[alive])).ravel()
    weights = (counts[alive] / counts[alive].mean(axis=1, keepdims=True)).ravel()
    # A fixed sample, not a stride: kernels have a period.
    chosen = np.random.default_rng(0).permutation(values.size)[:POOL]
    return SortedValues(values[chosen], weights[chosen])


def least_noise(values: SortedValues, codebook: Codebook) -> float:
    """The least squared error of ``values`` in ``codebook`` at any scale of a grid, as a share of their energy.

    What floating-point rounding leaves of an exact fit counts as none.
    """
    if not values.energy:
        return 0.0
    top = 2 * values.peak / codebook.max_level
    scales = top * 2.0 ** (-np.arange(STEPS_PER_OCTAVE * OCTAVES) / STEPS_PER_OCTAVE)
    noise = float(values.squared_error(codebook.sorted_levels, scales).min()) / values.energy
    return noise if noise > EXACT else 0.0
