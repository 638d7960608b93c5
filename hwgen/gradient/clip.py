"""Clips and prescribed number formats: what holds a value back lets no gradient through."""

from __future__ import annotations

from math import inf

import numpy as np
import numpy.typing as npt

from ..floatnet import Fixed

__all__ = ["clip_gradient", "fixed_gradient"]

Array = npt.NDArray[np.floating]


def clip_gradient(clip: tuple[float, float], result: Array, gradient: Array) -> Array:
    """The gradient before ``clip`` from the one behind it; ``result`` is what the clip has made.

    Zero where the result is a limit, a ReLU at exactly 0 included.
    """
    lo, hi = clip
    if lo > -inf:
        gradient = np.where(result > lo, gradient, 0)
    if hi < inf:
        gradient = np.where(result < hi, gradient, 0)
    return gradient


def fixed_gradient(form: Fixed, values: Array, gradient: Array) -> Array:
    """The gradient before rounding ``values`` to ``form``, straight through (Bengio, Léonard and Courville 2013).

    Rounding has a derivative of zero almost everywhere, which would say that nothing before it matters. It is taken
    for the identity, and the format's limits for a clip.
    """
    codes = np.rint(values / values.dtype.type(form.scale))
    return np.where((codes >= form.interval.lo) & (codes <= form.interval.hi), gradient, 0)
