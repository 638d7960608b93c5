"""The squared output error of one layer, as a function of its weights; and descent on it, one weight at a time.

With ``x`` the quantized input, ``y`` the float layer's output on float input, ``H = E[x x']`` and ``w`` the float
weights, the error of weights ``q`` is ``E[(q x - y)**2] + d * (q - w)**2``, ``d`` being a small damping. Completing the
square makes it ``(q - t)' (H + d I) (q - t)`` plus a constant, around the *corrected target*
``t = (H + d I)**-1 (E[x y] + d w)``: the best real weights, which undo what the layers before have done to the input.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ...codes import Codebook
from ..gram import Gram, Real, as_matrices
from .problem import Problem

__all__ = ["DAMPING", "Quadratic"]

DAMPING = 0.03
"""Damping as a share of the mean diagonal of ``H``. Inputs that hardly moved in the calibration data may move later."""


@dataclass(frozen=True, eq=False)
class Quadratic:
    """``q' H q - 2 q' c`` for every output channel: the error above, less what does not depend on ``q``.

    hessian: (G, K, K), positive definite, damping included; slope: ``c``, (G, K, P), likewise; in real units.
    """

    hessian: Real
    slope: Real

    @staticmethod
    def of(problem: Problem) -> Quadratic:
        """The error of the weights of ``problem``, from its moments."""
        return Quadratic.between(problem.gram, as_matrices(problem.weight, problem.layer.groups))

    @staticmethod
    def between(gram: Gram, weight: Real) -> Quadratic:
        """The error of weights that stand for ``weight`` (G, K, P), on the rows of ``gram``."""
        average = np.einsum("gkk->g", gram.hessian)[:, None, None] / weight.shape[1]
        # Where no input moved, every weight is as good as any other; the identity leaves them alone.
        damping = np.where(average > 0, DAMPING * average, 1.0)
        return Quadratic(gram.hessian + damping * np.eye(weight.shape[1]), gram.cross + damping * weight)

    @cached_property
    def target(self) -> Real:
        """The best real weights, (G, K, P)."""
        return np.linalg.solve(self.hessian, self.slope).astype(np.float64, copy=False)

    def error(self, weight: Real) -> Real:
        """(G, P * S) of weights (G, K, P * S): any number S of candidates side by side, P channels each."""
        return np.einsum("gkp,gkp->gp", weight, self.hessian @ weight - 2 * self._slope_of(weight))

    def descend(
        self, levels: npt.NDArray[np.int64], scale: Real, codebook: Codebook, passes: int
    ) -> npt.NDArray[np.int64]:
        """``levels`` (G, K, P * S) after at most ``passes`` rounds of cyclic coordinate descent; never a larger error.

        scale: (G, 1, P * S). Every weight in turn takes the level that is best while the others stay (the step of
        Nagel et al. 2020's objective, solved exactly for one weight); it ends early where none changes.
        """
        levels = levels.copy()
        unit = scale[:, 0]
        slope = self.hessian @ (levels * scale) - self._slope_of(levels)
        diagonal = np.einsum("gkk->gk", self.hessian)
        for _ in range(passes):
            changed = False
            for k in range(levels.shape[1]):
                best = codebook.nearest(levels[:, k] - slope[:, k] / (diagonal[:, k, None] * unit))
                step = (best - levels[:, k]) * unit
                if step.any():
                    slope += self.hessian[:, :, k, None] * step[:, None]
                    levels[:, k] = best
                    changed = True
            if not changed:
                break
        return levels

    def _slope_of(self, weight: npt.NDArray[np.generic]) -> Real:
        """The slope, once for every candidate that ``weight`` holds side by side."""
        return np.tile(self.slope, (1, 1, weight.shape[2] // self.slope.shape[2]))
