"""The float network: what a trained model computes, in the few layers and the one layout that hwgen maps to hardware.

Everything is channel-last. Batch normalisation, biases, input normalisation and activations are folded into the
layers (``hwgen.lower`` does it); a dense layer is a convolution whose kernel covers its whole input. Plain frozen data:
the quantizer walks it, ``hwgen.lower.evaluate`` runs it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from math import inf

import numpy as np
import numpy.typing as npt

__all__ = [
    "FloatConv",
    "FloatLayer",
    "FloatNetwork",
    "FloatPool",
    "Normalization",
    "PoolKind",
    "Shape",
    "window_shape",
]

Shape = tuple[int, int, int]
"""Height, width, channels."""

FloatArray = npt.NDArray[np.float64]


class PoolKind(Enum):
    """What a pool makes of a window."""

    MAX = "max"
    AVERAGE = "average"


def window_shape(
    shape: Shape, kernel: tuple[int, int], stride: tuple[int, int], pads: tuple[int, int, int, int], channels: int
) -> Shape:
    """Output shape of a sliding window (floor mode); ``pads`` is top, left, bottom, right."""
    height = (shape[0] + pads[0] + pads[2] - kernel[0]) // stride[0] + 1
    width = (shape[1] + pads[1] + pads[3] - kernel[1]) // stride[1] + 1
    return height, width, channels


@dataclass(frozen=True, eq=False)
class FloatConv:
    """``y = clip(conv(x, weight) + bias, *clip)``.

    weight: (O, kh, kw, I) float64; bias: (O,); stride: (y, x); pads: top, left, bottom, right.
    pad_value: (I,), the input value that means zero to the model (raw units, not zero after a folded normalisation).
    """

    name: str
    weight: FloatArray
    bias: FloatArray
    input_shape: Shape
    pad_value: FloatArray
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    clip: tuple[float, float] = (-inf, inf)

    @property
    def kernel(self) -> tuple[int, int]:
        return self.weight.shape[1], self.weight.shape[2]

    @property
    def output_shape(self) -> Shape:
        return window_shape(self.input_shape, self.kernel, self.stride, self.pads, self.weight.shape[0])


@dataclass(frozen=True, eq=False)
class FloatPool:
    """Maximum (padding never wins) or average (padding counts as zero) over each window, then ``clip``."""

    name: str
    kind: PoolKind
    kernel: tuple[int, int]
    input_shape: Shape
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    clip: tuple[float, float] = (-inf, inf)

    @property
    def output_shape(self) -> Shape:
        return window_shape(self.input_shape, self.kernel, self.stride, self.pads, self.input_shape[2])


FloatLayer = FloatConv | FloatPool


@dataclass(frozen=True)
class Normalization:
    """Raw input to model input: ``(x * scale - mean) / std``, each one value or one value per channel."""

    scale: tuple[float, ...] = (1.0,)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """Layers in the order in which data passes them, from raw input values to logits.

    notes: sentences for the user about what was folded or dropped (a final Softmax, say).
    normalization: what turns raw input into model input, ``(x * scale - mean) / std``; already folded into the layers.
    """

    name: str
    input_shape: Shape
    layers: tuple[FloatLayer, ...]
    notes: tuple[str, ...] = ()
    normalization: Normalization = field(default_factory=Normalization)
