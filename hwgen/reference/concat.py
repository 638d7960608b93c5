"""Integer maps joined along their channels, in one unit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..network import Concat
from .requant import requantize

__all__ = ["concat"]


def concat(layer: Concat, *maps: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    """The output tensor (N, H, W, sum of C) int32 of ``maps``, one (N, H, W, C) for each source."""
    parts = [x if rule is None else requantize(x, rule) for x, rule in zip(maps, layer.rescale, strict=True)]
    return np.concatenate(parts, axis=-1, dtype=np.int32)
