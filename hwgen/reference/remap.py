"""Values in another place: a gather, the same for integers and for reals."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..network import Remap

__all__ = ["remap"]


def remap(layer: Remap, x: npt.NDArray[Any], fill: float | None = None) -> npt.NDArray[Any]:
    """The output (N, OH, OW, OC) of ``x`` (N, H, W, C), in its dtype; ``fill`` instead of the layer's if given."""
    count, _, width, channels = x.shape
    rows, columns, depth = np.ix_(layer.rows, layer.columns, layer.channels)
    empty = (rows < 0) | (columns < 0) | (depth < 0)
    index = rows * (width * channels) + layer.row_offset[:, None, None] + columns + depth
    out = x.reshape(count, -1).take(np.where(empty, 0, index), axis=1)
    if empty.any():
        out[:, empty] = layer.fill if fill is None else fill
    return out
