"""Gradient of an addition: each source gets its factor's share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..floatnet import FloatAdd

__all__ = ["add_gradient"]

Array = npt.NDArray[np.floating]


def add_gradient(layer: FloatAdd, gradient: Array) -> list[Array]:
    """The gradient of every source from that of the result before the clip, all (N, H, W, C)."""
    return [gradient * gradient.dtype.type(factor) for factor in layer.factors]
