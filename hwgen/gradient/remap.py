"""Gradient of a remap: each value gets the sum of those of its copies, fills get nothing."""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from ..floatnet import FloatRemap

__all__ = ["remap_gradient"]

Array = npt.NDArray[np.floating]


def remap_gradient(layer: FloatRemap, gradient: Array) -> Array:
    """The gradient (N, H, W, C) of the source from that of the result, (N, OH, OW, OC)."""
    rows, columns, channels = np.ix_(layer.rows, layer.columns, layer.channels)
    height, width, depth = layer.input_shape
    places = rows * (width * depth) + layer.row_offset[:, None, None] + columns + channels
    (copies,) = np.nonzero(((rows >= 0) & (columns >= 0) & (channels >= 0)).reshape(-1))
    # The remap is a matrix of zeros and ones; its transpose adds up what NumPy's indexing would overwrite.
    ones = np.ones(len(copies), gradient.dtype)
    back = csr_array((ones, (copies, places.reshape(-1)[copies])), (prod(layer.output_shape), height * width * depth))
    result: Array = gradient.reshape(len(gradient), -1) @ back
    return result.reshape(len(gradient), height, width, depth)
