from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.codes import CODES
from hwgen.expression import Apply, Operation, Variable
from hwgen.floatnet import (
    Coded,
    Fixed,
    FloatAdd,
    FloatConcat,
    FloatConv,
    FloatInput,
    FloatNetwork,
    FloatPool,
    FloatRemap,
    FloatTable,
    PoolKind,
)
from hwgen.importers import load_model
from hwgen.interval import Interval
from hwgen.lower import evaluate, lower
from hwgen.lower.evaluate import evaluate_tensors
from hwgen.quantize import quantize
from hwgen.quantize.rewrite import Equalise
from hwgen.reference import dequantized, quantize_input, run

BOOK = CODES["e2m1"]
RELU = (0.0, inf)
SHAPE = (8, 9, 2)


def equalised(network):
    return Equalise().rewrite(network, BOOK)


def conv(rng, name, source, shape, outputs, kernel=(3, 3), spread=6.0, **rest):
    """Weights whose channels are apart by up to ``spread`` octaves, and the zero of the input not 0."""
    groups = rest.get("groups", 1)
    weight = rng.standard_t(4, (outputs, *kernel, shape[2] // groups))
    weight *= np.exp2(rng.uniform(-spread, spread, (outputs, 1, 1, 1)))
    weight *= np.exp2(rng.uniform(-spread, spread, (1, 1, 1, shape[2] // groups)))
    bias = rng.normal(0, 1, outputs) * np.abs(weight).max(axis=(1, 2, 3))
    return FloatConv(name, source, weight, bias, shape, rng.normal(0, 1, shape[2]), **rest)


def network_of(*layers, outputs=None):
    source = FloatInput("input", SHAPE)
    return FloatNetwork("net", (source,), layers, outputs or (layers[-1].name,))


def every_passage(seed):
    """Convolutions of each kind, with a maximum, an average and a remap that shuffles channels between them."""
    rng = np.random.default_rng(seed)
    layers = [conv(rng, "first", "input", SHAPE, 6, pads=(1, 1, 1, 1), clip=RELU)]
    layers.append(FloatPool("largest", "first", PoolKind.MAX, (2, 2), layers[-1].output_shape, (1, 1), clip=RELU))
    layers.append(
        conv(rng, "depthwise", "largest", layers[-1].output_shape, 12, groups=6, pads=(1, 1, 1, 1), clip=RELU)
    )
    layers.append(FloatPool("mean", "depthwise", PoolKind.AVERAGE, (3, 3), layers[-1].output_shape, pads=(1,) * 4))
    height, width, channels = layers[-1].output_shape
    shuffled = np.append(rng.permutation(channels), [-1, 3])
    rows, columns = np.append(-1, np.arange(height)), np.append(np.arange(width), -1) * channels
    columns[-1] = -1
    layers.append(
        FloatRemap("shuffle", "mean", layers[-1].output_shape, rows, np.zeros(height + 1, np.int64), columns, shuffled)
    )
    shape = layers[-1].output_shape
    layers.append(conv(rng, "left", "shuffle", shape, 4, groups=2, clip=(-inf, 0.0)))
    layers.append(conv(rng, "right", "shuffle", shape, 4))
    layers.append(FloatAdd("sum", ("left", "right"), (1.0, -0.5), rng.normal(0, 1, 4), layers[-1].output_shape, RELU))
    layers.append(conv(rng, "logits", "sum", layers[-1].output_shape, 3, (1, 1)))
    return network_of(*layers)


def data(count, seed=0):
    return np.random.default_rng(seed).normal(0.3, 1, (count, *SHAPE))


def weights(network):
    return {layer.name: layer.weight for layer in network.layers if isinstance(layer, FloatConv)}


def largest(network):
    convs = [layer for layer in network.layers if isinstance(layer, FloatConv)]
    return max(max(np.abs(layer.weight).max(), np.abs(layer.bias).max()) for layer in convs)


def octaves(producer, *columns):
    """log2 of the ranges on the two sides of a tensor's channels."""
    made = np.maximum(np.abs(producer.weight).max(axis=(1, 2, 3)), np.abs(producer.bias))
    return np.log2(made), np.log2(np.maximum.reduce(columns))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1 << 32))
def test_the_outputs_are_the_same_bit_for_bit(seed):
    network = every_passage(seed)
    other = equalised(network)
    assert (evaluate(network, data(4, seed)) == evaluate(other, data(4, seed))).all()
    assert any((one != two).any() for one, two in zip(weights(network).values(), weights(other).values(), strict=True))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1 << 32))
def test_a_second_application_changes_nothing(seed):
    once = equalised(every_passage(seed))
    twice = equalised(once)
    assert all((one == two).all() for one, two in zip(weights(once).values(), weights(twice).values(), strict=True))
    assert twice.notes == once.notes


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1 << 32))
def test_both_sides_of_every_channel_meet_within_an_octave(seed):
    """No power of two brings them nearer; and the largest weight of all does not grow."""
    network = every_passage(seed)
    layers = {layer.name: layer for layer in equalised(network).layers}
    made, read = octaves(layers["first"], np.abs(layers["depthwise"].weight).reshape(6, -1).max(axis=1))
    assert np.abs(made - read).max() <= 1
    index = layers["shuffle"].channels
    into = np.zeros(12)
    left = np.abs(layers["left"].weight).reshape(2, 2, 9, 7).max(axis=(1, 2)).ravel()
    for column in (left, np.abs(layers["right"].weight).max(axis=(0, 1, 2))):
        np.maximum.at(into, index[index >= 0], column[index >= 0])
    made, read = octaves(layers["depthwise"], into)
    assert np.abs(made - read).max() <= 1
    assert largest(equalised(network)) <= largest(network)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1 << 32))
