"""Convolution of integers by coded weights, exact, at the speed of floating-point BLAS where that is exact too.

A floating-point sum of integers is exact in any order as long as no partial sum can leave the integers that the format
holds exactly: below 2**24 in magnitude for float32, 2**53 for float64. ``sum(abs(level)) * max(abs(x))`` bounds every
partial sum, so the format follows from the actual weights and the input's interval. Past 2**53, int64 takes over.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..interval import Interval
from ..network import Conv
from .requant import requantize
from .window import padded, patches

__all__ = ["ConvKernel", "exact_dtype", "partial_sum_bound"]


def partial_sum_bound(
    levels: npt.NDArray[np.int64], interval: Interval, pad_value: npt.NDArray[np.int64] | int = 0
) -> npt.NDArray[np.int64]:
    """The largest magnitude of any partial sum ``sum(level * x)``, in any order, per output channel: (O,) int64.

    levels: (O, kh, kw, I). Every input lies in ``interval`` or is ``pad_value`` (scalar or (I,)) of its channel.
    """
    reach = np.maximum(max(abs(interval.lo), abs(interval.hi)), np.abs(np.asarray(pad_value, np.int64)))
    return (np.abs(levels) * reach).reshape(levels.shape[0], -1).sum(axis=1)


def exact_dtype(bound: int) -> np.dtype[np.generic]:
    """The fastest dtype whose sums are exact while every partial sum stays within ``bound``."""
    if bound < 1 << 24:
        return np.dtype(np.float32)
    return np.dtype(np.float64) if bound < 1 << 53 else np.dtype(np.int64)


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
        self._matrix = np.ascontiguousarray(levels.reshape(levels.shape[0], -1).T, self.dtype)

    def accumulate(self, x: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Accumulators of ``x`` (N, H, W, I) whole numbers: (N, OH, OW, O) whole numbers in ``self.dtype``."""
        layer = self.layer
        rows = patches(padded(x, layer.pads, layer.pad_value, self.dtype), layer.kernel, layer.stride)
        return (rows @ self._matrix).reshape(x.shape[0], *layer.output.shape)

    def __call__(self, x: npt.NDArray[np.generic]) -> npt.NDArray[np.int32]:
        """The output tensor of ``x`` (N, H, W, I): (N, OH, OW, O) int32."""
        return requantize(self.accumulate(x), self.layer.requant)
