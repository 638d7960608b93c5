"""Random float networks for the quantizer's tests."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import numpy as np
import pytest

from hwgen.expression import Apply, Constant, Operation, Variable
from hwgen.floatnet import (
    FloatAdd,
    FloatConcat,
    FloatConv,
    FloatInput,
    FloatLayer,
    FloatNetwork,
    FloatPool,
    FloatRemap,
    FloatTable,
    Layout,
    PoolKind,
    Shape,
)

SIGMOID = Apply(Operation.SIGMOID, (Variable(),))
SILU = Apply(Operation.MUL, (Variable(), SIGMOID))


def random_conv(
    rng: np.random.Generator, name: str, source: str, shape: Shape, outputs: int, kernel: tuple[int, int], **rest
) -> FloatConv:
    """Heavy-tailed weights, one quiet channel, large biases, and a zero of the input that is not 0."""
    inputs = shape[2] // rest.get("groups", 1)
    weight = rng.standard_t(4, (outputs, *kernel, inputs)) / np.sqrt(kernel[0] * kernel[1] * inputs)
    weight[0] *= 0.05
    return FloatConv(name, source, weight, rng.normal(0, 1, outputs), shape, rng.normal(0, 1, shape[2]), **rest)


def float_chain(seed: int) -> FloatNetwork:
    """A chain: convolution, pool, convolution with a clip of either kind, average pool, dense layer. Input 8x9x2."""
    rng = np.random.default_rng(seed)
    clip = (0.0, inf) if seed % 2 else (-inf, inf)

    def conv(name: str, *args, **rest) -> FloatConv:
        return random_conv(rng, name, layers[-1].name if layers else "input", *args, **rest)

    layers: list[FloatLayer] = []
    layers.append(conv("conv1", (8, 9, 2), 5, (3, 3), pads=(1, 1, 1, 0), clip=(0.0, inf)))
    layers.append(FloatPool("pool1", "conv1", PoolKind.MAX, (2, 2), layers[-1].output_shape, (2, 2)))
    layers.append(conv("conv2", layers[-1].output_shape, 6, (2, 3), stride=(1, 1), pads=(0, 2, 1, 0), clip=clip))
    layers.append(FloatPool("pool2", "conv2", PoolKind.AVERAGE, (2, 2), layers[-1].output_shape, (2, 2), (1, 0, 0, 1)))
    layers.append(conv("dense", layers[-1].output_shape, 4, layers[-1].output_shape[:2]))
    return FloatNetwork(f"random{seed}", (FloatInput("input", (8, 9, 2)),), tuple(layers), ("dense",))


def float_graph_of(seed: int) -> FloatNetwork:
    """Every layer kind, branches of every kind, two inputs (8x9x2 and 8x9x3) and three outputs.

    A residual addition with a negative factor; depthwise, grouped and dilated convolutions; a concatenation of a layer
    that only it reads, a layer that others read, and an input; a padded average that counts only what is inside; a
    table per channel; a padding remap; an output that a layer reads too.
    """
    rng = np.random.default_rng(seed)
    clip = (0.0, inf) if seed % 2 else (-inf, inf)
    layers: list[FloatLayer] = []

    def add(layer: FloatLayer) -> Shape:
        layers.append(layer)
        return layer.output_shape

    shape = add(random_conv(rng, "first", "left", (8, 9, 2), 4, (3, 3), pads=(1, 1, 1, 1), clip=(0.0, inf)))
    add(random_conv(rng, "depthwise", "first", shape, 4, (3, 3), pads=(2, 2, 2, 2), dilation=(2, 2), groups=4))
    add(FloatAdd("sum", ("depthwise", "first"), (1.0, -0.6), rng.normal(0, 1, 4), shape, clip))
    add(random_conv(rng, "grouped", "sum", shape, 6, (1, 3), pads=(0, 1, 0, 1), groups=2, clip=(0.0, 6.0)))
    merged = add(FloatConcat("merged", ("grouped", "sum", "right"), ((8, 9, 6), shape, (8, 9, 3)), clip))
    rows, columns = (2, *(3,) * 6, 2), (2, *(3,) * 7, 2)
    average = FloatPool("average", "merged", PoolKind.AVERAGE, (3, 3), merged, pads=(1,) * 4, divisors=(rows, columns))
    add(average)
    slopes = Constant(rng.uniform(0.1, 0.4, merged[2]))
    leaky = Apply(Operation.MAX, (Variable(), Apply(Operation.MUL, (Variable(), slopes))))
    add(FloatTable("leaky", "average", merged, leaky))
    add(FloatTable("silu", "leaky", merged, SILU))
    row = np.concatenate(([-1], np.arange(8), [-1]))
    column = np.concatenate(([-1], np.arange(9) * merged[2]))
    add(FloatRemap("pad", "silu", merged, row, np.zeros(10, np.int64), column, np.arange(merged[2]), 0.0))
    shape = add(FloatPool("largest", "pad", PoolKind.MAX, (2, 2), (10, 10, merged[2]), (2, 2)))
    add(random_conv(rng, "logits", "largest", shape, 3, shape[:2]))
    inputs = (FloatInput("left", (8, 9, 2)), FloatInput("right", (8, 9, 3), Layout.CHANNEL_LAST))
    return FloatNetwork(f"graph{seed}", inputs, tuple(layers), ("logits", "sum", "silu"))


@pytest.fixture(scope="session")
def float_network() -> Callable[[int], FloatNetwork]:
    return float_chain


@pytest.fixture(scope="session")
def float_graph() -> Callable[[int], FloatNetwork]:
    return float_graph_of
