"""Pooling of integers: the maximum of each window, or its requantized sum."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..floatnet import PoolKind
from ..interval import Interval
from ..network import Pool
from .requant import requantize
from .window import padded, positions

__all__ = ["pool"]


def pool(layer: Pool, interval: Interval, x: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    """The output tensor (N, OH, OW, C) int32 of ``x`` (N, H, W, C), whose interval is ``interval``."""
    if layer.kind is PoolKind.MAX:
        # The lowest value of the interval never wins against a real pixel, and costs the hardware a constant.
        first, *rest = positions(padded(x, layer.pads, interval.lo, np.int32), layer.kernel, layer.stride)
        highest = first.astype(np.int32)
        for pixel in rest:
            np.maximum(highest, pixel, out=highest)
        return highest
    if layer.requant is None:
        raise ValueError(f"{layer.name}: an average pool must have a requantization")
    first, *rest = positions(padded(x, layer.pads, 0, np.int64), layer.kernel, layer.stride)
    total = first.astype(np.int64)
    for pixel in rest:
        total += pixel
    return requantize(total, layer.requant)
