"""Float networks that are compared in several tests."""

from __future__ import annotations

from math import inf

import numpy as np
import numpy.typing as npt

from hwgen.floatnet import FloatConv, FloatInput, FloatNetwork

__all__ = ["CLASSES", "dense", "frames", "small"]

CLASSES = 6


def dense(weight: npt.NDArray[np.float64]) -> FloatNetwork:
    """One dense layer; weight: (O, I)."""
    outputs, inputs = weight.shape
    layer = FloatConv("dense", "x", weight[:, None, None, :], np.zeros(outputs), (1, 1, inputs), np.zeros(inputs))
    return FloatNetwork("dense", (FloatInput("x", (1, 1, inputs)),), (layer,), ("dense",))


def small(seed: int = 0) -> FloatNetwork:
    """A convolution that clips at 0, and a dense layer of :data:`CLASSES` outputs. Input 5x5x2."""
    rng = np.random.default_rng(seed)
    layers = (
        FloatConv("conv", "x", rng.normal(0, 0.1, (4, 3, 3, 2)), rng.normal(0, 1, 4), (5, 5, 2), np.zeros(2),
                  clip=(0.0, inf)),
        FloatConv("dense", "conv", rng.normal(0, 0.2, (CLASSES, 3, 3, 4)), np.zeros(CLASSES), (3, 3, 4), np.zeros(4)),
    )  # fmt: skip
    return FloatNetwork("small", (FloatInput("x", (5, 5, 2)),), layers, ("dense",))


def frames(network: FloatNetwork, count: int, seed: int = 1) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, *network.input_shape)).astype(np.uint8)
