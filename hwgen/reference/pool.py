"""Pooling of integers: the maximum of each window, or its requantized sum."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..floatnet import PoolKind
from ..interval import Interval
from ..network import Pool
from .requant import shift_and_clip
from .window import padded, positions

__all__ = ["factor_index", "pool"]


def factor_index(layer: Pool) -> npt.NDArray[np.intp]:
    """Which of ``layer.requant``'s values each output value takes, ready to broadcast: (C,) or (OH, OW, 1)."""
    if layer.divisors is None:
        return np.arange(layer.output.shape[2])
    products = np.multiply.outer(*(np.array(counts) for counts in layer.divisors))
    return np.searchsorted(np.array(layer.distinct_divisors), products)[..., None]


def pool(layer: Pool, interval: Interval, x: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    """The output tensor (N, OH, OW, C) int32 of ``x`` (N, H, W, C), whose interval is ``interval``."""
    walk = (layer.kernel, layer.stride, layer.dilation)
    if layer.kind is PoolKind.MAX:
        # The lowest value of the interval never wins against a real pixel, and costs the hardware a constant.
        first, *rest = positions(padded(x, layer.pads, interval.lo, np.int32), *walk)
        highest = first.astype(np.int32)
        for pixel in rest:
            np.maximum(highest, pixel, out=highest)
        return highest
    requant = layer.requant
    if requant is None:
        raise ValueError(f"{layer.name}: an average pool must have a requantization")
    first, *rest = positions(padded(x, layer.pads, 0, np.int64), *walk)
    total = first.astype(np.int64)
    for pixel in rest:
        total += pixel
    index = factor_index(layer)
    total *= requant.mul[index]
    total += requant.add[index]
    return shift_and_clip(total, requant.shift, requant.lo, requant.hi)
