from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.codes import CODES
from hwgen.errors import HwgenError
from hwgen.expression import Apply, Operation, Variable
from hwgen.floatnet import FloatAdd, FloatConcat, FloatConv, FloatInput, FloatNetwork, FloatPool, FloatTable, PoolKind
from hwgen.importers import load_model
from hwgen.lower import evaluate, lower
from hwgen.quantize import quantize
from hwgen.quantize.rewrite import Equalise
from hwgen.quantize.similarity import chain_normalised, coded_weights, similarity

RELU = (0.0, inf)
SHAPE = (6, 7, 2)


def conv(rng, name, source, shape, outputs, **rest):
    weight = rng.standard_normal((outputs, 3, 3, shape[2] // rest.get("groups", 1)))
    return FloatConv(
        name, source, weight, rng.normal(0, 1, outputs), shape, np.zeros(shape[2]), pads=(1, 1, 1, 1), **rest
    )


def network_of(seed):
    """A residual network with a depthwise layer, a concatenation and pools."""
    rng = np.random.default_rng(seed)
    first = conv(rng, "first", "x", SHAPE, 4, clip=RELU)
    shape = first.output_shape
    pool = FloatPool("pool", "first", PoolKind.MAX, (1, 1), shape)
    depthwise = conv(rng, "depthwise", "pool", shape, 4, groups=4)
    add = FloatAdd("add", ("depthwise", "first"), (1.0, -0.5), rng.normal(0, 1, 4), shape, RELU)
    other = conv(rng, "other", "pool", shape, 3, clip=RELU)
    concat = FloatConcat("concat", ("add", "other"), (shape, other.output_shape))
    logits = conv(rng, "logits", "concat", concat.output_shape, 5)
    layers = (first, pool, depthwise, add, other, concat, logits)
    return FloatNetwork("net", (FloatInput("x", SHAPE),), layers, ("logits",))


def rescaled(network, seed):
    """The same function with other scales, any real numbers: of each channel, and of each operand of the addition."""
    rng = np.random.default_rng(seed)
    first, pool, depthwise, add, other, concat, logits = network.layers
    a = np.exp(rng.normal(0, 2)) * np.ones(4)  # the tensor that the addition reads has one factor for all channels
    b, c, d = (np.exp(rng.normal(0, 2, size)) for size in (1, 1, 3))

    def out(layer, scale):
        return replace(layer, weight=layer.weight * scale[:, None, None, None], bias=layer.bias * scale)

    def into(layer, scale):
        return replace(layer, weight=layer.weight / scale)

    b, c = b * np.ones(4), c * np.ones(4)
    depthwise = replace(depthwise, weight=depthwise.weight / a[:, None, None, None])
    add = replace(add, factors=(add.factors[0] * c[0] / b[0], add.factors[1] * c[0] / a[0]), bias=add.bias * c)
    layers = (
        out(first, a), pool, out(depthwise, b), add, out(into(other, a), d), concat, into(logits, np.append(c, d)),
    )  # fmt: skip
    return replace(network, layers=layers)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1 << 32))
def test_a_rescaled_network_that_computes_the_same_is_the_same(seed):
    network = network_of(seed)
    other = rescaled(network, seed)
    x = np.random.default_rng(seed).normal(0, 1, (3, *SHAPE))
    assert evaluate(other, x) == pytest.approx(evaluate(network, x), rel=1e-9, abs=1e-9)
    found = similarity(network, other)
    assert found.total == pytest.approx(1, abs=1e-9)
    assert all(value == pytest.approx(1, abs=1e-9) for value in found.layers.values())
    assert found.raw < 0.999
    assert list(found.layers) == ["first", "depthwise", "add", "other", "logits"]


def test_equalisation_of_a_real_network_is_seen_through(real_data):
    model = lower(load_model(real_data / "mlperf-tiny" / "vww.onnx"))
    found = similarity(model, Equalise().rewrite(model, CODES["e2m1"]))
    assert found.total == pytest.approx(1, abs=1e-6)
    assert found.raw < 0.9


def test_it_decreases_with_noise():
    totals = []
    for noise in (0, 0.03, 0.1, 0.3, 1, 3, 30):
        found = []
        for seed in range(5):
            rng, network = np.random.default_rng(seed), network_of(seed)
            layers = [
                replace(layer, weight=layer.weight + noise * rng.standard_normal(layer.weight.shape))
                if isinstance(layer, FloatConv)
                else layer
                for layer in network.layers
            ]
            found.append(similarity(network, replace(network, layers=tuple(layers))).total)
        totals.append(np.mean(found))
    assert totals == sorted(totals, reverse=True)
    assert totals[0] == pytest.approx(1)
    assert totals[-1] < 0.5  # the two factors of the addition stay alike in sign