def test_the_spread_of_the_channels_does_not_grow(seed):
    """In logarithms the new ranges are the mean of both sides, up to the half octave of rounding."""
    rng = np.random.default_rng(seed)
    first = conv(rng, "first", "input", SHAPE, 8, clip=RELU)
    network = network_of(first, conv(rng, "second", "first", first.output_shape, 5))

    def spreads(network):
        first, second = network.layers
        return [np.ptp(side) for side in octaves(first, np.abs(second.weight).max(axis=(0, 1, 2)))]

    assert max(spreads(equalised(network))) <= max(spreads(network)) + 1


def test_scales_that_were_taken_apart_come_together_again():
    """Powers of two between two halves of equal range: exactly undone."""
    rng = np.random.default_rng(0)
    weight = rng.uniform(-1, 1, (6, 3, 3, 2))
    weight[:, 0, 0, 0] = 1.0
    first = FloatConv("first", "input", weight, np.zeros(6), SHAPE, np.zeros(2), clip=RELU)
    second = FloatConv(
        "second", "first", rng.uniform(-1, 1, (4, 3, 3, 6)), np.zeros(4), first.output_shape, np.zeros(6)
    )
    second.weight[0, 0, 0] = 1.0
    factor = np.exp2([-9.0, -2, 0, 3, 5, 20])
    apart = network_of(
        replace(first, weight=weight * factor[:, None, None, None]), replace(second, weight=second.weight / factor)
    )
    found = weights(equalised(apart))
    assert (found["first"] == weight).all()
    assert (found["second"] == second.weight).all()


def test_a_tie_stays():
    first = FloatConv("first", "input", np.full((1, 1, 1, 2), 2.0), np.zeros(1), SHAPE, np.zeros(2))
    second = FloatConv("second", "first", np.ones((1, 1, 1, 1)), np.zeros(1), first.output_shape, np.zeros(1))
    network = network_of(first, second)
    assert equalised(network) is network


def test_a_channel_of_zeros_stays():
    rng = np.random.default_rng(0)
    first = conv(rng, "first", "input", SHAPE, 4, clip=RELU)
    first.weight[1], first.bias[1] = 0, 0
    second = conv(rng, "second", "first", first.output_shape, 3)
    second.weight[..., 2] = 0
    network = network_of(first, second)
    found = equalised(network)
    assert not weights(found)["first"][1].any()
    assert (weights(found)["first"][2] == first.weight[2]).all()
    assert np.isfinite(weights(found)["second"]).all()
    assert (evaluate(found, data(3)) == evaluate(network, data(3))).all()


def test_a_constant_channel_counts_by_its_bias():
    weight = np.array([1.0, 2.0**-20]).reshape(2, 1, 1, 1).repeat(2, 3)
    first = FloatConv("first", "input", weight, np.ones(2), SHAPE, np.zeros(2), clip=RELU)
    second = FloatConv("second", "first", np.ones((1, 1, 1, 2)), np.zeros(1), first.output_shape, np.zeros(2))
    network = network_of(first, second)
    assert equalised(network) is network


def between(layer=None, *, clip=RELU, fixed=None, outputs=None, coded=False):
    """Two convolutions, or ``layer`` (a function of its source's shape) between them."""
    rng = np.random.default_rng(0)
    first = conv(rng, "first", "input", SHAPE, 4, clip=clip, fixed=fixed)
    middle = [] if layer is None else [layer(first.output_shape)]
    shape, source = (middle[-1].output_shape, middle[-1].name) if middle else (first.output_shape, "first")
    second = conv(rng, "second", source, shape, 3)
    if coded:
        second = replace(second, coded=Coded(np.ones(second.weight.shape, np.int64), np.ones(3)))
    return network_of(first, *middle, second, outputs=outputs)


