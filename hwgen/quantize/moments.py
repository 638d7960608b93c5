"""Mean and variance of a convolution's input under each kernel position, over samples and output positions.

A convolution is linear, so these two small arrays tell what weight rounding does to its output without running it: the
*mean patch* gives the mean error, which the bias takes back, and the variance says how much noise an error in each
weight makes. Only sums over the samples are padded and walked, never the samples themselves.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..floatnet import FloatConv
from ..reference.window import padded, positions

__all__ = ["mean_patch", "variance_patch"]

Real = npt.NDArray[np.float64]

FLOOR = 1e-3
"""Share of the mean variance that every position has at least. Inputs that never moved in the calibration data (the
rim of a digit image) may still move later."""


def _mean_over_windows(layer: FloatConv, total: Real, count: int, pad_value: Real) -> Real:
    """Mean of the summed map ``total`` (H, W, I) of ``count`` samples under each kernel position: (kh, kw, I)."""
    maps = padded(total[None], layer.pads, count * pad_value)
    walk = positions(maps, layer.kernel, layer.stride, layer.dilation)
    return np.stack([pixel.mean(axis=(0, 1, 2)) for pixel in walk]).reshape(*layer.kernel, -1) / count


def _per_output(layer: FloatConv, patch: Real) -> Real:
    """What of ``patch`` (kh, kw, I) each output channel reads: (O, kh, kw, I / groups), like the weights."""
    split = np.moveaxis(patch.reshape(*layer.kernel, layer.groups, -1), 2, 0)
    if layer.groups == 1:
        return np.broadcast_to(split, layer.weight.shape)
    return np.repeat(split, len(layer.weight) // layer.groups, axis=0)


def mean_patch(layer: FloatConv, x: npt.NDArray[np.generic], pad_value: npt.NDArray[np.generic]) -> Real:
    """The mean input of ``layer`` under each weight, (O, kh, kw, I / groups) float64.

    x: (N, H, W, I), real or integer; pad_value: (I,) in the unit of x.
    """
    return _per_output(layer, _mean(layer, x, pad_value))


def _mean(layer: FloatConv, x: npt.NDArray[np.generic], pad_value: npt.NDArray[np.generic]) -> Real:
    total = x.sum(axis=0, dtype=np.float64)
    return _mean_over_windows(layer, total, len(x), pad_value.astype(np.float64))


def variance_patch(layer: FloatConv, x: npt.NDArray[np.generic], pad_value: npt.NDArray[np.generic]) -> Real:
    """The variance of the input under each weight, at least :data:`FLOOR` of their mean; arguments as above.

    All ones where nothing varies at all, so that it can always serve as a relative importance.
    """
    squares = np.einsum("nhwc,nhwc->hwc", x, x, dtype=np.float64, casting="unsafe")
    outside = np.square(pad_value.astype(np.float64))
    mean = _mean(layer, x, pad_value)
    variance = np.maximum(_mean_over_windows(layer, squares, len(x), outside) - mean**2, 0.0)
    average = float(variance.mean())
    return _per_output(layer, variance + FLOOR * average if average > 0 else np.ones_like(variance))
