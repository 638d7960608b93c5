"""Error feedback: the rounding error of each weight is made good by the weights that are still to be rounded.

The corrected target of :mod:`.quadratic` is rounded one input at a time, and each error is spread over the rest by the
least-squares update, in the form of GPTQ (Frantar et al. 2022, arXiv 2210.17323; the upper Cholesky factor of the
inverse holds all updates). :mod:`.gpfq` is the same idea with a greedy update. Nothing in it depends on the levels'
spacing, so that any codebook will do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...codes import Codebook
from ...floatnet import FloatNetwork
from ..gram import Real
from ..scales import CodedWeights
from .method import Method
from .plain import plain
from .problem import Coder, Problem
from .quadratic import Quadratic
from .rows import MAX_INPUTS, coded_on_rows
from .search import Round, searched

__all__ = ["Feedback", "feed_back", "rounding"]

BLOCK = 64
"""Inputs whose errors are spread beyond the block in one matrix product instead of one by one; it changes no result
but for floating-point rounding."""


@dataclass(frozen=True)
class Feedback(Method):
    """See the module's text. scales, passes: as of :func:`~hwgen.quantize.methods.search.searched`."""

    name: ClassVar[str] = "feedback"

    scales: int = 6
    passes: int = 3

    def coder(self, network: FloatNetwork, codebook: Codebook) -> Coder:
        return self._coded

    def _coded(self, problem: Problem) -> CodedWeights:
        if problem.inputs > MAX_INPUTS:
            coded = coded_on_rows(problem, self.scales, self.passes)
            return replace(coded, note=f"path following on samples, because of more than {MAX_INPUTS} inputs")
        coded = plain(problem)
        quadratic = Quadratic.of(problem)
        return searched(problem, coded, quadratic, rounding(quadratic, coded.codebook), self.scales, self.passes)


def rounding(quadratic: Quadratic, codebook: Codebook) -> Round:
    """Error feedback towards the target of ``quadratic``, at any scales."""
    return lambda scale: feed_back(quadratic.target, quadratic.hessian, scale, codebook)


def feed_back(target: Real, hessian: Real, scale: Real, codebook: Codebook) -> npt.NDArray[np.int64]:
    """Levels (G, K, P * S) whose ``level * scale`` is near ``target`` (G, K, P) in the metric of ``hessian`` (G, K, K).

    hessian: positive definite; scale: (G, 1, P * S), S candidates side by side. Inputs are rounded in the order of
    descending diagonal, so that the errors that count most have the most weights left to make them good.
    """
    order = np.argsort(-np.einsum("gkk->gk", hessian), axis=1, kind="stable")
    rows, columns = order[:, :, None], order[:, None, :]
    sorted_hessian = np.take_along_axis(np.take_along_axis(hessian, rows, axis=1), columns, axis=2)
    # The upper factor U of the inverse, U' U: row j is how the error of input j spreads, once divided by U[j, j].
    upper = np.linalg.cholesky(np.linalg.inv(sorted_hessian)).transpose(0, 2, 1)
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
    back = np.argsort(order, axis=1)[:, :, None]
    return np.take_along_axis(levels, back, axis=1)
