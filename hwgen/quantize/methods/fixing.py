"""Probabilistic weight fixing (Subia-Waud and Dasmahapatra 2023, arXiv 2309.13575), its clustering without training.

All weights of the network share one set of centres, sums of a few signed powers of two, as few as possible. A weight
``mu`` may move by ``n * sigma(mu)``, a sigma that is small near powers of two. Again and again the centre within reach
of most free weights is taken, and they are fixed to it: first among single powers of two, and where no centre reaches a
weight any more, in turn among sums of one term more, up to ``terms``, and with twice the ``n``. The paper fixes growing
fractions of the weights with training in between; without training the fractions change nothing.

Weights are compared in units of their output channel's own power of two. Centres and the order in which they were taken
make a function of ``mu`` alone, :meth:`Centres.fix`; it also fixes the weights of a layer at the scales that hardware
can undo, which are no exact powers of two apart from the float ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...codes import CODES, Codebook, explicit, signed_terms
from ...codes.families import MAX_LEVELS
from ...floatnet import FloatConv, FloatNetwork
from ...storage import entropy
from ..scales import CodedWeights, on_grid, with_levels
from .method import Method, option
from .problem import Coder, Problem

__all__ = [
    "UNIT",
    "Centres",
    "Fixing",
    "find_centres",
    "merged",
    "normalised",
    "sigma_of",
    "spread_of",
    "units_of",
]

Real = npt.NDArray[np.float64]
Integer = npt.NDArray[np.int64]

UNIT = 2.0**-7
"""The smallest power of two; centres are integers times it. What is smaller becomes 0."""

TYPICAL = 2.0**-5
"""The root mean square that an output channel's weights are brought near to, by a power of two; that of the networks
that the paper chose the limits of sigma for. One octave more or less is 7 dB and one bit of entropy more or less."""

SIGMA, SIGMA_MAX, SIGMA_MIN = 0.0025, 0.05, 2.0**-30
"""The sigma of the third quartile, and its limits."""

MAX_TERMS = 4


@dataclass(frozen=True)
class Fixing(Method):
    """See the module's text. terms: the most powers of two that a centre is the sum of, 1 to 4."""

    name: ClassVar[str] = "fixing"
    keeps_code: ClassVar[bool] = False

    terms: int = option(MAX_TERMS, 1, MAX_TERMS)

    def coder(self, network: FloatNetwork, codebook: Codebook) -> Coder:
        weights = [layer.weight for layer in network.layers if isinstance(layer, FloatConv)]
        mu = np.concatenate([np.zeros(0), *(normalised(weight).ravel() for weight in weights)])
        centres = find_centres(mu, self.terms)
        note = centres.summary(mu)

        def code(problem: Problem) -> CodedWeights:
            mul, shift = on_grid(units_of(problem.weight) * UNIT, problem.ratio)
            scale = problem.ratio * mul / 2.0**shift
            levels = merged(centres.fix(problem.weight / scale[:, None, None, None] * UNIT))
            book = explicit(np.unique(levels), name="fixed") if levels.any() else CODES["ternary"]
            return with_levels(levels, book, problem.ratio, mul, shift, note)

        return code


@dataclass(frozen=True, eq=False)
class Centres:
    """What a network's weights are fixed to. levels: (C,), in units of :data:`UNIT`, in the order they were taken.

    reach: (C,), the ``n`` that each was taken at. spread: what :func:`sigma_of` is relative to.
    """

    levels: Integer
    reach: Real
    spread: float

    def fix(self, mu: Real) -> Integer:
        """The level (same shape) of each of ``mu``: of the first centre within reach, else of the nearest."""
        flat = mu.ravel()
        fixed = np.zeros(flat.size, np.int64)
        free = np.flatnonzero(np.abs(flat) >= UNIT)
        for level, reach in zip(self.levels.tolist(), self.reach.tolist(), strict=True):
            if not free.size:
                break
            values = flat[free]
            near = np.abs(values - level * UNIT) <= reach * sigma_of(values, self.spread)
            fixed[free[near]] = level
            free = free[~near]
        if free.size and self.levels.size:
            ordered = np.sort(self.levels)
            fixed[free] = ordered[np.searchsorted((ordered[1:] + ordered[:-1]) / 2 * UNIT, flat[free])]
        return fixed.reshape(mu.shape)

    @cached_property
    def terms(self) -> Integer:
        """How many powers of two each centre is the sum of: (C,)."""
        return np.array([len(signed_terms(level)) for level in self.levels.tolist()], np.int64)

    def summary(self, mu: Real) -> str:
        """What the user should know, of the network with weights ``mu``."""
        if not mu.size:
            return ""
        fixed = self.fix(mu)
        levels, counts = np.unique(fixed, return_counts=True)
        terms = np.array([len(signed_terms(level)) for level in levels.tolist()])
        single = counts[terms <= 1].sum() / counts.sum()
        return (
            f"weights are fixed to {levels.size} values for the whole network, sums of at most {terms.max()} powers of "
            f"two, {100 * single:.0f} % of them zero or a single one, in place of the code asked for; an engine that "
            f"decodes them and takes a cycle per power of two would store {entropy(counts):.2f} bits per weight"
        )


