"""Conv: two-dimensional, one group, no dilation."""

from __future__ import annotations

import numpy as np

from .reader import Reader
from .steps import ConvStep
from .window import read_window

__all__ = ["OPERATORS", "read_conv"]


def read_conv(reader: Reader) -> ConvStep:
    """Conv with constant weights (O, I, kh, kw) and an optional constant bias (O,)."""
    channels, _, _ = reader.image_shape
    reader.only("group", reader.integer("group", 1), 1)
    weight = reader.constant(1, "weight")
    if weight.ndim != 4 or weight.shape[1] != channels or 0 in weight.shape:
        raise reader.error(f"its weight of shape {weight.shape} does not fit {channels} input channels; export again")
    kernel = (weight.shape[2], weight.shape[3])
    reader.only("kernel_shape", reader.integers("kernel_shape", kernel, 2), kernel)
    bias = reader.constant(2, "bias") if reader.has(2) else np.zeros(weight.shape[0])
    if bias.shape != weight.shape[:1]:
        raise reader.error(f"its bias of shape {bias.shape} does not fit {weight.shape[0]} outputs; export again")
    stride, pads = read_window(reader, kernel)
    return ConvStep(reader.node, weight.transpose(0, 2, 3, 1), bias, stride, pads)


OPERATORS = {"Conv": read_conv}
