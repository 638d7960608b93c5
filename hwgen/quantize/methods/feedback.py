"""Error feedback: the rounding error of each weight is made good by the weights that are still to be rounded.

The corrected target of :mod:`.quadratic` is rounded one input at a time, and each error is spread over the rest by the
least-squares update, in the form of GPTQ (Frantar et al. 2022, arXiv 2210.17323; the upper Cholesky factor of the
inverse holds all updates). :mod:`.gpfq` is the same idea with a greedy update. Nothing in it depends on the levels'
spacing, so that any codebook will do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...codes import Codebook
from ...floatnet import FloatNetwork
from ..gram import Real
from ..scales import CodedWeights
from .method import MAX_PASSES, MAX_SCALES, Method, option
from .plain import plain
from .problem import Coder, Problem
from .quadratic import Quadratic
from .rows import coded_on_rows, is_wide
from .search import Round, searched

__all__ = ["Feedback", "Spread", "feed_back", "rounding"]

BLOCK = 64
"""Inputs whose errors are spread beyond the block in one matrix product instead of one by one; it changes no result
but for floating-point rounding."""


@dataclass(frozen=True)
class Feedback(Method):
    """See the module's text. scales, passes: as of :func:`~hwgen.quantize.methods.search.searched`."""

    name: ClassVar[str] = "feedback"

    scales: int = option(6, 0, MAX_SCALES)
    passes: int = option(3, 0, MAX_PASSES)

    def coder(self, network: FloatNetwork, codebook: Codebook) -> Coder:
        return self._coded

    def _coded(self, problem: Problem) -> CodedWeights:
        if is_wide(problem.layer):
            return coded_on_rows(problem, self.scales, self.passes)
        coded = plain(problem)
        quadratic = Quadratic.of(problem)
        return searched(problem, coded, quadratic, rounding(quadratic, coded.codebook), self.scales, self.passes)


def rounding(quadratic: Quadratic, codebook: Codebook) -> Round:
    """Error feedback towards the target of ``quadratic``, at any scales."""
    spread = Spread.of(quadratic.hessian)
    return lambda scale: feed_back(quadratic.target, spread, scale, codebook)


@dataclass(frozen=True, eq=False)
class Spread:
    """How errors spread in the metric of a Hessian, for any weights and scales.

    order: of the inputs, (G, K), by descending diagonal: the errors that count most have the most weights left to make
    them good. upper: (G, K, K) in that order, the upper factor ``U`` of the inverse, ``U' U``: row ``j`` is how the
    error of input ``j`` spreads, once divided by ``U[j, j]``.
    """

    order: npt.NDArray[np.int64]
    upper: Real

    @staticmethod
    def of(hessian: Real) -> Spread:
        """hessian: (G, K, K), positive definite."""
        order = np.argsort(-np.einsum("gkk->gk", hessian), axis=1, kind="stable")
        inverse = np.linalg.inv(hessian[np.arange(len(hessian))[:, None, None], order[:, :, None], order[:, None, :]])
        return Spread(order, np.linalg.cholesky(inverse).transpose(0, 2, 1))


def feed_back(target: Real, spread: Spread, scale: Real, codebook: Codebook) -> npt.NDArray[np.int64]:
    """Levels (G, K, P * S) whose ``level * scale`` is near ``target`` (G, K, P) in the metric of ``spread``.

    scale: (G, 1, P * S), S candidates side by side. Inputs are rounded in the order of ``spread``.
    """
    upper, rows = spread.upper, spread.order[:, :, None]
    rest = np.tile(np.take_along_axis(target, rows, axis=1), (1, 1, scale.shape[2] // target.shape[2]))
    levels = np.empty(rest.shape, np.int64)
    inputs = rest.shape[1]
    for first in range(0, inputs, BLOCK):
        last = min(first + BLOCK, inputs)
        errors = np.empty((len(rest), last - first, rest.shape[2]))
        for j in range(first, last):
            levels[:, j] = codebook.nearest(rest[:, j] / scale[:, 0])
            error = (rest[:, j] - levels[:, j] * scale[:, 0]) / upper[:, j, j, None]
            rest[:, j + 1 : last] -= upper[:, j, j + 1 : last, None] * error[:, None]
            errors[:, j - first] = error
        rest[:, last:] -= upper[:, first:last, last:].transpose(0, 2, 1) @ errors
    back = np.argsort(spread.order, axis=1)[:, :, None]
    return np.take_along_axis(levels, back, axis=1)
