"""Gradients of tables; those of each operation are in ``test_expression.py``."""

from math import inf

import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.expression import Apply, Constant, Operation, Variable
from hwgen.floatnet import FloatConv, FloatInput, FloatNetwork, FloatTable
from hwgen.gradient import SquaredDistance, drawn_targets
from hwgen.lower.evaluate import evaluate_tensors
from hwgen.network import Conv
from hwgen.quantize import CodeBudget, quantize
from hwgen.quantize.sensitivity import weight_sensitivity

from ..quantize.conftest import SILU
from .conftest import alone, assert_gradients, data_for, far_targets


def test_equals_central_differences():
    per_channel = Apply(Operation.MUL, (SILU, Constant(np.array([0.5, -2.0, 1.0]))))
    network = alone(FloatTable("table", "x", (3, 4, 3), Apply(Operation.MAX, (per_channel, Variable()))), (3, 4, 3))
    x = data_for(network, 3)
    assert_gradients(network, x, far_targets(network, x))


def behind_relu(operation, *, last):
    """A convolution with many zeros behind its ReLU, a table that is infinitely steep there, and one more convolution.

    The table's output leaves the network where there is none.
    """
    rng = np.random.default_rng(0)
    first = FloatConv("a", "x", rng.normal(0, 0.3, (8, 3, 3, 4)), np.zeros(8), (6, 6, 4), np.zeros(4), clip=(0.0, inf))
    table = FloatTable("t", "a", (4, 4, 8), Apply(operation, (Variable(),)))
    second = FloatConv("c", "t", rng.normal(0, 0.3, (3, 1, 1, 8)), np.zeros(3), (4, 4, 8), np.zeros(8))
    layers = (first, table, second) if last else (first, table)
    return FloatNetwork("n", (FloatInput("x", (6, 6, 4)),), layers, (layers[-1].name,))


STEEP = [(Operation.SQRT, True), (Operation.SQRT, False), (Operation.LOG, False)]


@pytest.mark.parametrize(("operation", "last"), STEEP)
def test_zeros_where_a_table_is_infinitely_steep_do_not_spoil_the_rest(operation, last):
    network = behind_relu(operation, last=last)
    x = np.random.default_rng(1).integers(0, 256, (20, 6, 6, 4)).astype(np.uint8)
    values = evaluate_tensors(network, x, ["a", *network.outputs])
    assert (values["a"] == 0).mean() > 0.2
    loss = SquaredDistance(drawn_targets(values[network.outputs[0]]))
    for found in weight_sensitivity(network, x, loss).values():
        assert np.isfinite(found.gradient).all()
        assert np.isfinite(found.squares).all()
        assert found.relative() > 0


@pytest.mark.parametrize(("operation", "last"), STEEP)
def test_precision_is_chosen_behind_such_a_table(operation, last):
    network = behind_relu(operation, last=last)
    x = np.random.default_rng(1).integers(0, 256, (20, 6, 6, 4)).astype(np.uint8)
    weights = sum(layer.weight.size for layer in network.layers if isinstance(layer, FloatConv))
    budget = CodeBudget(("pot3", "e2m1"), 3.5 * weights / 8192)
    made = quantize(network, x, method="plain", codes=budget, mean_act_bits=6)
    used = [layer for layer in made.layers if isinstance(layer, Conv)]
    assert {layer.codebook for layer in used} <= {CODES["pot3"], CODES["e2m1"]}
    assert sum(layer.codes.size * layer.codebook.bits for layer in used) <= 3.5 * weights
