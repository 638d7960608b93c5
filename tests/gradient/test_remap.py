"""Gradients of remaps: copies add up, fills and what is not read get nothing."""

import numpy as np
import pytest

from hwgen.floatnet import FloatRemap
from hwgen.gradient import gradients

from .conftest import alone, assert_gradients, data_for, far_targets

SHAPE = (3, 4, 2)


def remap(rows, columns, channels, row_offset=None):
    """columns: pixels, -1 for a fill."""
    offsets = np.zeros(len(rows), np.int64) if row_offset is None else np.array(row_offset)
    places = np.array(columns) * np.where(np.array(columns) < 0, 1, SHAPE[2])
    return FloatRemap("remap", "x", SHAPE, np.array(rows), offsets, places, np.array(channels), 0.7)


REMAPS = {
    "crop": remap([1, 2], [1, 2], [0, 1]),
    "pad": remap([-1, 0, 1, 2], [0, 1, 2, 3, -1], [-1, 0, 1]),
    "resize": remap([0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 2, 3], [1, 0]),
    "depth to space": remap([0, 0, 1, 1, 2, 2], [0, 1, 2, 3], [0], row_offset=[0, 1, 0, 1, 0, 1]),
    "only fills": remap([-1, -1], [0, 1], [0]),
}


@pytest.mark.parametrize("name", REMAPS)
def test_equals_central_differences(name):
    network = alone(REMAPS[name], SHAPE)
    x = data_for(network, 3)
    made = assert_gradients(network, x, far_targets(network, x))
    assert made.tensors["x"].any() == (name != "only fills")


def test_in_the_type_of_the_data():
    network = alone(REMAPS["resize"], SHAPE)
    x = data_for(network, 2)
    loss = far_targets(network, x)
    exact = gradients(network, x, loss, tensors=["x"]).tensors["x"]
    single = gradients(network, {"x": x["x"].astype(np.float32)}, loss, tensors=["x"]).tensors["x"]
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, rtol=1e-5, atol=1e-6)
