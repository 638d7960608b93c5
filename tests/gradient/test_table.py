"""Gradients of tables; those of each operation are in ``test_expression.py``."""

import numpy as np

from hwgen.expression import Apply, Constant, Operation, Variable
from hwgen.floatnet import FloatTable

from ..quantize.conftest import SILU
from .conftest import alone, assert_gradients, data_for, far_targets


def test_equals_central_differences():
    per_channel = Apply(Operation.MUL, (SILU, Constant(np.array([0.5, -2.0, 1.0]))))
    network = alone(FloatTable("table", "x", (3, 4, 3), Apply(Operation.MAX, (per_channel, Variable()))), (3, 4, 3))
    x = data_for(network, 3)
    assert_gradients(network, x, far_targets(network, x))