def units_of(weight: Real) -> Real:
    """The powers of two (O,) by which the rows of ``weight`` (O, ...) exceed :data:`TYPICAL`; 0 for rows of zeros."""
    rms = np.sqrt(np.square(weight.reshape(len(weight), -1)).mean(axis=1))
    alive = rms > 0
    return np.where(alive, np.exp2(np.round(np.log2(np.where(alive, rms, 1.0) / TYPICAL))), 0.0)


def normalised(weight: Real) -> Real:
    """``weight`` (O, ...) in units of :func:`units_of`: (O, N)."""
    units = units_of(weight)[:, None]
    return weight.reshape(len(weight), -1) / np.where(units > 0, units, 1.0)


def distance_of(mu: Real) -> Real:
    """``|mu - 2**floor(log2|mu|)| * |mu - 2**ceil(log2|mu|)| / mu**2``, for ``mu`` other than 0: 0 at powers of two."""
    magnitude = np.abs(mu)
    exponent = np.log2(magnitude)
    low, high = np.exp2(np.floor(exponent)), np.exp2(np.ceil(exponent))
    return np.abs(magnitude - low) * np.abs(magnitude - high) / np.square(magnitude)


def spread_of(mu: Real) -> float:
    """The third quartile of :func:`distance_of`; 1 where it is 0."""
    moving = mu[mu != 0]
    return (float(np.quantile(distance_of(moving), 0.75)) if moving.size else 0.0) or 1.0


def sigma_of(mu: Real, spread: float) -> Real:
    """How far each of ``mu``, not 0, may move."""
    return np.clip(SIGMA * distance_of(mu) / spread, SIGMA_MIN, SIGMA_MAX)


def find_centres(mu: Real, terms: int = MAX_TERMS) -> Centres:
    """The centres of weights ``mu`` (N,), found greedily: of equal coverage the least magnitude, the negative first."""
    spread = spread_of(mu)
    values = np.sort(mu[np.abs(mu) >= UNIT])
    sigma = sigma_of(values, spread)
    levels, reach = cover(values, sigma, terms)
    return Centres(levels, reach, spread)


def cover(values: Real, sigma: Real, terms: int) -> tuple[Integer, Real]:
    """``(levels, reach)`` of the greedy maximum coverage of ``values`` (N,) that may move by ``sigma`` (N,)."""
    top = 2 ** int(np.ceil(np.log2(np.abs(values).max() / UNIT))) if values.size else 1
    every = sorted((level for level in range(-top, top + 1) if level), key=lambda level: (abs(level), level))
    lengths = np.array([len(signed_terms(level)) for level in every])
    taken: list[tuple[int, float]] = []
    allowed, reach, wider = 1, 1.0, False
    while values.size:
        candidates = np.sort(np.array(every)[lengths <= allowed])
        first = np.searchsorted(candidates, (values - reach * sigma) / UNIT)
        last = np.searchsorted(candidates, (values + reach * sigma) / UNIT, side="right")
        free = np.ones(values.size, bool)
        order = np.lexsort((candidates, np.abs(candidates)))
        # Each weight is within reach of the candidates from first to last: counts are running totals of the ends.
        ends = np.bincount(first, minlength=candidates.size + 1) - np.bincount(last, minlength=candidates.size + 1)
        while (counts := np.cumsum(ends)[:-1]).any():
            best = int(order[np.argmax(counts[order])])
            near = free & (first <= best) & (best < last)
            taken.append((int(candidates[best]), reach))
            free &= ~near
            ends -= np.bincount(first[near], minlength=ends.size) - np.bincount(last[near], minlength=ends.size)
        values, sigma = values[free], sigma[free]
        if wider or allowed == terms:
            reach *= 2
        else:
            allowed += 1
        wider = not wider
    return np.array([level for level, _ in taken], np.int64), np.array([n for _, n in taken], np.float64)


def merged(levels: Integer) -> Integer:
    """``levels`` with at most :data:`MAX_LEVELS` values, 0 among them: the rarest become the nearest others."""
    distinct, place, counts = np.unique(levels, return_inverse=True, return_counts=True)
    others = distinct != 0
    if others.sum() < MAX_LEVELS:
        return levels
    frequent = distinct[others][np.argsort(counts[others], kind="stable")[1 - MAX_LEVELS :]]
    kept = np.sort(np.append(frequent, 0))
    nearest = kept[np.searchsorted((kept[1:] + kept[:-1]) / 2, distinct)]
    return nearest[place].reshape(levels.shape)
