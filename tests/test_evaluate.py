from dataclasses import replace
from math import inf

import numpy as np
import pytest

from hwgen.codes import explicit
from hwgen.errors import HwgenError
from hwgen.evaluate import evaluate
from hwgen.expression import Apply, Operation, Variable
from hwgen.floatnet import FloatConv, FloatInput, FloatNetwork, FloatPool, FloatTable, PoolKind
from hwgen.lower import evaluate as evaluate_float
from hwgen.quantize import quantize
from hwgen.reference import quantize_input, run

from .quantize.conftest import float_chain, float_graph_of


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    return FloatNetwork(
        "net",
        (FloatInput("x", (6, 6, 1)),),
        (
            FloatConv("conv", "x", rng.normal(0, 0.1, (4, 3, 3, 1)), rng.normal(0, 1, 4), (6, 6, 1), np.zeros(1)),
            FloatPool("pool", "conv", PoolKind.MAX, (2, 2), (4, 4, 4), (2, 2), clip=(0.0, inf)),
            FloatConv("dense", "pool", rng.normal(0, 0.2, (3, 2, 2, 4)), rng.normal(0, 1, 3), (2, 2, 4), np.zeros(4)),
        ),
        ("dense",),
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
    exact = FloatConv("dense", "x", np.array([[[[1.0]]], [[[-1.0]]]]), np.zeros(2), (1, 1, 1), np.zeros(1))
    model = FloatNetwork("exact", (FloatInput("x", (1, 1, 1)),), (exact,), ("dense",))
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


def test_several_inputs_and_outputs():
    """Labels belong to the first output, every layer has its noise, and a table's value outside its domain has none."""
    rng = np.random.default_rng(0)
    x = {"left": rng.normal(0, 1, (60, 8, 9, 2)), "right": rng.integers(0, 5, (60, 8, 9, 3)).astype(np.uint8)}
    model = float_graph_of(1)
    logarithm = FloatTable("logarithm", "first", (8, 9, 4), Apply(Operation.LOG, (Variable(),)))
    model = replace(model, layers=(*model.layers, logarithm), outputs=(*model.outputs, "logarithm"))
    network = quantize(model, x, code="e2m2")
    y = rng.integers(0, 3, 60)
    result = evaluate(model, network, x, y)
    logits = run(network, quantize_input(network, x))["logits"].reshape(60, 3)
    assert result["accuracy"] == (logits.argmax(1) == y).mean()
    assert [layer["name"] for layer in result["layers"]] == [layer.name for layer in network.layers]
    assert all(layer["sqnr_db"] > 15 for layer in result["layers"] if layer["name"] != "logarithm")
    with pytest.raises(HwgenError, match="inputs left, right"):
        evaluate(model, network, {"left": x["left"]}, y)


def test_labels_of_an_output_that_is_an_input(model, data):
    echo = replace(model, outputs=("x", "dense"))
    x, _ = data
    labels = x.reshape(300, -1).argmax(axis=1)
    result = evaluate(echo, quantize(echo, x), x, labels)
    assert result["accuracy"] == result["float_accuracy"] == 1


def test_another_model_is_refused(model, data):
    network = quantize(model, data[0])
    last = model.layers[-1]
    renamed = replace(model, layers=(*model.layers[:-1], replace(last, name="other")), outputs=("other",))
    larger = replace(model, layers=(*model.layers[:-1], replace(last, weight=last.weight[:2], bias=last.bias[:2])))
    more = replace(model, outputs=("dense", "pool"))
    for other in (renamed, larger, more):
        with pytest.raises(HwgenError, match="not made from this model"):
            evaluate(other, network, data[0], None)


def test_weights_grow_more_similar_with_their_bits():
    model, data = float_chain(0), np.random.default_rng(0).integers(0, 256, (30, 8, 9, 2)).astype(np.uint8)
    results = [
        evaluate(model, quantize(model, data, code=code, method="plain"), data, None) for code in ("pot3", "int8")
    ]
    coarse, fine = (result["weight_similarity"] for result in results)
    assert 0.9 < coarse < fine < 1
    layers = {layer["name"]: layer["weight_similarity"] for layer in results[0]["layers"]}
    assert layers["pool1"] is None
    assert 0.9 < layers["conv1"] < 1
