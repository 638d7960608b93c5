"""Gradient of a pool: to the values that were summed, or to the one that was the largest."""

from __future__ import annotations

from math import inf, prod

import numpy as np
import numpy.typing as npt

from ..floatnet import FloatPool, PoolKind
from ..reference.window import padded, positions
from .window import unpadded

__all__ = ["pool_gradient"]

Array = npt.NDArray[np.floating]


def pool_gradient(layer: FloatPool, x: Array, result: Array, gradient: Array) -> Array:
    """The gradient of the source ``x`` (N, H, W, C) from that of the ``result`` before the clip, (N, OH, OW, C).

    Of equally large values in a window the first, row by row, gets all of it.
    """
    window = layer.kernel, layer.stride, layer.dilation
    maps = padded(x, layer.pads, -inf)
    back = np.zeros_like(maps)
    if layer.kind is PoolKind.MAX:
        left = np.ones(result.shape, bool)
        for pixels, values in zip(positions(back, *window), positions(maps, *window), strict=True):
            # The result is behind the clip; where that moved it, the gradient is zero already.
            first = left & (values == result)
            pixels += gradient * first
            left &= ~first
        return unpadded(back, layer.pads)
    if layer.divisors is None:
        share = gradient / prod(layer.kernel)
    else:
        rows, columns = (np.array(part, x.dtype) for part in layer.divisors)
        share = gradient / (rows[:, None] * columns)[..., None]
    for pixels in positions(back, *window):
        pixels += share
    return unpadded(back, layer.pads)
