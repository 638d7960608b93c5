"""Squared quantization error of many values at many scales, without quantizing a value once.

Sort the values; then the values that a scale maps to one level are neighbours, and their count and sum are
differences of two running totals. One scale costs two binary searches per level, however many values there are, and
the result is exact up to floating-point rounding. Weights and activations both use it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["SortedValues"]


class SortedValues:
    """``values`` (any shape, real) made ready for :meth:`squared_error`.

    importance: the weight of each value's squared error, same shape, >= 0; 1 for all of them by default.
    """

    def __init__(self, values: npt.ArrayLike, importance: npt.ArrayLike | None = None) -> None:
        flat = np.asarray(values, np.float64).ravel()
        if importance is None:
            self._sorted = np.sort(flat)
            counts = np.ones_like(flat)
        else:
            order = np.argsort(flat)
            self._sorted, counts = flat[order], np.asarray(importance, np.float64).ravel()[order]
        self._counts = np.concatenate(([0.0], np.cumsum(counts)))
        self._sums = np.concatenate(([0.0], np.cumsum(counts * self._sorted)))
        self.energy = float(counts @ np.square(self._sorted))
        """The weighted sum of squares."""
        self.peak = float(np.abs(flat).max(initial=0.0))
        """The largest magnitude; 0 for no values."""

    def squared_error(self, levels: npt.ArrayLike, scales: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """``sum(importance * (value - scale * nearest level)**2)`` for each of ``scales`` (C,) > 0: (C,) float64.

        levels: ascending integers. With ``n``, ``t`` the weighted count and sum of a level's values the error is
        ``energy - 2 * scale * sum(level * t) + scale**2 * sum(level**2 * n)``.
        """
        level = np.asarray(levels, np.float64)
        scale = np.asarray(scales, np.float64)
        cuts = np.searchsorted(self._sorted, scale[:, None] * ((level[1:] + level[:-1]) / 2))
        edges = np.pad(cuts, ((0, 0), (1, 0)))
        edges = np.pad(edges, ((0, 0), (0, 1)), constant_values=self._sorted.size)
        counts = np.diff(self._counts[edges], axis=1)
        sums = np.diff(self._sums[edges], axis=1)
        # The three terms nearly cancel for an exact fit; rounding must not make an error negative.
        return np.maximum(self.energy - 2 * scale * (sums @ level) + scale**2 * (counts @ level**2), 0.0)
