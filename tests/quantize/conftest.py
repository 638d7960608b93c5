"""Random float networks for the quantizer's tests."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import numpy as np
import pytest

from hwgen.floatnet import FloatConv, FloatLayer, FloatNetwork, FloatPool, PoolKind


def _float_network(seed: int) -> FloatNetwork:
    """Convolution, pool, strided convolution with a clip of either kind, average pool, dense layer; random weights.

    The input is 8x9x2. Weights are heavy-tailed, one channel is quiet, biases are large, the input's zero is not 0.
    """
    rng = np.random.default_rng(seed)
    clip = (0.0, inf) if seed % 2 else (-inf, inf)

    def conv(name: str, shape: tuple[int, int, int], outputs: int, kernel: tuple[int, int], **rest) -> FloatConv:
        weight = rng.standard_t(4, (outputs, *kernel, shape[2])) / np.sqrt(kernel[0] * kernel[1] * shape[2])
        weight[0] *= 0.05
        return FloatConv(name, weight, rng.normal(0, 1, outputs), shape, rng.normal(0, 1, shape[2]), **rest)

    layers: list[FloatLayer] = [conv("conv1", (8, 9, 2), 5, (3, 3), pads=(1, 1, 1, 0), clip=(0.0, inf))]
    layers.append(FloatPool("pool1", PoolKind.MAX, (2, 2), layers[-1].output_shape, (2, 2), (0, 0, 0, 0)))
    layers.append(conv("conv2", layers[-1].output_shape, 6, (2, 3), stride=(1, 1), pads=(0, 2, 1, 0), clip=clip))
    layers.append(FloatPool("pool2", PoolKind.AVERAGE, (2, 2), layers[-1].output_shape, (2, 2), (1, 0, 0, 1)))
    layers.append(conv("dense", layers[-1].output_shape, 4, layers[-1].output_shape[:2]))
    return FloatNetwork(f"random{seed}", (8, 9, 2), tuple(layers))


@pytest.fixture(scope="session")
def float_network() -> Callable[[int], FloatNetwork]:
    return _float_network
