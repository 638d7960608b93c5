"""The walk: whole graphs by central differences, inner tensors, batches, formats, and what is an error."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from hwgen.floatnet import Fixed, FloatInput, FloatNetwork, FloatRemap, FloatTable
from hwgen.gradient import CrossEntropy, SquaredDistance, gradients
from hwgen.gradient import network as walk
from hwgen.interval import Interval
from hwgen.lower import evaluate_tensors

from ..quantize.conftest import float_chain, float_graph_of, random_conv
from .conftest import alone, assert_gradients, assert_is_derivative, data_for, far_targets, loss_of, with_layer

SEEDS = range(4)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("build", [float_chain, float_graph_of])
def test_equals_central_differences(build, seed):
    network = build(seed)
    x = data_for(network, 2, seed)
    made = assert_gradients(network, x, far_targets(network, x))
    assert all(gradient.any() for gradient in made.weights.values())


def test_of_cross_entropy():
    network = float_chain(1)
    x = data_for(network, 3)
    assert_gradients(network, x, CrossEntropy(np.array([0, 3, 1])))
    assert_gradients(network, x, CrossEntropy())


@pytest.mark.parametrize("seed", SEEDS)
def test_inner_tensors(seed):
    """Cut there, the rest of the network has that tensor as an input: the gradient is that input's.

    Without the clips: behind them values are exactly 0 or 6 so often that their averages tie in the last pool, a corner
    with two derivatives, as do the fills around the map, which are left out.
    """
    network = float_graph_of(seed)
    for layer in network.layers:
        if not isinstance(layer, FloatTable | FloatRemap):
            network = with_layer(network, replace(layer, clip=(-inf, inf)))
    x = data_for(network, 2, seed)
    loss = far_targets(network, x)
    names = [layer.name for layer in network.layers]
    made = gradients(network, x, loss, tensors=names)
    assert list(made.tensors) == names
    values = evaluate_tensors(network, x, [*x, *names])
    for place, name in enumerate(names):
        inputs = tuple(FloatInput(tensor, network.shape(tensor)) for tensor in [*x, *names[: place + 1]])
        rest = FloatNetwork("rest", inputs, network.layers[place + 1 :], network.outputs)
        given = {source.name: values[source.name] for source in inputs}

        def of_tensor(changed, rest=rest, given=given, name=name):
            return loss_of(rest, {**given, name: changed}, loss)

        assert_is_derivative(made.tensors[name], of_tensor, values[name], name, values[name] != 0)


def test_batches_add_up_to_the_whole(monkeypatch):
    network = float_graph_of(1)
    x = data_for(network, 7)
    loss = far_targets(network, x)
    names = ["left", "sum", "merged"]
    whole = gradients(network, x, loss, tensors=names, squares=True)
    assert len(list(walk.gradients_by_batch(network, x, loss))) == 1
    values = walk.BATCH_VALUES // walk._frames_per_batch(network)
    monkeypatch.setattr(walk, "BATCH_VALUES", 3 * values + values // 2)
    parts = list(walk.gradients_by_batch(network, x, loss, tensors=names))
    assert [len(part.losses) for part in parts] == [3, 3, 1]
    summed = gradients(network, x, loss, tensors=names, squares=True)
    np.testing.assert_allclose(summed.losses, whole.losses)
    for kind in ("weights", "biases", "weight_squares", "bias_squares", "tensors"):
        ours, theirs = getattr(summed, kind), getattr(whole, kind)
        assert list(ours) == list(theirs)
        for name in ours:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(sum(part.weights["first"] for part in parts), whole.weights["first"])


def test_in_layer_order_and_zero_where_no_loss_depends_on_it():
    """An output that the loss leaves out: what only it reads has no gradient."""
    network = float_graph_of(0)
    x = data_for(network, 2)
    loss = SquaredDistance({"sum": np.zeros((2, 8, 9, 4))})
    made = gradients(network, x, loss, tensors=["right", "left", "merged"], squares=True)
    assert list(made.weights) == ["first", "depthwise", "grouped", "logits"] == list(made.weight_squares)
    assert {name for name, gradient in made.weights.items() if gradient.any()} == {"first", "depthwise"}
    assert {name for name, gradient in made.tensors.items() if gradient.any()} == {"left"}
    assert made.tensors["right"].shape == (2, 8, 9, 3)
    assert not made.biases["logits"].any()


def test_whole_numbers_run_in_float32():
    network = float_chain(0)
    x = np.random.default_rng(0).integers(-2, 3, (3, 8, 9, 2))
    exact = gradients(network, x.astype(np.float64), CrossEntropy(), tensors=["conv2"], squares=True)
    made = gradients(network, x.astype(np.int8), CrossEntropy(), tensors=["conv2"], squares=True)
    for kind in ("weights", "biases", "weight_squares", "bias_squares", "tensors"):
        for name, gradient in getattr(made, kind).items():
            wanted = getattr(exact, kind)[name]
            assert gradient.dtype == np.float32
            np.testing.assert_allclose(gradient, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def test_prescribed_formats_are_straight_through():
    """Rounded values go forward; backward, rounding is the identity between its limits and flat beyond them."""
    layer = random_conv(np.random.default_rng(1), "conv", "x", (4, 4, 2), 3, (3, 3))
    form = Fixed(0.5, Interval(-2, 2))
    network = alone(replace(layer, fixed=form), (4, 4, 2))
    network = replace(network, inputs=(replace(network.input, fixed=Fixed(0.25, Interval(-4, 4))),))
    x = data_for(network, 5)["x"]
    rounded = np.clip(np.rint(x / 0.25), -4, 4) * 0.25
    plain = alone(layer, (4, 4, 2))
    before = evaluate_tensors(plain, rounded, ["conv"])["conv"]
    inside = np.abs(np.rint(before / 0.5)) <= 2
    assert 0 < inside.mean() < 1
    targets = np.random.default_rng(2).normal(0, 1, before.shape)
    made = gradients(network, x, SquaredDistance(targets), tensors=["x", "conv"])
    after = np.clip(np.rint(before / 0.5), -2, 2) * 0.5
    np.testing.assert_allclose(made.tensors["conv"], after - targets)
    # The plain layer gets the same gradient of its result from targets that are that far away.
    wanted = gradients(plain, rounded, SquaredDistance(before - (after - targets) * inside), tensors=["x"])
    np.testing.assert_allclose(made.weights["conv"], wanted.weights["conv"])
    np.testing.assert_allclose(made.tensors["x"], wanted.tensors["x"])


def test_an_input_that_is_an_output():
    network = replace(float_chain(0), outputs=("dense", "input"))
    x = data_for(network, 2)
    assert_gradients(network, x, far_targets(network, x))


def test_errors():
    network = float_chain(0)
    with pytest.raises(ValueError, match=r"x must have shape \(N, 8, 9, 2\)"):
        gradients(network, np.zeros((3, 8, 9, 3)), CrossEntropy())
    with pytest.raises(ValueError, match="at least one frame"):
        gradients(network, np.zeros((0, 8, 9, 2)), CrossEntropy())
    with pytest.raises(KeyError, match="nothing"):
        gradients(network, np.zeros((1, 8, 9, 2)), CrossEntropy(), tensors=["nothing"])
