"""Gradient of a concatenation: the channels of each source."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..floatnet import FloatConcat

__all__ = ["concat_gradient"]

Array = npt.NDArray[np.floating]


def concat_gradient(layer: FloatConcat, gradient: Array) -> list[Array]:
    """The gradient (N, H, W, Ci) of every source from that of the result before the clip, (N, H, W, C): views."""
    ends = np.cumsum([shape[2] for shape in layer.input_shapes])
    return np.split(gradient, ends[:-1], axis=3)
