"""The least squared error that real scales can reach: one tensor of codes, or a sum of several (OMSE).

``T ~ alpha1 * T1 + alpha2 * T2 + ...`` with every ``Ti`` made of levels of one codebook and the ``alphas`` free
(Choukroun, Kravchik, Yang, Kisilev 2019, arXiv 1902.06822). No hardware undoes such scales; :mod:`.tensors` has the
form that it can. This one says how good a codebook could be.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..codes import Codebook
from .mse import SortedValues

__all__ = ["best_scale", "decompose"]

Real = npt.NDArray[np.float64]

STEPS_PER_OCTAVE, OCTAVES = 12, 5
"""The grid of scales that are tried for the first of two tensors: 6 % apart, from an octave above no clipping down."""


def best_scale(values: npt.ArrayLike, codebook: Codebook, importance: npt.ArrayLike | None = None) -> float:
    """The real scale > 0 with the least ``sum(importance * (value - scale * nearest level)**2)`` of all; exact.

    As the scale falls, one value after another goes over to another level. Between two such events the error is a
    parabola with the minimum ``energy - a**2 / b``, ``a = sum(value * level)`` and ``b = sum(level**2)``: running
    totals of what each event changes. The least of these minima is the global one, since rounding to the nearest level
    at the scale ``a / b`` can only improve on it. 1 where no scale is better than none, as for zeros.
    """
    flat = np.asarray(values, np.float64).ravel()
    weight = np.ones_like(flat) if importance is None else np.asarray(importance, np.float64).ravel()
    levels = codebook.sorted_levels.astype(np.float64)
    boundaries = (levels[1:] + levels[:-1]) / 2
    # At an infinite scale every value is next to 0, on its own side of it.
    start = levels[np.where(flat > 0, (boundaries <= 0).sum(), (boundaries < 0).sum())]
    scales, changes = [], []
    for boundary, low, high in zip(boundaries, levels[:-1], levels[1:], strict=True):
        crossing = flat * boundary > 0
        v, w = flat[crossing], weight[crossing]
        old, new = (low, high) if boundary > 0 else (high, low)
        scales.append(v / boundary)
        changes.append([w * v * (new - old), w * (new**2 - old**2)])
    order = np.argsort(-np.concatenate(scales), kind="stable")
    events = np.concatenate(changes, axis=1)[:, order]
    first = [[(weight * flat * start).sum()], [(weight * start**2).sum()]]
    a, b = np.cumsum(np.concatenate((first, events), axis=1), axis=1)
    legal = (a > 0) & (b > 0)
    if not legal.any():
        return 1.0
    gain = np.where(legal, a, 0.0) ** 2 / np.where(legal, b, 1.0)
    best = int(np.argmax(gain))
    return float(a[best] / b[best])


def decompose(
    values: npt.ArrayLike,
    codebook: Codebook,
    count: int,
    importance: npt.ArrayLike | None = None,
    *,
    search: bool = True,
) -> tuple[Real, npt.NDArray[np.int64]]:
    """``values`` as a sum of ``count`` tensors: the scales (count,) and the levels (count, *values.shape).

    Greedy: every tensor takes up what all before it leave, then all scales are refitted by weighted least squares. So
    the error never grows with ``count``. search: also try a grid of scales for the first of several tensors, and keep
    the best pair. It gains most with evenly spaced levels, whose first tensor had better not clip what the second one
    would have to make good: on Gaussian values two ``int4`` tensors reach 39.1 dB instead of 30.5.
    """
    shape = np.shape(values)
    flat = np.asarray(values, np.float64).ravel()
    weight = np.ones_like(flat) if importance is None else np.asarray(importance, np.float64).ravel()
    parts = [_rounded(flat, codebook, best_scale(flat, codebook, weight))]
    if count > 1 and search:
        pairs = [parts, *([first] for first in _first_of_two(flat, codebook, weight))]
        fitted = [_with_next(flat, codebook, weight, pair) for pair in pairs]
        parts = min(fitted, key=lambda pair: _error(flat, weight, pair))
    while len(parts) < count:
        parts = _with_next(flat, codebook, weight, parts)
    levels = np.stack(parts)
    return _fit(flat, weight, parts), levels.reshape(count, *shape)


def _rounded(values: Real, codebook: Codebook, scale: float) -> npt.NDArray[np.int64]:
    return codebook.nearest(values / scale)


def _first_of_two(values: Real, codebook: Codebook, weight: Real) -> list[npt.NDArray[np.int64]]:
    """The first tensors that are worth refining: those whose remainder one more tensor reduces the most."""
    peak = float(np.abs(values).max(initial=0.0))
    if not peak:
        return []
    top = 2 * peak / codebook.max_level
    steps = 2.0 ** (-np.arange(STEPS_PER_OCTAVE * OCTAVES) / STEPS_PER_OCTAVE)
    left = []
    for scale in top * steps:
        rest = values - scale * _rounded(values, codebook, scale)
        data = SortedValues(rest, weight)
        tried = (2 * data.peak / codebook.max_level or 1.0) * steps
        left.append(float(data.squared_error(codebook.sorted_levels, tried).min()))
    # The refit may change the order of those that are close.
    return [_rounded(values, codebook, top * steps[which]) for which in np.argsort(left, kind="stable")[:3]]


def _with_next(
    values: Real, codebook: Codebook, weight: Real, parts: list[npt.NDArray[np.int64]]
) -> list[npt.NDArray[np.int64]]:
    """``parts`` and a tensor that takes up what they leave."""
    rest = values - _fit(values, weight, parts) @ np.stack(parts)
    return [*parts, _rounded(rest, codebook, best_scale(rest, codebook, weight))]


def _fit(values: Real, weight: Real, parts: list[npt.NDArray[np.int64]]) -> Real:
    """The scales (count,) of ``parts`` with the least weighted squared error."""
    root = np.sqrt(weight)
    return np.asarray(np.linalg.lstsq((np.stack(parts) * root).T, values * root, rcond=None)[0], np.float64)


def _error(values: Real, weight: Real, parts: list[npt.NDArray[np.int64]]) -> float:
    return float(weight @ np.square(values - _fit(values, weight, parts) @ np.stack(parts)))
