"""Kernels, strides, padding and dilation of sliding windows, which convolution and pooling share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..floatnet import FloatPool
from ..importers.graph import MAX_ELEMENTS
from .reader import Reader

__all__ = ["Pads", "Pair", "Window", "pair", "read_window", "real_taps", "same_pads"]

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]


@dataclass(frozen=True)
class Window:
    """A window that slides over a map; each pair is (y, x), pads: top, left, bottom, right.

    extra: rows and columns behind ``pads`` that ``ceil_mode`` lets the last windows reach into.
    """

    kernel: Pair
    stride: Pair
    pads: Pads
    dilation: Pair
    output: Pair
    extra: Pair = (0, 0)

    @property
    def all_pads(self) -> Pads:
        top, left, bottom, right = self.pads
        return top, left, bottom + self.extra[0], right + self.extra[1]


def pair(values: Sequence[int], default: int) -> Pair:
    """The values of one or two axes as (y, x); a sequence is a map of one row."""
    return (values[0], values[1]) if len(values) == 2 else (default, values[0])


def read_window(reader: Reader, kernel: Sequence[int], size: Sequence[int], channels: int) -> Window:
    """The window of a ``kernel`` that slides over a map of ``size``, both one or two axes long.

    ``auto_pad`` is resolved: SAME makes ``ceil(size / stride)`` outputs and puts an odd pixel of padding at the end
    (SAME_UPPER) or the beginning (SAME_LOWER).
    """
    rank = len(size)
    stride = reader.integers("strides", (1,) * rank, rank)
    dilation = reader.integers("dilations", (1,) * rank, rank)
    if min((*stride, *kernel, *dilation)) < 1:
        raise reader.error("its kernel, strides and dilations must be at least 1; export the model again")
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    mode = reader.text("auto_pad", "NOTSET")
    if mode == "NOTSET":
        given = reader.integers("pads", (0,) * (2 * rank), 2 * rank)
        pads = list(zip(given[:rank], given[rank:], strict=True))
    elif mode == "VALID":
        pads = [(0, 0)] * rank
    elif mode in ("SAME_UPPER", "SAME_LOWER"):
        totals = [
            max((-(-axis // step) - 1) * step + r - axis, 0) for axis, step, r in zip(size, stride, reach, strict=True)
        ]
        pads = [same_pads(total, upper=mode == "SAME_UPPER") for total in totals]
    else:
        raise reader.error(f"auto_pad={mode} is not known; use NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    if min(min(ends) for ends in pads) < 0:
        raise reader.error(f"negative pads {given} are not supported; crop the input instead")
    padded = [axis + sum(ends) for axis, ends in zip(size, pads, strict=True)]
    if channels * np.prod(padded, dtype=np.float64) > MAX_ELEMENTS:
        raise reader.error(f"its pads are too large: more than {MAX_ELEMENTS} values")
    spare = [axis - r for axis, r in zip(padded, reach, strict=True)]
    if min(spare) < 0:
        raise reader.error(f"its kernel {tuple(kernel)} is larger than its padded input {padded}; use a larger input")
    output = [rest // step + 1 for rest, step in zip(spare, stride, strict=True)]
    extra = [0] * rank
    if reader.node.operator.endswith("Pool") and reader.integer("ceil_mode", 0):
        for axis in range(rank):
            # One window more where pixels are left over, unless it would begin behind the last pixel.
            if spare[axis] % stride[axis] and output[axis] * stride[axis] < size[axis] + pads[axis][0]:
                extra[axis] = output[axis] * stride[axis] - spare[axis]
                output[axis] += 1
    (top, bottom), (left, right) = pads if rank == 2 else [(0, 0), pads[0]]
    return Window(
        pair(kernel, 1),
        pair(stride, 1),
        (top, left, bottom, right),
        pair(dilation, 1),
        pair(output, 1),
        pair(extra, 0),
    )


def same_pads(total: int, *, upper: bool) -> Pair:
    """``total`` pixels of padding at the two ends of an axis, the odd one at the end if ``upper``."""
    return (total // 2, total - total // 2) if upper else (total - total // 2, total // 2)


def taps(outputs: int, kernel: int, stride: int, dilation: int, first: int, lo: int, hi: int) -> npt.NDArray[np.int64]:
    """How many of each window's positions lie in ``lo <= position < hi``; the first window begins at ``first``."""
    places = first + stride * np.arange(outputs)[:, None] + dilation * np.arange(kernel)
    return np.count_nonzero((places >= lo) & (places < hi), axis=1)


def real_taps(layer: FloatPool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How many rows of each output row's window lie in the map, and how many columns of each output column's."""
    rows, columns = (
        taps(
            layer.output_shape[axis],
            layer.kernel[axis],
            layer.stride[axis],
            layer.dilation[axis],
            -layer.pads[axis],
            0,
            layer.input_shape[axis],
        )
        for axis in (0, 1)
    )
    return tuple(rows.tolist()), tuple(columns.tolist())
