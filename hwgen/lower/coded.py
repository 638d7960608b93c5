"""Codes of weights that the model holds quantized: they follow their weights into the layers, unchanged."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..floatnet import Coded
from .function import Array

__all__ = ["IntArray", "recoded"]

IntArray = npt.NDArray[np.int64]

_ROUNDING = 2.0**-20
"""Relative difference between a weight and its level times the scale that the rounding of float32 explains."""


def recoded(codes: Coded | IntArray | None, weight: Array) -> Coded | None:
    """The levels of ``codes`` (O, ...) with the scale of each output channel that makes them ``weight``, of that shape.

    None where no such scale exists: an affine per input channel has been folded into the weights, say.
    """
    if codes is None:
        return None
    levels = codes.levels if isinstance(codes, Coded) else codes
    rows, weights = levels.reshape(len(levels), -1), weight.reshape(len(weight), -1)
    peak = np.abs(rows).argmax(axis=1)[:, None]
    largest = np.take_along_axis(rows, peak, axis=1)[:, 0]
    scale = np.take_along_axis(weights, peak, axis=1)[:, 0] / np.where(largest == 0, 1, largest)
    if (np.abs(weights - rows * scale[:, None]) > _ROUNDING * np.abs(weights)).any():
        return None
    sign = np.where(scale < 0, -1, 1)
    scale = np.where(scale == 0, 1.0, np.abs(scale))
    alive = rows.any(axis=1) & weights.any(axis=1)
    shaped = np.where(alive, sign, 0).reshape(-1, *(1 for _ in levels.shape[1:]))
    return Coded(levels * shaped, scale)
