"""The way back from a padded map."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["unpadded"]


def unpadded(x: npt.NDArray[np.floating], pads: tuple[int, int, int, int]) -> npt.NDArray[np.floating]:
    """``x`` (N, H, W, C) without its border of ``pads`` (top, left, bottom, right): a view."""
    top, left, bottom, right = pads
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]
