"""The default: in every layer what leaves the least output noise, within a time limit.

All channels of all layers start from plain rounding. Error feedback and greedy path following, each with a search over
scales and descent afterwards, then compete for every channel; the squared output error on the calibration data, which
costs no run of the network, decides. Error feedback wins most channels, the greedy walk those with few or strongly
correlated inputs.

A time limit by the clock would make the result depend on the machine's load. Instead the work of every layer is
estimated, in operations, and the layers with the most work get less of it until the sum is within the limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log10
from typing import ClassVar, NamedTuple

from ...codes import Codebook
from ...floatnet import FloatConv, FloatNetwork
from ..gram import ROWS, Real, as_matrices
from ..scales import CodedWeights
from . import feedback, gpfq
from .method import Method, option
from .plain import plain
from .problem import Coder, Problem
from .quadratic import Quadratic
from .rows import VALUES, coded_on_rows, is_wide
from .search import searched

__all__ = ["Auto", "Effort", "plan_efforts"]


class Effort(NamedTuple):
    """How hard to try in one layer. walks: error feedback, and path following after it; scales, passes: of each."""

    walks: int
    scales: int
    passes: int


EFFORTS = (Effort(2, 6, 3), Effort(1, 6, 3), Effort(1, 2, 2), Effort(1, 0, 1), Effort(0, 0, 0))
"""From the most work to plain rounding."""

NAMES = ("plain rounding", "error feedback", "error feedback or path following")

PRODUCT_RATE = 10e9
"""Multiply-accumulates a second of large matrix products, about, on two cores."""

STEP_RATE = 0.4e9
"""Those of the walks, which go input by input and wait for memory."""


@dataclass(frozen=True)
class Auto(Method):
    """See the module's text. seconds: the time limit for coding the weights, on two quiet cores, about."""

    name: ClassVar[str] = "auto"

    seconds: float = option(60.0, 0)

    def coder(self, network: FloatNetwork, codebook: Codebook) -> Coder:
        convs = [layer for layer in network.layers if isinstance(layer, FloatConv)]
        efforts = plan_efforts({layer.name: layer for layer in convs}, self.seconds)
        return lambda problem: code(problem, efforts[problem.layer.name])


def plan_efforts(layers: Mapping[str, FloatConv], seconds: float) -> dict[str, Effort]:
    """The effort of every layer: the largest for all, but less where the most work is until all take ``seconds``."""
    chosen = dict.fromkeys(layers, 0)
    times = {name: _seconds(layer, EFFORTS[chosen[name]]) for name, layer in layers.items()}
    while sum(times.values()) > seconds:
        name = max(times, key=lambda name: times[name])
        if chosen[name] == len(EFFORTS) - 1:
            break
        chosen[name] += 1
        times[name] = _seconds(layers[name], EFFORTS[chosen[name]])
    return {name: EFFORTS[effort] for name, effort in chosen.items()}


def _seconds(layer: FloatConv, effort: Effort) -> float:
    """About how long ``layer`` takes: the moments and their inverse, then every walk and pass at every scale."""
    if not effort.walks:
        return 0.0
    inputs, groups = layer.weight[0].size, layer.groups
    if is_wide(layer):
        steps = len(layer.weight) * VALUES * (2 * effort.scales + 1) * (2 + 2 * effort.passes)
        return steps / STEP_RATE
    products = groups * inputs**2 * (2 * ROWS + 3 * inputs)
    steps = len(layer.weight) * inputs**2 * (2 * effort.scales + 1) * effort.walks * (2 + effort.passes)
    return products / PRODUCT_RATE + steps / STEP_RATE


def code(problem: Problem, effort: Effort) -> CodedWeights:
    """The best codes that ``effort`` finds, with a note of how, and of what it gains over plain rounding."""
    start = coded = plain(problem)
    if not effort.walks:
        return replace(coded, note="auto took plain rounding, because of the time limit")
    tried = f"{2 * effort.scales + 1} scales, {effort.passes} rounds of descent"
    if is_wide(problem.layer):
        coded = coded_on_rows(problem, effort.scales, effort.passes)
        return replace(coded, note=f"auto took path following on samples, {tried}, because of many inputs")
    quadratic = Quadratic.of(problem)
    book = coded.codebook
    # One after the other: each holds matrices as large as the moments.
    walks = (lambda: feedback.rounding(quadratic, book)), (lambda: gpfq.rounding(problem, book))
    for walk in walks[: effort.walks]:
        coded = searched(problem, coded, quadratic, walk(), effort.scales, effort.passes)
    return replace(
        coded, note=f"auto took {NAMES[effort.walks]}, {tried}", gain_db=_gain(problem, quadratic, start, coded)
    )


def _gain(problem: Problem, quadratic: Quadratic, plainly: CodedWeights, coded: CodedWeights) -> float:
    """How much less noise than plain rounding, beside the best real weights: in dB, over all channels."""
    least = quadratic.error(quadratic.target).sum()
    noise = [float(quadratic.error(_real(problem, one)).sum() - least) for one in (plainly, coded)]
    return 10 * log10(noise[0] / noise[1]) if min(noise) > 0 else 0.0


def _real(problem: Problem, coded: CodedWeights) -> Real:
    weight = coded.codebook.decode(coded.codes) * coded.weight_scale[:, None, None, None]
    return as_matrices(weight, problem.layer.groups)
