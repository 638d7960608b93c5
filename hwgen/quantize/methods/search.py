"""The scale of every channel, searched together with its levels: what is best for plain rounding is not for others."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ...codes import Codebook
from ...network import MANTISSAS
from ..gram import Real, as_matrices, as_weight
from ..requant import KMAX
from ..scales import CodedWeights, with_levels
from .problem import Problem

__all__ = ["Error", "Round", "neighbours", "searched"]

Round = Callable[[Real], npt.NDArray[np.int64]]
"""Levels (G, K, P * S) at scales (G, 1, P * S): S candidates of the P channels of each group side by side."""


class Error(Protocol):
    """The squared output error of one layer: :class:`.quadratic.Quadratic` or :class:`.rows.Rows`."""

    def error(self, weight: Real) -> Real:
        """(G, P * S) of weights (G, K, P * S)."""
        ...

    def descend(
        self, levels: npt.NDArray[np.int64], scale: Real, codebook: Codebook, passes: int
    ) -> npt.NDArray[np.int64]:
        """Levels (G, K, P * S) at scales (G, 1, P * S) with no larger an error."""
        ...


VALUES = 1 << 22
"""Weights that are tried at a time, about: 32 MiB each in a few arrays."""

_FACTORS = tuple(sorted(mantissa << k for k in range(KMAX + 1) for mantissa in MANTISSAS))
"""Every requantization factor that there is."""


def neighbours(mul: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """The factors up to ``count`` places below and above each of ``mul`` (O,) on the grid: (2 * count + 1, O).

    At an end of the grid the last factor repeats. Six places are an octave.
    """
    place = np.array([bisect_left(_FACTORS, value) for value in mul.tolist()])
    steps = np.arange(-count, count + 1)[:, None]
    return np.array(_FACTORS, np.int64)[np.clip(place + steps, 0, len(_FACTORS) - 1)]


def searched(
    problem: Problem, start: CodedWeights, error: Error, rounding: Round, scales: int, passes: int
) -> CodedWeights:
    """Of the scales around those of ``start``, ``scales`` places to each side, the best ones for ``rounding``.

    Each candidate is rounded, improved by ``passes`` rounds of descent, and judged by ``error``, channel by
    channel; ``start`` itself is one of them, so that no channel ever gets worse.
    """
    book, groups = start.codebook, problem.layer.groups
    levels = as_matrices(book.decode(start.codes), groups).astype(np.int64)
    mul = start.mul.reshape(groups, -1).copy()
    least = error.error(levels * start.weight_scale.reshape(groups, 1, -1))
    candidates = neighbours(start.mul, scales).reshape(2 * scales + 1, groups, -1)
    together = max(1, VALUES // levels.size)
    for first in range(0, len(candidates), together):
        factors = np.moveaxis(candidates[first : first + together], 0, 1)  # (G, S, P)
        scale = (problem.ratio * factors / 2.0**start.shift).astype(np.float64).reshape(groups, 1, -1)
        found = rounding(scale)
        if passes:
            found = error.descend(found, scale, book, passes)
        errors = error.error(found * scale).reshape(factors.shape)
        split = found.reshape(groups, found.shape[1], *factors.shape[1:])
        for index in range(factors.shape[1]):
            better = errors[:, index] < least
            least = np.where(better, errors[:, index], least)
            mul = np.where(better, factors[:, index], mul)
            levels = np.where(better[:, None], split[:, :, index], levels)
    return with_levels(as_weight(levels, problem.weight.shape), book, problem.ratio, mul.ravel(), start.shift)
