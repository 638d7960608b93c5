from dataclasses import replace
from math import inf

import numpy as np
import pytest

from hwgen.codes import explicit
from hwgen.errors import HwgenError
from hwgen.evaluate import evaluate
from hwgen.floatnet import FloatConv, FloatNetwork, FloatPool, PoolKind
from hwgen.lower import evaluate as evaluate_float
from hwgen.quantize import quantize
from hwgen.reference import quantize_input, run


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    return FloatNetwork(
        "net",
        (6, 6, 1),
        (
            FloatConv("conv", rng.normal(0, 0.1, (4, 3, 3, 1)), rng.normal(0, 1, 4), (6, 6, 1), np.zeros(1)),
            FloatPool("pool", PoolKind.MAX, (2, 2), (4, 4, 4), (2, 2), clip=(0.0, inf)),
            FloatConv("dense", rng.normal(0, 0.2, (3, 2, 2, 4)), rng.normal(0, 1, 3), (2, 2, 4), np.zeros(4)),
        ),
    )


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (300, 6, 6, 1)).astype(np.uint8), rng.integers(0, 3, 300)


def test_accuracies_and_noise_are_what_the_two_networks_say(model, data):
    x, y = data
    network = quantize(model, x, code="pot3")
    calls = []
    result = evaluate(model, network, x, y, lambda *call: calls.append(call))
    assert result["samples"] == 300
    real, integers = evaluate_float(model, x), run(network, quantize_input(network, x))
    assert result["float_accuracy"] == (real.reshape(300, 3).argmax(1) == y).mean()
    assert result["accuracy"] == (integers.reshape(300, 3).argmax(1) == y).mean()
    assert [layer["name"] for layer in result["layers"]] == ["conv", "pool", "dense"]
    noise = real - network.output.scale * integers
    expected = 10 * np.log10((real.astype(float) ** 2).sum() / (noise.astype(float) ** 2).sum())
    assert result["layers"][-1]["sqnr_db"] == pytest.approx(expected, abs=0.01)
    assert calls[-1] == (300, 300, "evaluating")


def test_a_clip_moved_in_front_of_the_pool_is_no_noise(model, data):
    """The quantized convolution clips at 0, the float one does not: as it stands, half the signal would be noise."""
    x, _ = data
    result = evaluate(model, quantize(model, x, code="e2m2"), x, None)
    assert result["layers"][0]["sqnr_db"] > 20


def test_without_labels_there_is_no_accuracy(model, data):
    result = evaluate(model, quantize(model, data[0]), data[0], None)
    assert result["accuracy"] is result["float_accuracy"] is None


def test_a_finer_code_has_less_noise(model, data):
    ratios = [
        evaluate(model, quantize(model, data[0], code=code), data[0], None)["layers"][-1]["sqnr_db"]
        for code in ("ternary", "e2m1", "e2m2")
    ]
    assert ratios == sorted(ratios)


def test_no_noise_is_not_a_number():
    """A network that its code holds exactly: every output is a whole number of units."""
    exact = FloatConv("dense", np.array([[[[1.0]]], [[[-1.0]]]]), np.zeros(2), (1, 1, 1), np.zeros(1))
    model = FloatNetwork("exact", (1, 1, 1), (exact,))
    x = np.zeros((4, 1, 1, 1), np.uint8)
    network = quantize(model, np.full((4, 1, 1, 1), 128, np.uint8), code=explicit([1, -1]))
    assert evaluate(model, network, x, None)["layers"][0]["sqnr_db"] is None


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        (np.zeros((2, 5, 6, 1), np.uint8), None, "shape"),
        (np.zeros((0, 6, 6, 1), np.uint8), None, "at least one"),
        (np.zeros((2, 6, 6, 1), np.uint8), np.zeros(3, int), "labels"),
        (np.zeros((2, 6, 6, 1), np.uint8), np.zeros(2), "labels"),
    ],
)
def test_data_that_does_not_fit_is_one_sentence(model, data, x, y, text):
    network = quantize(model, data[0])
    with pytest.raises(HwgenError, match=text):
        evaluate(model, network, x, y)


def test_another_model_is_refused(model, data):
    network = quantize(model, data[0])
    other = replace(model, layers=(replace(model.layers[0], name="other"), *model.layers[1:]))
    with pytest.raises(HwgenError, match="not made from this model"):
        evaluate(other, network, data[0], None)
