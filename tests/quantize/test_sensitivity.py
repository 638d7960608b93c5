"""Sensitivity: the bounds it claims on small networks, exhaustively, and its ranking of a real network's layers."""

from dataclasses import replace
from itertools import product
from math import inf

import numpy as np
import pytest

from hwgen.errors import HwgenError
from hwgen.floatnet import FloatConv, FloatInput, FloatNetwork, Layout
from hwgen.gradient import CrossEntropy, SquaredDistance, drawn_labels, gradients
from hwgen.importers import load_model
from hwgen.lower import evaluate, lower
from hwgen.quantize.sensitivity import POWER_OF_TWO, tensor_sensitivity, weight_sensitivity

from ..real_models import MODELS
from .conftest import float_chain

INPUTS, CLASSES, FRAMES = 4, 3, 20
CORNERS = np.array(list(product((-1.0, 1.0), repeat=INPUTS * CLASSES)))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def regression(rng):
    """Logistic regression: one dense layer of 12 weights, frames and labels."""
    weight, bias = rng.normal(0, 1, (CLASSES, 1, 1, INPUTS)), rng.normal(0, 1, CLASSES)
    layer = FloatConv("dense", "x", weight, bias, (1, 1, INPUTS), np.zeros(INPUTS))
    network = FloatNetwork("regression", (FloatInput("x", (1, 1, INPUTS)),), (layer,), ("dense",))
    return network, rng.normal(0, 1, (FRAMES, 1, 1, INPUTS)), CrossEntropy(rng.integers(0, CLASSES, FRAMES))


def mean_loss(network, x, loss):
    return float(loss({"dense": evaluate(network, x)}, slice(None))[0].mean())


def moved(network, name, error):
    """``network`` with ``error`` added to the weights of one layer."""
    layers = (replace(old, weight=old.weight + error) if old.name == name else old for old in network.layers)
    return replace(network, layers=tuple(layers))


def largest_rise(network, x, loss, sizes):
    """The largest change of the loss when every weight moves by its size, up or down: all 4096 corners."""
    before, shape = mean_loss(network, x, loss), network.layers[0].weight.shape
    rises = [mean_loss(moved(network, "dense", (signs.reshape(shape)) * sizes), x, loss) - before for signs in CORNERS]
    return max(rises)


@pytest.mark.parametrize("step", [0.02, 0.2])
def test_worst_corner_of_a_uniform_step(regression, step):
    """``step / 2 * sum |g|``, and beyond it at most the second order: the loss is convex, and the second derivative
    along a direction of ones is a variance of the logits' changes, at most ``mean (sum |x|)**2``."""
    network, x, loss = regression
    predicted = weight_sensitivity(network, x, loss)["dense"].uniform(step)
    rise = largest_rise(network, x, loss, step / 2)
    reach = float((np.abs(x).sum(axis=(1, 2, 3)) ** 2).mean())
    assert predicted <= rise <= predicted + 0.5 * (step / 2) ** 2 * reach
    assert predicted > 0.1 * step


def test_remainder_is_of_second_order(regression):
    """A tenth of the step leaves a hundredth of the difference."""
    network, x, loss = regression
    made = weight_sensitivity(network, x, loss)["dense"]
    coarse, fine = (largest_rise(network, x, loss, step / 2) - made.uniform(step) for step in (0.02, 0.002))
    assert fine == pytest.approx(coarse / 100, rel=0.05)


def test_worst_corner_of_a_step_per_channel(regression):
    network, x, loss = regression
    steps = np.array([0.0, 1e-3, 4e-3])
    predicted = weight_sensitivity(network, x, loss)["dense"].uniform(steps)
    assert largest_rise(network, x, loss, steps[:, None, None, None] / 2) == pytest.approx(predicted, rel=0.01)


def test_worst_corner_of_a_relative_error(regression):
    network, x, loss = regression
    predicted = weight_sensitivity(network, x, loss)["dense"].relative(1e-3)
    sizes = 1e-3 * np.abs(network.layers[0].weight)
    assert largest_rise(network, x, loss, sizes) == pytest.approx(predicted, rel=0.01)


def test_share_of_power_of_two_rounding():
    """The largest relative error of nearest rounding is the share, and no less."""
    w = np.linspace(1, 2, 10_001)
    rounded = np.where(w < 1.5, 1, 2)
    assert (np.abs(rounded - w) / w).max() == pytest.approx(POWER_OF_TWO, rel=1e-3)
    assert (np.abs(rounded - w) / w <= POWER_OF_TWO + 1e-12).all()


def test_second_order_predicts_the_rise_of_the_drawn_loss(rng):
    """Where labels follow the model the mean gradient vanishes and the curvature is the Fisher information: random
    errors, independent so that its diagonal is enough, raise the loss by what it says."""
    weight, frames = rng.normal(0, 1, (CLASSES, 1, 1, INPUTS)), 40_000
    layer = FloatConv("dense", "x", weight, np.zeros(CLASSES), (1, 1, INPUTS), np.zeros(INPUTS))
    network = FloatNetwork("regression", (FloatInput("x", (1, 1, INPUTS)),), (layer,), ("dense",))
    x = rng.normal(0, 1, (frames, 1, 1, INPUTS)) * [0.2, 0.5, 1.0, 2.0]
    loss = CrossEntropy(drawn_labels(evaluate(network, x)))
    made = weight_sensitivity(network, x, loss)["dense"]
    before, rises, predicted = mean_loss(network, x, loss), [], []
    for _ in range(40):
        error = rng.choice([-0.05, 0.05], weight.shape)
        rises.append(mean_loss(moved(network, "dense", error), x, loss) - before)
        rises.append(mean_loss(moved(network, "dense", -error), x, loss) - before)  # takes the first order out
        predicted.append(made.second_order(error))
    assert np.mean(rises) == pytest.approx(np.mean(predicted), rel=0.1)
    with pytest.raises(ValueError, match="error must have the shape"):
        made.second_order(np.zeros(3))