def test_it_is_symmetric_and_negative_for_the_opposite():
    one, other = network_of(1), network_of(2)
    assert similarity(one, other).total == pytest.approx(similarity(other, one).total)
    layers = tuple(replace(layer, weight=-layer.weight) for layer in one.layers if layer.name == "first")
    turned = replace(one, layers=(*layers, *one.layers[1:]))
    assert similarity(one, turned).layers["first"] == pytest.approx(-1)


def test_each_neuron_has_unit_norm_where_its_scale_is_free():
    found = chain_normalised(network_of(0))
    for name in ("first", "depthwise", "add", "other"):
        assert np.linalg.norm(found[name].reshape(len(found[name]), -1), axis=1) == pytest.approx(1)
    assert (np.linalg.norm(found["logits"].reshape(5, -1), axis=1) > 1.1).any()


@pytest.mark.parametrize("kind", ["table", "relu6", "output", "pool6"])
def test_where_a_scale_is_not_free_it_counts(kind):
    """Doubling one of the channels changes the function, and the similarity."""
    rng = np.random.default_rng(0)
    first = conv(rng, "first", "x", SHAPE, 4, clip=(0.0, 6.0) if kind == "relu6" else RELU)
    shape = first.output_shape
    middle = {
        "table": [FloatTable("middle", "first", shape, Apply(Operation.SIGMOID, (Variable(),)))],
        "pool6": [FloatPool("middle", "first", PoolKind.MAX, (1, 1), shape, clip=(0.0, 6.0))],
    }.get(kind, [])
    last = conv(rng, "last", "middle" if middle else "first", shape, 3)
    outputs = ("last", "first") if kind == "output" else ("last",)
    network = FloatNetwork("net", (FloatInput("x", SHAPE),), (first, *middle, last), outputs)
    scale = np.array([1.0, 8, 1, 1])
    other = replace(
        network,
        layers=(
            replace(first, weight=first.weight * scale[:, None, None, None], bias=first.bias * scale),
            *middle,
            replace(last, weight=last.weight / scale),
        ),
    )
    assert similarity(network, other).total < 0.99


def test_dead_neurons_and_dead_layers():
    network = network_of(0)
    first = network.layers[0]
    weight = first.weight.copy()
    weight[2] = 0
    one = replace(network, layers=(replace(first, weight=weight), *network.layers[1:]))
    assert similarity(one, one).total == pytest.approx(1)
    dead = replace(network, layers=(replace(first, weight=weight * 0), *network.layers[1:]))
    assert similarity(dead, dead).layers["first"] == 1
    assert similarity(dead, one).layers["first"] == 0


def test_total_is_weighted_with_channels():
    found = similarity(network_of(1), network_of(2))
    channels = {"first": 4, "depthwise": 4, "add": 4, "other": 3, "logits": 5}
    expected = sum(channels[name] * value for name, value in found.layers.items()) / 20
    assert found.total == pytest.approx(expected)


def test_quantized_weights_are_nearer_with_more_levels():
    network = network_of(3)
    x = np.random.default_rng(0).normal(0, 1, (40, *SHAPE))
    totals = []
    for code in ("ternary", "pot3", "e2m1", "e2m2"):
        coded = quantize(network, x, code=code)
        weights = coded_weights(network, coded)
        totals.append(similarity(network, weights).total)
        conv = coded.layers[0]
        held = conv.weight_scale[:, None, None, None] * conv.codebook.decode(conv.codes)
        assert (weights.layers[0].weight == held).all()
    assert totals == sorted(totals)
    assert totals[-1] > 0.99


def test_networks_of_other_structure_are_one_sentence():
    network = network_of(0)
    narrow = replace(
        network, layers=(*network.layers[:-1], conv(np.random.default_rng(0), "logits", "concat", (6, 7, 7), 4))
    )
    with pytest.raises(HwgenError, match=r"must have the same layers to be compared; 'logits' is not alike in both"):
        similarity(network, narrow)
    pool = FloatPool("pool", "x", PoolKind.MAX, (1, 1), SHAPE)
    empty = FloatNetwork("net", network.inputs, (pool,), ("pool",))
    with pytest.raises(HwgenError, match="'first' is not alike in both"):
        similarity(empty, network)
    with pytest.raises(HwgenError, match="no weights to compare"):
        similarity(empty, empty)
