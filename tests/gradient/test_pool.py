"""Gradients of pools."""

from math import inf

import numpy as np
import pytest

from hwgen.floatnet import FloatPool, PoolKind
from hwgen.gradient import SquaredDistance, gradients

from .conftest import alone, assert_gradients, data_for, far_targets

SHAPE = (6, 7, 3)
POOLS = {
    "apart": {"kernel": (2, 3), "stride": (2, 3)},
    "overlapping": {"kernel": (3, 3), "stride": (2, 1), "pads": (1, 1, 0, 1)},
    "dilated": {"kernel": (2, 2), "dilation": (2, 3), "pads": (0, 1, 1, 0)},
    "clipped": {"kernel": (2, 2), "clip": (-0.2, 0.4)},
    "whole map": {"kernel": (6, 7)},
}


@pytest.mark.parametrize("kind", PoolKind)
@pytest.mark.parametrize("name", POOLS)
def test_equals_central_differences(name, kind):
    network = alone(FloatPool("pool", "x", kind, input_shape=SHAPE, **POOLS[name]), SHAPE)
    x = data_for(network, 3)
    assert assert_gradients(network, x, far_targets(network, x)).tensors["x"].any()


def test_average_of_what_is_inside():
    rows, columns = (2, *(3,) * 4, 2), (2, *(3,) * 5, 2)
    pool = FloatPool("pool", "x", PoolKind.AVERAGE, (3, 3), SHAPE, pads=(1,) * 4, divisors=(rows, columns))
    network = alone(pool, SHAPE)
    x = data_for(network, 2)
    assert_gradients(network, x, far_targets(network, x))


def test_the_first_of_equal_values_gets_the_gradient():
    """Shared by all, the gradient would count as often as there are equal values, as raw pixels often are."""
    network = alone(FloatPool("pool", "x", PoolKind.MAX, (2, 2), (2, 2, 1), clip=(0.0, inf)), (2, 2, 1))
    x = np.array([1.0, 3.0, 3.0, 3.0]).reshape(1, 2, 2, 1)
    made = gradients(network, x, SquaredDistance(np.full((1, 1, 1, 1), 1.0)), tensors=["x"])
    assert made.tensors["x"].reshape(-1).tolist() == [0.0, 2.0, 0.0, 0.0]
