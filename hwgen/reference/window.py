"""Sliding windows over channel-last maps: views where possible, one copy for the padding.

Two ways to walk the same windows. A convolution wants them flattened (im2col), one row per output pixel, so that it
becomes one matrix product. A pool wants them one kernel position at a time, so that it becomes ``kh * kw`` elementwise
operations on whole maps and nothing is copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["padded", "patches", "positions"]

Pads = tuple[int, int, int, int]


def padded(
    x: npt.NDArray[Any], pads: Pads, value: npt.ArrayLike, dtype: npt.DTypeLike | None = None
) -> npt.NDArray[Any]:
    """``x`` (N, H, W, C) as ``dtype`` (its own by default), inside a border of ``value`` (scalar or (C,)).

    ``pads`` is top, left, bottom, right. Returns (N, H + top + bottom, W + left + right, C), C-contiguous.
    """
    dtype = x.dtype if dtype is None else np.dtype(dtype)
    top, left, bottom, right = pads
    if not any(pads):
        return np.ascontiguousarray(x, dtype)
    count, height, width, channels = x.shape
    out = np.empty((count, height + top + bottom, width + left + right, channels), dtype)
    # Only the border is filled; writing the whole map twice would cost as much as the copy itself.
    out[:, :top] = value
    out[:, top + height :] = value
    out[:, top : top + height, :left] = value
    out[:, top : top + height, left + width :] = value
    out[:, top : top + height, left : left + width] = x
    return out


def patches(
    x: npt.NDArray[Any], kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> npt.NDArray[Any]:
    """Windows of an already padded map, flattened in the order of the weights.

    x: (N, H, W, C), C-contiguous. Returns (N * OH * OW, kh * kw * C), each row ordered (ky, kx, channel). It is a copy
    (im2col), except for a kernel that covers the whole map, where the map itself is the row.
    """
    count, height, width, channels = x.shape
    rows, columns = _span(kernel, dilation)
    # Along a row, a window is kw * C neighbours in memory: with W and C merged, the copy runs over whole kernel rows.
    view = np.lib.stride_tricks.sliding_window_view(
        x.reshape(count, height, width * channels), (rows, columns * channels), axis=(1, 2)
    )[:, :: stride[0], :: stride[1] * channels, :: dilation[0]]
    if dilation[1] > 1:
        view = view.reshape(*view.shape[:-1], columns, channels)[..., :: dilation[1], :]
    return view.reshape(-1, kernel[0] * kernel[1] * channels)


def positions(
    x: npt.NDArray[Any], kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> Iterator[npt.NDArray[Any]]:
    """The input pixel under each kernel position, for every output pixel: ``kh * kw`` views (N, OH, OW, C).

    x: an already padded map (N, H, W, C). The order is row by row, as in :func:`patches`.
    """
    span = _span(kernel, dilation)
    rows = (x.shape[1] - span[0]) // stride[0] + 1
    columns = (x.shape[2] - span[1]) // stride[1] + 1
    for y in range(0, span[0], dilation[0]):
        for left in range(0, span[1], dilation[1]):
            yield x[
                :,
                y : y + (rows - 1) * stride[0] + 1 : stride[0],
                left : left + (columns - 1) * stride[1] + 1 : stride[1],
            ]


def _span(kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns from a kernel's first tap to its last."""
    return (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1
