"""Gradients of concatenations."""

from hwgen.floatnet import FloatConcat

from .conftest import alone, assert_gradients, data_for, far_targets


def test_equals_central_differences():
    shapes = ((3, 4, 2), (3, 4, 1), (3, 4, 5))
    network = alone(FloatConcat("merged", ("a", "b", "c"), shapes, (-0.5, 1.5)), *shapes)
    x = data_for(network, 3)
    assert_gradients(network, x, far_targets(network, x))


def test_of_a_tensor_with_itself():
    network = alone(FloatConcat("merged", ("a", "a"), ((3, 4, 2),) * 2), (3, 4, 2))
    x = data_for(network, 2)
    assert_gradients(network, x, far_targets(network, x))