def remap(shape, fill=0.0, depth_to_space=False):
    height, width, channels = shape
    if depth_to_space:
        columns = np.arange(width * channels).reshape(-1)[::2]
        return FloatRemap("m", "first", shape, np.arange(height), np.zeros(height, np.int64), columns, np.arange(2))
    rows = np.append(np.arange(height), -1)
    columns = np.arange(width) * channels
    return FloatRemap("m", "first", shape, rows, np.zeros(height + 1, np.int64), columns, np.arange(channels), fill)


FORBIDDEN = {
    "relu6": between(clip=(0.0, 6.0)),
    "hard": between(clip=(-1.0, 1.0)),
    "format": between(fixed=Fixed(0.5, Interval(0, 15))),
    "output": between(outputs=("first", "second")),
    "codes": between(coded=True),
    "pool6": between(lambda shape: FloatPool("m", "first", PoolKind.MAX, (1, 1), shape, clip=(0.0, 6.0))),
    "format behind": between(
        lambda shape: FloatPool("m", "first", PoolKind.MAX, (1, 1), shape, fixed=Fixed(0.5, Interval(0, 15)))
    ),
    "pool output": between(lambda shape: FloatPool("m", "first", PoolKind.MAX, (1, 1), shape), outputs=("m", "second")),
    "table": between(lambda shape: FloatTable("m", "first", shape, Apply(Operation.SIGMOID, (Variable(),)))),
    "add": between(lambda shape: FloatAdd("m", ("first", "first"), (1.0, 1.0), np.zeros(4), shape)),
    "concat": between(lambda shape: FloatConcat("m", ("first",), (shape,))),
    "fill": between(lambda shape: remap(shape, fill=1.0)),
    "depth to space": between(lambda shape: remap(shape, depth_to_space=True)),
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_forbids_it(name):
    assert equalised(FORBIDDEN[name]) is FORBIDDEN[name]


@pytest.mark.parametrize("layer", [None, remap, lambda shape: FloatPool("m", "first", PoolKind.MAX, (1, 1), shape)])
def test_what_allows_it(layer):
    network = between(layer)
    assert (weights(equalised(network))["first"] != weights(network)["first"]).any()


def test_an_unread_end_and_an_unread_branch_are_no_sites():
    rng = np.random.default_rng(0)
    first = conv(rng, "first", "input", SHAPE, 4, clip=RELU)
    network = network_of(
        first, FloatPool("unread", "first", PoolKind.MAX, (1, 1), first.output_shape), outputs=("first",)
    )
    assert equalised(network) is network


def test_codes_of_a_producer_and_of_a_depthwise_reader_go_along():
    rng = np.random.default_rng(3)
    first = conv(rng, "first", "input", SHAPE, 4, clip=RELU)
    second = conv(rng, "second", "first", first.output_shape, 8, groups=4, clip=RELU)

    def coded(layer):
        levels, scale = rng.integers(-7, 8, layer.weight.shape), rng.uniform(1e-3, 10, len(layer.weight))
        return replace(layer, weight=levels * scale[:, None, None, None], coded=Coded(levels, scale))

    network = network_of(coded(first), coded(second))
    found = equalised(network)
    assert (weights(found)["second"] != weights(network)["second"]).any()
    for layer in found.layers:
        assert (layer.weight == layer.coded.levels * layer.coded.scale[:, None, None, None]).all()


def test_a_note_names_the_layers_and_others_stay():
    network = replace(every_passage(0), notes=("before",))
    notes = equalised(network).notes
    assert notes[0] == "before"
    assert len(notes) == 2
    assert notes[1].startswith("first, depthwise: the channels are scaled by powers of two")


def test_no_sweep_does_nothing():
    network = every_passage(0)
    assert Equalise(sweeps=0).rewrite(network, BOOK) is network


def test_mobilenet_computes_the_same_in_every_layer_up_to_powers_of_two(real_data):
    model = lower(load_model(real_data / "mlperf-tiny" / "vww.onnx"))
    found = equalised(model)
    x = np.random.default_rng(0).uniform(0, 1, (2, 96, 96, 3))
    assert (evaluate(model, x) == evaluate(found, x)).all()
    names = [layer.name for layer in model.layers]
    before, after = evaluate_tensors(model, x, names), evaluate_tensors(found, x, names)
    for name in names:
        live = before[name] != 0
        assert (live == (after[name] != 0)).all()
        assert (np.frexp(after[name][live] / before[name][live])[0] == 0.5).all()
    assert sum((before[name] != after[name]).any() for name in names) > 20


@pytest.mark.parametrize("seed", range(3))
def test_the_float_twin_of_what_is_quantized_equals_the_reference(seed):
    network = quantize(equalised(every_passage(seed)), data(40), code="e2m1")
    x = quantize_input(network, data(20, 1))
    integers, twin = run(network, x, every=True), dequantized(network, x, every=True)
    for name, values in integers.items():
        assert (values == twin[name]).all(), name
