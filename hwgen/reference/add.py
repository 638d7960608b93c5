"""Addition of integer tensors, each times its own factor."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..network import Add
from .requant import shift_and_clip

__all__ = ["add"]


def add(layer: Add, *maps: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    """The output tensor (N, H, W, C) int32 of ``maps``, one (N, H, W, C) for each source.

    The caller guarantees ``abs(sum(x * mul) + add) < 2**63``; the quantizer checks a far tighter bound.
    """
    total = np.empty(maps[0].shape, np.int64)
    total[...] = layer.add
    for x, mul in zip(maps, layer.mul, strict=True):
        total += np.multiply(x, mul, dtype=np.int64)
    return shift_and_clip(total, layer.shift, layer.lo, layer.hi)
