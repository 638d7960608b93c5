"""Gradients of convolutions of every shape, and the sums of squares of single frames."""

from math import inf

import numpy as np
import pytest

from hwgen.gradient import gradients

from ..quantize.conftest import random_conv
from .conftest import alone, assert_gradients, data_for, far_targets

SHAPES = {
    "padded": ((5, 6, 3), 4, (3, 3), {"pads": (1, 0, 2, 1)}),
    "strided": ((7, 6, 2), 3, (3, 2), {"stride": (2, 3), "pads": (1, 1, 1, 0)}),
    "stride leaves rows unread": ((6, 6, 2), 3, (1, 1), {"stride": (4, 4)}),
    "dilated": ((7, 8, 2), 3, (2, 3), {"dilation": (3, 2), "pads": (1, 1, 0, 2)}),
    "pointwise": ((3, 4, 5), 2, (1, 1), {}),
    "dense": ((3, 2, 4), 5, (3, 2), {}),
    "covers its padded input": ((3, 2, 4), 5, (3, 2), {"pads": (1, 0, 0, 1)}),
    "grouped": ((4, 5, 6), 4, (3, 1), {"groups": 2, "pads": (1, 0, 1, 0)}),
    "grouped dense": ((3, 3, 4), 6, (3, 3), {"groups": 2}),
    "depthwise": ((5, 5, 4), 4, (3, 3), {"groups": 4, "pads": (1, 1, 1, 1), "stride": (2, 2)}),
    "depthwise of two outputs each": ((5, 4, 3), 6, (2, 2), {"groups": 3, "dilation": (2, 1)}),
    "one channel": ((4, 4, 1), 1, (2, 2), {}),
    "clipped": ((5, 5, 2), 6, (3, 3), {"clip": (-0.3, 0.6), "pads": (1, 1, 1, 1)}),
}


@pytest.fixture(params=SHAPES)
def network(request):
    shape, outputs, kernel, rest = SHAPES[request.param]
    return alone(random_conv(np.random.default_rng(3), "conv", "x", shape, outputs, kernel, **rest), shape)


def test_equals_central_differences(network):
    x = data_for(network, 3)
    made = assert_gradients(network, x, far_targets(network, x))
    assert np.abs(made.weights["conv"]).max() > 0.01


def test_squares_are_those_of_single_frames(network):
    """The sum over frames of the square, not the square of the sum."""
    x = data_for(network, 4)["x"]
    loss = far_targets(network, {"x": x})
    made = gradients(network, x, loss, squares=True)
    parts = [gradients(network, x[n : n + 1], _of_frame(loss, n)) for n in range(4)]
    np.testing.assert_allclose(made.weight_squares["conv"], sum(part.weights["conv"] ** 2 for part in parts))
    np.testing.assert_allclose(made.bias_squares["conv"], sum(part.biases["conv"] ** 2 for part in parts))
    assert (made.weight_squares["conv"] != made.weights["conv"] ** 2).any()


def _of_frame(loss, n):
    return lambda outputs, frames: loss(outputs, slice(n, n + 1))


def test_clip_lets_nothing_through():
    layer = random_conv(np.random.default_rng(3), "conv", "x", (4, 4, 2), 3, (2, 2), clip=(50.0, inf))
    network = alone(layer, (4, 4, 2))
    x = data_for(network, 2)
    made = gradients(network, x, far_targets(network, x), tensors=["x", "conv"])
    assert made.tensors["conv"].all()
    assert not any(part.any() for part in (made.weights["conv"], made.biases["conv"], made.tensors["x"]))
