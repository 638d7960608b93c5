"""Gradients of additions."""

import numpy as np
import pytest

from hwgen.floatnet import FloatAdd

from .conftest import alone, assert_gradients, data_for, far_targets

SHAPE = (3, 4, 2)


@pytest.mark.parametrize("clip", [(-np.inf, np.inf), (0.0, 1.0)])
def test_equals_central_differences(clip):
    network = alone(
        FloatAdd("sum", ("a", "b", "c"), (1.0, -0.6, 2.5), np.array([0.3, -1.0]), SHAPE, clip), *3 * [SHAPE]
    )
    x = data_for(network, 3)
    assert_gradients(network, x, far_targets(network, x))


def test_of_a_tensor_with_itself():
    network = alone(FloatAdd("sum", ("a", "a"), (1.0, 3.0), np.zeros(2), SHAPE), SHAPE)
    x = data_for(network, 2)
    assert_gradients(network, x, far_targets(network, x))
