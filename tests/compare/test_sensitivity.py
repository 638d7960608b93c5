"""Gradient L1 of each layer's weights: a bound to first order, that of the classes that the model decides for."""

from dataclasses import replace

import numpy as np
import pytest

from hwgen import boards
from hwgen.compare import compare, parse_schemes
from hwgen.compare.sensitivity import gradient_l1
from hwgen.floatnet import FloatConv
from hwgen.lower import evaluate
from hwgen.quantize.precision import FRAMES

from .networks import dense, frames, small


def loss(network, x, decided):
    """Mean cross-entropy."""
    logits = evaluate(network, x).reshape(len(x), -1)
    logits = logits - logits.max(axis=1, keepdims=True)
    return float((np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(x)), decided]).mean())


@pytest.mark.parametrize("name", ["conv", "dense"])
def test_the_worst_signs_of_a_small_relative_error_raise_the_loss_so_much(name):
    """A third of every weight is the error of a power of two; a millionth of it is small enough for first order."""
    network = small()
    x = frames(network, 40).astype(np.float64) / 100  # near the decision: there are gradients
    decided = evaluate(network, x).reshape(40, -1).argmax(axis=1)
    bound, share = gradient_l1(network, {"x": x})[name], 1e-6
    layer = next(layer for layer in network.layers if layer.name == name)

    def with_weight(weight):
        layers = tuple(replace(one, weight=weight) if one is layer else one for one in network.layers)
        return loss(replace(network, layers=layers), x, decided)

    before, slopes = with_weight(layer.weight), np.zeros(layer.weight.shape)
    for place in np.ndindex(layer.weight.shape):
        moved = layer.weight.copy()
        moved[place] *= 1 + 1e-5
        slopes[place] = (with_weight(moved) - before) / 1e-5
    assert bound == pytest.approx(np.abs(slopes).sum() / 3, rel=1e-3)
    worst = with_weight(layer.weight * (1 + share / 3 * np.sign(slopes))) - before
    assert worst == pytest.approx(share * bound, rel=1e-3)


def test_some_frames_will_do():
    network = small()
    x = frames(network, 3 * FRAMES)
    chosen = np.sort(np.random.default_rng(0).permutation(len(x))[:FRAMES])
    assert gradient_l1(network, {"x": x}) == gradient_l1(network, {"x": x[chosen]})


def test_without_classes_there_is_none():
    assert gradient_l1(dense(np.ones((1, 9))), {"x": np.ones((4, 1, 1, 9))}) == {"dense": None}


def test_it_is_the_same_in_every_scheme_and_its_layers_are_those_of_the_rewritten_model():
    network = small()
    x = frames(network, 30)
    methods = "plain equalise+plain split:ratio=0+plain"
    found = compare(network, x, parse_schemes("e2m1,pot3", methods), board=boards.board("ulx3s-85f"))
    rows = {(row["code"], row["method"]): row["layers"] for row in found["schemes"]}
    matters = {key: {layer["name"]: layer["gradient_l1"] for layer in layers} for key, layers in rows.items()}
    convs = [layer.name for layer in network.layers if isinstance(layer, FloatConv)]
    assert matters["e2m1", "plain"] == matters["pot3", "plain"] == gradient_l1(network, {"x": x})
    # Channels scaled by powers of two: every product of a weight and its gradient is the same.
    assert matters["e2m1", "equalise+plain"] == pytest.approx(matters["e2m1", "plain"], rel=1e-4)
    assert len(matters["e2m1", "split:ratio=0+plain"]) > len(convs)
    assert all(value > 0 for values in matters.values() for value in values.values())
