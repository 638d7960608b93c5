"""Where the largest level of a codebook lies: the optimum for known densities, and a scale that puts it there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ...codes import Codebook
from ...network import MANTISSAS
from ..mse import SortedValues
from ..requant import KMAX, MAX_SHIFT
from ..scales import on_grid

__all__ = ["DENSITIES", "Density", "optimal_clip", "scales_at", "without_zeros"]

Real = npt.NDArray[np.float64]

POINTS = 20_000
"""Points that stand for a density."""

CLIPS = np.geomspace(0.25, 32, 3000)
"""The clips that are tried, in root mean squares: 0.16 % apart."""

KAPPA = 4.0
"""Concentration of the von Mises density. The published coefficients of SAWB are those of a narrow one."""


@dataclass(frozen=True, eq=False)
class Density:
    """A symmetric density of root mean square 1. values: (N,), ascending; shares: (N,) > 0, of sum 1."""

    values: Real
    shares: Real

    @property
    def magnitude(self) -> float:
        """E|x|."""
        return float(self.shares @ np.abs(self.values))

    @cached_property
    def _sorted(self) -> SortedValues:
        return SortedValues(self.values, self.shares)

    def peak(self, count: int) -> float:
        """The magnitude that ``count`` samples exceed once, about."""
        return float(np.interp(1 - 0.5 / count, np.cumsum(self.shares), self.values))

    def noise(self, levels: npt.ArrayLike, clips: Real) -> Real:
        """Mean squared error (C,) of rounding to ascending ``levels`` whose largest magnitude is at ``clips`` (C,)."""
        return self._sorted.squared_error(levels, clips / np.abs(levels).max())

    def beyond(self, limit: float) -> Density:
        """What is left of it where ``abs(x) >= limit``, not scaled anew."""
        kept = np.abs(self.values) >= limit
        return Density(self.values[kept], self.shares[kept])


def _density(shape: Real, half: float) -> Density:
    """The density proportional to ``shape``, sampled at the points of :func:`_points` from ``-half`` to ``half``."""
    values, shares = _points(half), shape / shape.sum()
    return Density(values / np.sqrt(shares @ np.square(values)), shares)


def _points(half: float) -> Real:
    return np.linspace(-half, half, POINTS, endpoint=False) + half / POINTS


DENSITIES: dict[str, Density] = {
    "gauss": _density(np.exp(-np.square(_points(9)) / 2), 9),
    "laplace": _density(np.exp(-np.abs(_points(30))), 30),
    "uniform": _density(np.ones(POINTS), 1),
    "logistic": _density(1 / np.cosh(_points(40) / 2) ** 2, 40),
    "triangular": _density(1 - np.abs(_points(1)), 1),
    "von Mises": _density(np.exp(KAPPA * np.cos(_points(np.pi))), np.pi),
}
"""The six densities that SAWB is fitted to (Choi et al. 2019). Tails are cut where less than 1e-12 is left."""


def optimal_clip(levels: npt.ArrayLike, density: Density) -> tuple[float, float]:
    """The clip with the least mean squared error for ascending ``levels``, and that error."""
    noise = density.noise(levels, CLIPS)
    best = int(noise.argmin())
    return float(CLIPS[best]), float(noise[best])


def without_zeros(wanted: Real, ratio: float) -> Real:
    """Scales (O,) for a code without zero: a channel without weights, whose own is 0, gets as small a one as can be."""
    smallest = wanted[wanted > 0].min() / 2**KMAX if wanted.any() else ratio * MANTISSAS[0] / 2.0**MAX_SHIFT
    return np.where(wanted > 0, wanted, smallest)


def scales_at(clips: Real, codebook: Codebook, ratio: float) -> tuple[Real, npt.NDArray[np.int64], int]:
    """``(scale, mul, shift)``, (O,) each but the last: points of the grid at which the largest level is near ``clips``.

    clips: (O,), 0 for a channel without weights, whose scale goes along with the others; weights that cannot be zero
    get the smallest scale there is.
    """
    wanted = clips / codebook.max_level
    if codebook.zero_free:
        wanted = without_zeros(wanted, ratio)
    mul, shift = on_grid(wanted, ratio)
    return (ratio * mul / 2.0**shift).astype(np.float64), mul, shift
