"""Error feedback: the rounding error of each weight is made good by the weights that are still to be rounded.

With ``x`` the quantized input, ``y`` the float layer's output on float input and ``H = E[x x']``, one layer's problem
is to find levels ``q`` with the least ``E[(q x - y)**2] + d * (q - w)**2``, ``d`` being a small damping. Completing the
square makes it ``(q - t)' (H + d I) (q - t)`` around the *corrected target* ``t = (H + d I)**-1 (E[x y] + d w)``: the
best real weights, which undo what the layers before have done to the input. ``t`` is then rounded one input at a time,
and each error is spread over the rest by the least-squares update, in the form of GPTQ (Frantar et al. 2022, arXiv
2210.17323; the upper Cholesky factor of the inverse holds all updates). GPFQ (Lybrand and Saab 2020) is the same idea
with a greedy update. Nothing in it depends on the levels' spacing, so that any codebook will do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...codes import Codebook
from ...floatnet import FloatNetwork
from ..gram import Gram, Real, as_matrices, as_weight
from ..scales import CodedWeights
from .method import Method
from .plain import plain
from .problem import Coder, Problem

__all__ = ["MAX_INPUTS", "Feedback", "corrected_target", "damped", "feed_back", "with_feedback"]

DAMPING = 0.01
"""Damping as a share of the mean diagonal of ``H``. Inputs that hardly moved in the calibration data may move later."""

MAX_INPUTS = 4096
"""Inputs of an output channel up to which its layer gets feedback: the square of it is held four times, in 64 bits."""

BLOCK = 64
"""Inputs whose errors are spread beyond the block in one matrix product instead of one by one; it changes no result
but for floating-point rounding."""


@dataclass(frozen=True)
class Feedback(Method):
    """See the module's text."""

    name: ClassVar[str] = "feedback"

    def coder(self, network: FloatNetwork, codebook: Codebook) -> Coder:
        return feedback


def feedback(problem: Problem) -> CodedWeights:
    """Plain rounding's scales, and levels by error feedback; plain rounding where a channel has too many inputs."""
    coded = plain(problem)
    if problem.inputs > MAX_INPUTS:
        return replace(coded, note=f"plainly rounded, more than {MAX_INPUTS} inputs")
    return with_feedback(coded, problem.weight, coded.codebook, problem.layer.groups, problem.gram)


def with_feedback(
    coded: CodedWeights, weight: npt.NDArray[np.float64], codebook: Codebook, groups: int, gram: Gram
) -> CodedWeights:
    """``coded`` with the codes of each output channel that error feedback does better than plain rounding.

    weight: the float weights (O, kh, kw, I / groups). The scales stay. "Better" is the squared output error on the rows
    of ``gram``, apart from the mean, which bias correction takes out.
    """
    scale = coded.weight_scale.reshape(groups, 1, -1)
    matrices = as_matrices(weight, groups)
    plain = codebook.decode(coded.codes)
    hessian, damping = damped(gram.hessian)
    target = corrected_target(matrices, hessian, damping, gram.cross)
    levels = feed_back(target, hessian, scale, codebook)
    better = gram.excess(levels * scale) < gram.excess(as_matrices(plain, groups) * scale)
    chosen = np.where(better.reshape(-1, 1, 1, 1), as_weight(levels, weight.shape), plain)
    return replace(coded, codes=codebook.encode(chosen))


def damped(hessian: Real) -> tuple[Real, Real]:
    """``hessian`` (G, K, K) made positive definite, and the damping on its diagonal: (G, 1, 1)."""
    average = np.einsum("gkk->g", hessian)[:, None, None] / hessian.shape[1]
    # Where no input moved, every weight is as good as any other; the identity leaves them alone.
    damping = np.where(average > 0, DAMPING * average, 1.0)
    return hessian + damping * np.eye(hessian.shape[1]), damping


def corrected_target(weight: Real, hessian: Real, damping: Real, cross: Real) -> Real:
    """The best real weights (G, K, P) on the quantized input; ``hessian`` and ``damping`` as of :func:`damped`."""
    return np.linalg.solve(hessian, cross + damping * weight).astype(np.float64, copy=False)


def feed_back(target: Real, hessian: Real, scale: Real, codebook: Codebook) -> npt.NDArray[np.int64]:
    """Levels (G, K, P) whose ``level * scale`` is near ``target`` (G, K, P) in the metric of ``hessian`` (G, K, K).

    hessian: positive definite; scale: (G, 1, P). Inputs are rounded in the order of descending diagonal, so that the
    errors that count most have the most weights left to make them good.
    """
    order = np.argsort(-np.einsum("gkk->gk", hessian), axis=1, kind="stable")
    rows, columns = order[:, :, None], order[:, None, :]
    sorted_hessian = np.take_along_axis(np.take_along_axis(hessian, rows, axis=1), columns, axis=2)
    # The upper factor U of the inverse, U' U: row j is how the error of input j spreads, once divided by U[j, j].
    upper = np.linalg.cholesky(np.linalg.inv(sorted_hessian)).transpose(0, 2, 1)
    rest = np.take_along_axis(target, rows, axis=1)
    levels = np.empty(target.shape, np.int64)
    inputs = target.shape[1]
    for first in range(0, inputs, BLOCK):
        last = min(first + BLOCK, inputs)
        errors = np.empty((len(target), last - first, target.shape[2]))
        for j in range(first, last):
            levels[:, j] = codebook.nearest(rest[:, j] / scale[:, 0])
            error = (rest[:, j] - levels[:, j] * scale[:, 0]) / upper[:, j, j, None]
            rest[:, j + 1 : last] -= upper[:, j, j + 1 : last, None] * error[:, None]
            errors[:, j - first] = error
        rest[:, last:] -= upper[:, first:last, last:].transpose(0, 2, 1) @ errors
    back = np.argsort(order, axis=1)[:, :, None]
    return np.take_along_axis(levels, back, axis=1)
