"""GPFQ: greedy path following quantization, and SPFQ, its stochastic variant, for any codebook.

Lybrand and Saab 2020; Zhang, Zhou and Saab 2022 (arXiv 2201.11113); SPFQ: Zhang and Saab 2023 (arXiv 2309.10975). The
weights of a neuron are walked once. ``u`` is what the float neuron has put out so far less what the quantized one has;
input ``t`` adds ``w_t X_t`` to it, ``X_t`` its values in the float network, and takes ``q_t X~_t`` away, ``X~_t`` its
values in the quantized one, where

    q_t = Q(<X~_t, u + w_t X_t> / ||X~_t||**2)

is the level that brings ``u`` nearest to zero. For N weights and m samples the relative squared error of a neuron then
falls like ``m log(N) / N``, where that of plain rounding stays. SPFQ rounds to the level below or above at random, so
that the expectation is the value itself.

All inner products are sums over moments, so that the samples need not be kept: with ``H = X~' X~`` and ``C = X~' X``
the argument is ``(sum_{s<=t} C[t,s] w_s - sum_{s<t} H[t,s] q_s) / H[t,t]``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...codes import Codebook
from ...floatnet import FloatNetwork
from ..gram import Real, as_matrices
from ..scales import CodedWeights
from .method import MAX_PASSES, MAX_SCALES, Method, option
from .plain import plain
from .problem import Coder, Problem
from .quadratic import DAMPING, Quadratic
from .rows import coded_on_rows, is_wide
from .search import Round, searched

__all__ = ["GPFQ", "SPFQ", "follow_path", "rounding", "stochastic"]


@dataclass(frozen=True)
class GPFQ(Method):
    """See the module's text. scales, passes: as of :func:`~hwgen.quantize.methods.search.searched`."""

    name: ClassVar[str] = "gpfq"

    scales: int = option(6, 0, MAX_SCALES)
    passes: int = option(0, 0, MAX_PASSES)

    def coder(self, network: FloatNetwork, codebook: Codebook) -> Coder:
        return lambda problem: _coded(problem, self.scales, self.passes, None)


@dataclass(frozen=True)
class SPFQ(Method):
    """The stochastic variant; ``seed`` makes it reproducible."""

    name: ClassVar[str] = "spfq"

    scales: int = option(6, 0, MAX_SCALES)
    passes: int = option(0, 0, MAX_PASSES)
    seed: int = option(0, 0)

    def coder(self, network: FloatNetwork, codebook: Codebook) -> Coder:
        rng = np.random.default_rng(self.seed)
        return lambda problem: _coded(problem, self.scales, self.passes, rng)


def _coded(problem: Problem, scales: int, passes: int, rng: np.random.Generator | None) -> CodedWeights:
    if is_wide(problem.layer) and rng is None:
        return coded_on_rows(problem, scales, passes)
    coded = plain(problem)
    if is_wide(problem.layer):
        return replace(coded, note="plainly rounded, because of many inputs")
    return searched(problem, coded, Quadratic.of(problem), rounding(problem, coded.codebook, rng), scales, passes)


def rounding(problem: Problem, codebook: Codebook, rng: np.random.Generator | None = None) -> Round:
    """Path following on the moments of ``problem``, at any scales."""
    weight, gram = as_matrices(problem.weight, problem.layer.groups), problem.gram
    # The damping of the other methods: more samples, in which one input at a time moves a little in both networks.
    extra = DAMPING * np.einsum("gkk->g", gram.hessian)[:, None] / weight.shape[1]
    hessian, between = gram.hessian.copy(), gram.between.copy()
    for moments in (hessian, between):
        np.einsum("gkk->gk", moments)[...] += extra
    return lambda scale: follow_path(weight, hessian, between, scale, codebook, rng)


def follow_path(
    weight: Real,
    hessian: Real,
    between: Real,
    scale: Real,
    codebook: Codebook,
    rng: np.random.Generator | None = None,
) -> npt.NDArray[np.int64]:
    """Levels (G, K, P * S) of ``weight`` (G, K, P), walked in the order of the inputs.

    hessian: ``X~' X~``; between: ``X~' X``, both (G, K, K); scale: (G, 1, P * S), S candidates side by side. rng:
    rounds at random (SPFQ). An input that never moves is rounded on its own.
    """
    wanted = np.tile(np.tril(between) @ weight, (1, 1, scale.shape[2] // weight.shape[2]))
    alone = np.tile(weight, (1, 1, scale.shape[2] // weight.shape[2])) / scale
    power = np.einsum("gkk->gk", hessian)
    levels = np.empty(wanted.shape, np.int64)
    real = np.empty(wanted.shape)
    for t in range(weight.shape[1]):
        rest = wanted[:, t] - (hessian[:, t, None, :t] @ real[:, :t])[:, 0]
        moves = power[:, t, None] > 0
        argument = np.where(moves, rest / np.where(moves, power[:, t, None], 1.0) / scale[:, 0], alone[:, t])
        levels[:, t] = codebook.nearest(argument) if rng is None else stochastic(argument, codebook, rng)
        real[:, t] = levels[:, t] * scale[:, 0]
    return levels


def stochastic(values: Real, codebook: Codebook, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """The level below or above each of ``values``, at random and with the value as expectation; clipped outside."""
    levels = codebook.sorted_levels
    inside = np.clip(values, levels[0], levels[-1])
    above = np.clip(np.searchsorted(levels, inside), 1, levels.size - 1)
    low, high = levels[above - 1], levels[above]
    return np.where(rng.random(inside.shape) * (high - low) < inside - low, high, low)