def test_squares_are_means_over_single_frames(rng):
    network = float_chain(1)
    x = rng.normal(0, 1, (5, 8, 9, 2))
    made = weight_sensitivity(network, x, CrossEntropy())
    singles = [gradients(network, x[n : n + 1], CrossEntropy()).weights for n in range(5)]
    assert list(made) == ["conv1", "conv2", "dense"]
    for name, sensitivity in made.items():
        np.testing.assert_allclose(sensitivity.gradient, np.mean([g[name] for g in singles], axis=0), atol=1e-12)
        np.testing.assert_allclose(sensitivity.squares, np.mean([g[name] ** 2 for g in singles], axis=0), atol=1e-12)


def test_worst_corner_of_a_tensor(regression):
    """The input of the regression: each frame's loss in its own worst corner, all 16 of them, on average."""
    network, x, loss = regression
    predicted = tensor_sensitivity(network, x, loss, ["x"])["x"].uniform(2e-3)
    before = loss({"dense": evaluate(network, x)}, slice(None))[0]
    corners = np.array(list(product((-1e-3, 1e-3), repeat=INPUTS)))
    after = [loss({"dense": evaluate(network, x + corner)}, slice(None))[0] for corner in corners]
    assert (np.max(after, axis=0) - before).mean() == pytest.approx(predicted, rel=0.01)


def test_second_order_of_a_tensor(rng):
    """Of the last tensor, where a half squared distance has the curvature 1: noise costs half its variance each."""
    network = float_chain(0)
    x = rng.normal(0, 1, (4000, 8, 9, 2)).astype(np.float32)
    output = evaluate(network, x)
    loss = SquaredDistance(output + rng.normal(0, 1, output.shape))
    made = tensor_sensitivity(network, x, loss)
    assert list(made) == [layer.name for layer in network.layers]
    assert made["dense"].second_order(0.3) == pytest.approx(0.5 * 0.3 * 4, rel=0.05)


def test_noise_on_a_tensor_costs_what_its_squares_say(rng):
    """The input of the chain, a long way from the output: the mean rise under rounding noise with drawn targets."""
    network = replace(float_chain(0), layers=tuple(_without_kinks(layer) for layer in float_chain(0).layers))
    x = rng.normal(0, 1, (500, 8, 9, 2))
    output = evaluate(network, x)
    loss = SquaredDistance(output + rng.normal(0, 1, output.shape))
    predicted = tensor_sensitivity(network, x, loss, ["input"])["input"].second_order(0.01**2 / 12)
    noise = rng.uniform(-0.005, 0.005, (20, *x.shape))
    outputs = [evaluate(network, x + part) for part in noise]
    rise = np.mean([np.square(part - output).sum(axis=(1, 2, 3)) / 2 for part in outputs])
    assert rise == pytest.approx(predicted, rel=0.1)


def _without_kinks(layer):
    return replace(layer, clip=(-inf, inf)) if isinstance(layer, FloatConv) else layer


def test_errors(regression):
    network, x, loss = regression
    with pytest.raises(HwgenError, match="calibration data must have shape"):
        weight_sensitivity(network, x[:0], loss)
    with pytest.raises(KeyError, match="nothing"):
        tensor_sensitivity(network, x, loss, ["nothing"])


@pytest.mark.parametrize("form", ["uniform", "relative", "second_order"])
def test_ranking_of_a_real_network(real_data, form):
    """ResNet-8: the layer called most sensitive hurts more than the least, when all weights get errors of that form."""
    model = MODELS["resnet8"]
    network = lower(load_model(real_data / model.file))
    x = model.samples(real_data).calibration[:96]
    x = (x.transpose(0, 2, 3, 1) if network.input.layout is Layout.CHANNEL_FIRST else x).reshape(
        -1, *network.input_shape
    )
    logits = evaluate(network, x)
    made = weight_sensitivity(network, x, CrossEntropy(drawn_labels(logits) if form == "second_order" else None))
    rng = np.random.default_rng(1)

    def error_of(name):
        signs = rng.choice([-1.0, 1.0], made[name].weight.shape)
        return signs * (0.1 * np.abs(made[name].weight) if form == "relative" else 0.01)

    def cost(name):
        return np.mean([_divergence(logits, evaluate(moved(network, name, error_of(name)), x)) for _ in range(3)])

    predicted = {
        "uniform": lambda name: made[name].uniform(0.02),
        "relative": lambda name: made[name].relative(0.1),
        "second_order": lambda name: made[name].second_order(np.full(made[name].weight.shape, 0.01)),
    }[form]
    order = sorted(made, key=predicted)
    assert cost(order[-1]) > 2 * cost(order[0])


def _divergence(logits, others):
    """The mean Kullback-Leibler divergence of two networks' classes."""
    p, q = (part - np.log(np.exp(part).sum(axis=3, keepdims=True)) for part in (logits, others))
    return float((np.exp(p) * (p - q)).sum(axis=3).mean())
