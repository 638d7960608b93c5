"""Mean and variance of a convolution's input under each kernel position, over samples and output positions.

A convolution is linear, so these two small arrays tell what weight rounding does to its output without running it: the
*mean patch* gives the mean error, which the bias takes back, and the variance says how much noise an error in each
weight makes. Only sums over the samples are padded and walked, never the samples themselves.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..reference.window import padded, positions

__all__ = ["mean_patch", "variance_patch"]

Pads = tuple[int, int, int, int]
Real = npt.NDArray[np.float64]

FLOOR = 1e-3
"""Share of the mean variance that every position has at least. Inputs that never moved in the calibration data (the
rim of a digit image) may still move later."""


def _mean_over_windows(total: Real, count: int, kernel: tuple[int, int], stride: tuple[int, int], pads: Pads,
                       pad_value: Real) -> Real:  # fmt: skip
    walk = positions(padded(total[None], pads, count * pad_value), kernel, stride)
    return np.stack([pixel.mean(axis=(0, 1, 2)) for pixel in walk]).reshape(*kernel, -1) / count


def mean_patch(
    x: npt.NDArray[np.generic],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pads: Pads,
    pad_value: npt.NDArray[np.generic],
) -> Real:
    """The mean input under each kernel position. x: (N, H, W, I), real or integer. Returns (kh, kw, I) float64."""
    total = x.sum(axis=0, dtype=np.float64)
    return _mean_over_windows(total, len(x), kernel, stride, pads, pad_value.astype(np.float64))


def variance_patch(
    x: npt.NDArray[np.generic],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pads: Pads,
    pad_value: npt.NDArray[np.generic],
) -> Real:
    """The variance of the input under each kernel position, at least :data:`FLOOR` of their mean; arguments as above.

    All ones where nothing varies at all, so that it can always serve as a relative importance.
    """
    squares = np.einsum("nhwc,nhwc->hwc", x, x, dtype=np.float64, casting="unsafe")
    outside = np.square(pad_value.astype(np.float64))
    mean = mean_patch(x, kernel, stride, pads, pad_value)
    variance = np.maximum(_mean_over_windows(squares, len(x), kernel, stride, pads, outside) - mean**2, 0.0)
    average = float(variance.mean())
    return variance + FLOOR * average if average > 0 else np.ones_like(variance)
