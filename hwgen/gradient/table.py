"""Gradient of a table: the derivative of its function."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..floatnet import FloatTable
from .expression import expression_gradient

__all__ = ["table_gradient"]

Array = npt.NDArray[np.floating]


def table_gradient(layer: FloatTable, x: Array, gradient: Array) -> Array:
    """The gradient of the source ``x`` (N, H, W, C) from that of the result."""
    return expression_gradient(layer.function, x, gradient)
