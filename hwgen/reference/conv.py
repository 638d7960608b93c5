"""Convolution of integers by coded weights, exact, at the speed of floating point where that is exact too.

A floating-point sum of integers is exact in any order as long as no partial sum can leave the integers that the format
holds exactly: below 2**24 in magnitude for float32, 2**53 for float64. ``sum(abs(level)) * max(abs(x))`` bounds every
partial sum, so the format follows from the actual weights and the input's interval. Past 2**53, int64 takes over.

Groups are one matrix product each, on the channels of that group. Where a group is a single channel (depthwise), the
products would be too thin to be worth their im2col: there the kernel's taps are added up one by one, on whole maps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..interval import Interval
from ..network import Conv
from .requant import requantize
from .window import padded, patches, positions

__all__ = ["ConvKernel", "exact_dtype", "grouped_product", "partial_sum_bound"]


def partial_sum_bound(
    levels: npt.NDArray[np.int64], interval: Interval, pad_value: npt.NDArray[np.int64] | int = 0
) -> npt.NDArray[np.int64]:
    """The largest magnitude of any partial sum ``sum(level * x)``, in any order, per output channel: (O,) int64.

    levels: (O, kh, kw, I / groups). Every input lies in ``interval`` or is ``pad_value`` (scalar or (I,)) of its
    channel; the number of groups follows from the two.
    """
    reach = np.maximum(max(abs(interval.lo), abs(interval.hi)), np.abs(np.asarray(pad_value, np.int64)))
    outputs, inputs = levels.shape[0], levels.shape[3]
    if reach.ndim and reach.size != inputs:
        groups = reach.size // inputs
        reach = reach.reshape(groups, inputs).repeat(outputs // groups, axis=0)[:, None, None, :]
    return (np.abs(levels) * reach).reshape(outputs, -1).sum(axis=1)


def exact_dtype(bound: int) -> np.dtype[np.generic]:
    """The fastest dtype whose sums are exact while every partial sum stays within ``bound``."""
    if bound < 1 << 24:
        return np.dtype(np.float32)
    return np.dtype(np.float64) if bound < 1 << 53 else np.dtype(np.int64)


def grouped_product(layer: Conv, x: npt.NDArray[Any], weight: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """``weight`` (O, kh, kw, I / groups) over an already padded ``x`` (N, H, W, I) of its dtype: (N, OH, OW, O)."""
    count, height, width, inputs = x.shape
    groups, outputs = layer.groups, weight.shape[0]
    split = np.moveaxis(x.reshape(count, height, width, groups, inputs // groups), 3, 0)
    maps = np.ascontiguousarray(split).reshape(groups * count, height, width, inputs // groups)
    rows = patches(maps, layer.kernel, layer.stride, layer.dilation)
    matrices = weight.reshape(groups, outputs // groups, -1).transpose(0, 2, 1)
    products = rows.reshape(groups, -1, rows.shape[1]) @ matrices  # (groups, pixels, O / groups)
    return np.moveaxis(products, 0, 1).reshape(count, *layer.output.shape)


class ConvKernel:
    """One convolution made ready to run: weights decoded and laid out once, arithmetic chosen by the bound above.

    interval: of the input tensor. ``dtype`` overrides the choice of arithmetic (for tests that compare them).
    Raises ``ValueError`` when a partial sum could leave 62 bits.
    """

    def __init__(self, layer: Conv, interval: Interval, dtype: npt.DTypeLike | None = None) -> None:
        levels = layer.codebook.decode(layer.codes)
        reach = max(abs(interval.lo), abs(interval.hi), *(abs(value) for value in layer.pad_value.tolist()))
        if levels[0].size * layer.codebook.max_level * reach >= 1 << 62:  # Python integers: the test cannot overflow
            raise ValueError(f"{layer.name}: accumulators must stay within 62 bits")
        bound = int(partial_sum_bound(levels, interval, layer.pad_value if any(layer.pads) else 0).max())
        self.layer = layer
        self.dtype = exact_dtype(bound) if dtype is None else np.dtype(dtype)
        self._levels = levels.astype(self.dtype)

    def accumulate(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Accumulators of ``x`` (N, H, W, I) whole numbers: (N, OH, OW, O) whole numbers in ``self.dtype``."""
        layer = self.layer
        maps = padded(x, layer.pads, layer.pad_value, self.dtype)
        if layer.groups > 1 and self._levels.shape[3] == 1:
            return self._tap_by_tap(maps)
        return grouped_product(layer, maps, self._levels)

    def _tap_by_tap(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """One input channel per group: ``sum(level * shifted map)`` over the taps."""
        layer = self.layer
        rows, columns, outputs = layer.output.shape
        each = outputs // layer.groups
        acc = np.zeros((len(x), rows, columns, layer.groups, each), self.dtype)
        product = np.empty_like(acc)
        taps = self._levels.reshape(layer.groups, each, -1).transpose(2, 0, 1)
        for tap, pixel in zip(taps, positions(x, layer.kernel, layer.stride, layer.dilation), strict=True):
            # A tap repeated along the row multiplies whole rows at once: channels alone make a short inner loop.
            np.multiply(pixel[..., None], np.tile(tap, (columns, 1, 1)), out=product)
            acc += product
        return acc.reshape(len(x), *layer.output.shape)

    def __call__(self, x: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        """The output tensor of ``x`` (N, H, W, I): (N, OH, OW, O) int32."""
        return requantize(self.accumulate(x), self.layer.requant)
