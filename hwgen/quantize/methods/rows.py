"""Layers with so many inputs that their moments would not fit into memory: the same error on the samples themselves.

For K inputs the moments are K x K numbers, the samples only as many rows as are taken. With ``x~`` the rows of the
quantized layer, ``x`` those of the float one and ``w`` its weights, the error of weights ``q`` is

    mean over the rows of (x~ q - x w)**2  +  d * (q - w)**2

as in :mod:`.quadratic`. Its minimum would need the moments again, so that the walk is that of :mod:`.gpfq`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ...codes import Codebook
from ...floatnet import FloatConv
from ..gram import Real, as_matrices
from ..scales import CodedWeights
from .plain import plain
from .problem import Problem
from .quadratic import DAMPING
from .search import searched

__all__ = ["NOTE", "VALUES", "Rows", "coded_on_rows", "is_wide"]

MAX_MOMENTS = 1 << 24
"""Second moments of a layer, groups times the square of the inputs of each, up to which they are taken: 4096 inputs of
one group. ``auto`` holds six times as many numbers of 64 bits at a time: 0.8 GB."""

NOTE = "path following on samples, because of many inputs"

VALUES = 1 << 23
"""Numbers of the rows of one network, about: 64 MiB."""


def is_wide(layer: FloatConv) -> bool:
    """Whether ``layer`` has too many inputs for its moments."""
    return layer.groups * layer.weight[0].size ** 2 > MAX_MOMENTS


def coded_on_rows(problem: Problem, scales: int, passes: int) -> CodedWeights:
    """Path following and descent, on as many rows as memory allows; see :func:`~.search.searched`. Says so."""
    start = plain(problem)
    groups = problem.layer.groups
    rows = Rows.of(problem, max(1, VALUES // (problem.inputs * groups)))
    coded = searched(problem, start, rows, lambda scale: rows.follow(scale, start.codebook), scales, passes)
    return replace(coded, note=NOTE)


@dataclass(frozen=True, eq=False)
class Rows:
    """The error above. quantized, real: (G, K, R), without their means, one input's values beside each other in memory,
    since the walks go input by input; weight: (G, K, P)."""

    quantized: Real
    real: Real
    weight: Real

    @staticmethod
    def of(problem: Problem, count: int) -> Rows:
        """The error of the weights of ``problem`` on ``count`` rows, at most."""
        quantized, real = (np.ascontiguousarray(rows.transpose(0, 2, 1)) for rows in problem.rows(count))
        return Rows(quantized, real, as_matrices(problem.weight, problem.layer.groups))

    @cached_property
    def power(self) -> Real:
        """Mean square of every input, damping included: (G, K)."""
        return np.square(self.quantized).mean(axis=2) + self.damping[:, None]

    @cached_property
    def damping(self) -> Real:
        """``d`` of every group, (G,): as in :mod:`.quadratic`."""
        average = np.square(self.quantized).mean(axis=(1, 2))
        return np.where(average > 0, DAMPING * average, 1.0)

    def error(self, weight: Real) -> Real:
        """(G, P * S) of weights (G, K, P * S): any number S of candidates side by side, P channels each."""
        off = weight - self._tiled(self.weight, weight)
        wrong = self._wrong(weight)
        return np.square(wrong).mean(axis=1) + self.damping[:, None] * np.square(off).sum(axis=1)

    def descend(
        self, levels: npt.NDArray[np.int64], scale: Real, codebook: Codebook, passes: int
    ) -> npt.NDArray[np.int64]:
        """As :meth:`~.quadratic.Quadratic.descend`."""
        levels = levels.copy()
        unit, weight = scale[:, 0], self._tiled(self.weight, scale)
        wrong = self._wrong(levels * scale)
        for _ in range(passes):
            changed = False
            for k in range(levels.shape[1]):
                column = self.quantized[:, k, :, None]
                slope = (column * wrong).mean(axis=1) + self.damping[:, None] * (levels[:, k] * unit - weight[:, k])
                best = codebook.nearest(levels[:, k] - slope / (self.power[:, k, None] * unit))
                step = (best - levels[:, k]) * unit
                if step.any():
                    wrong += column * step[:, None]
                    levels[:, k] = best
                    changed = True
            if not changed:
                break
        return levels

    def follow(self, scale: Real, codebook: Codebook) -> npt.NDArray[np.int64]:
        """Levels (G, K, P * S) at scales (G, 1, P * S) by the greedy walk of :mod:`.gpfq`, on the rows."""
        unit, weight = scale[:, 0], self._tiled(self.weight, scale)
        levels = np.empty(weight.shape, np.int64)
        wrong = np.zeros((len(weight), self.real.shape[2], weight.shape[2]))
        for k in range(weight.shape[1]):
            column = self.quantized[:, k, :, None]
            wrong += self.real[:, k, :, None] * weight[:, k, None]
            pull = (column * wrong).mean(axis=1) + self.damping[:, None] * weight[:, k]
            levels[:, k] = codebook.nearest(pull / (self.power[:, k, None] * unit))
            wrong -= column * (levels[:, k] * unit)[:, None]
        return levels

    def _wrong(self, weight: Real) -> Real:
        output = self.real.transpose(0, 2, 1) @ self.weight
        wrong: Real = self.quantized.transpose(0, 2, 1) @ weight - self._tiled(output, weight)
        return wrong

    @staticmethod
    def _tiled(values: Real, like: npt.NDArray[np.generic]) -> Real:
        """``values`` (G, N, P) once for every candidate of ``like``: (G, N, P * S)."""
        return np.tile(values, (1, 1, like.shape[2] // values.shape[2]))
