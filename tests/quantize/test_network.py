import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.codes import CODES, codebook
from hwgen.errors import HwgenError
from hwgen.floatnet import Fixed, FloatAdd, FloatInput, FloatPool, FloatRemap, Layout, PoolKind
from hwgen.interval import Interval
from hwgen.lower import evaluate
from hwgen.network import Concat, Conv
from hwgen.quantize import quantize
from hwgen.reference import dequantized, quantize_input, run

INTEGERS = codebook(",".join(map(str, range(-127, 128))))
"""Weights of 8 bits: what is left of the noise is not theirs."""


def frames(count, seed=0):
    return np.random.default_rng(seed).normal(0.3, 1, (count, 8, 9, 2))


def both(count, seed=0):
    """Frames for the two inputs of a graph: real numbers, and pixels."""
    pixels = np.random.default_rng(seed).integers(0, 5, (count, 8, 9, 3)).astype(np.uint8)
    return {"left": frames(count, seed), "right": pixels}


def decibels(model, network, x):
    """Signal to noise ratio of every layer."""
    expected, actual = evaluate(model, x, every=True), run(network, quantize_input(network, x), every=True)
    noise = {layer.name: expected[layer.name] - layer.output.scale * actual[layer.name] for layer in network.layers}
    return {name: 10 * np.log10(np.square(expected[name]).sum() / np.square(noise[name]).sum()) for name in noise}


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.sampled_from(sorted(CODES)), st.integers(2, 8))
def test_float_twin_and_integer_reference_are_the_same_function(float_network, seed, code, bits):
    network = quantize(float_network(seed), frames(30, seed), code=code, act_bits=bits)
    x = quantize_input(network, frames(30, seed + 1))
    integers, twin = run(network, x, every=True), dequantized(network, x, every=True)
    for name, values in integers.items():
        assert (values == twin[name]).all(), name
    for layer in network.layers:
        if isinstance(layer, Conv):
            rule, ratio = layer.requant, layer.output.scale / network.tensor(layer.source).scale
            assert (layer.weight_scale == ratio * rule.mul / 2.0**rule.shift).all()


def test_fine_codes_reproduce_the_float_network(float_network):
    model = float_network(3)
    x = frames(200)
    signal = evaluate(model, x)
    errors = []
    for code in ("ternary", "pot3", "e2m1", "e2m2"):
        network = quantize(model, x, code=code)
        values = network.output.scale * run(network, quantize_input(network, x))
        errors.append(float(np.square(values - signal).sum() / np.square(signal).sum()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.01


def test_more_activation_bits_are_better(float_network):
    model, x, errors = float_network(5), frames(200), []
    signal = evaluate(model, x)
    for bits in (2, 4, 8):
        network = quantize(model, x, code="e2m2", act_bits=bits)
        values = network.output.scale * run(network, quantize_input(network, x))
        errors.append(float(np.square(values - signal).sum()))
    assert errors == sorted(errors, reverse=True)


def test_intervals_follow_the_structure(float_network):
    """Unsigned after a ReLU, signed without one, the pool as its input, 16 signed bits at the end."""
    rectified, free = (quantize(float_network(seed), frames(50), act_bits=4) for seed in (1, 2))
    assert [layer.output.interval for layer in rectified.layers] == [Interval(0, 15)] * 4 + [Interval(-32768, 32767)]
    assert [layer.output.interval for layer in free.layers[2:4]] == [Interval(-8, 7)] * 2
    assert rectified.layers[1].output.scale == rectified.layers[0].output.scale
    assert rectified.layers[1].kind is PoolKind.MAX
    peak = np.abs(evaluate(float_network(1), frames(50))).max()
    assert rectified.output.scale == pytest.approx(2 * peak / 2**15)


def test_pixels_need_no_input_scale(float_network):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 9, 2)).astype(np.uint8)
    network = quantize(float_network(1), pixels)
    assert (network.input.interval, network.input.scale) == (Interval(0, 255), 1.0)
    assert (quantize_input(network, pixels) == pixels).all()


def test_the_result_is_reproducible_and_progress_arrives(float_network):
    calls = []
    results = [
        quantize(float_network(1), frames(40), progress=lambda *call: calls.append(call)),
        quantize(float_network(1), frames(40), code=codebook("e2m1")),
    ]
    for one, two in zip(results[0].layers, results[1].layers, strict=True):
        if isinstance(one, Conv):
            assert (one.codes == two.codes).all()
            assert (one.requant.add == two.requant.add).all()
    done, total, texts = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert set(total) == {done[-1]}
    assert any("conv1" in text for text in texts)


def test_name_notes_and_normalization_travel_along(float_network):
    model = replace(float_network(1), notes=("Softmax left out",))
    network = quantize(model, frames(10), method="plain")
    assert (network.name, network.notes, network.normalization) == (model.name, model.notes, model.normalization)


def test_a_dead_layer_still_quantizes(float_network):
    model = float_network(1)
    dead = replace(model.layers[0], weight=model.layers[0].weight * 0, bias=np.full(5, -1.0))
    model = replace(model, layers=(dead, *model.layers[1:]))
    network = quantize(model, frames(10))
    values = run(network, quantize_input(network, frames(10)), every=True)
    assert not values["conv1"].any()


@pytest.mark.parametrize(
    ("x", "options", "text"),
    [
        (np.zeros((4, 8, 9, 1)), {}, "shape"),
        (np.zeros((0, 8, 9, 2)), {}, "shape"),
        (np.full((1, 8, 9, 2), np.inf), {}, "finite"),
        (np.zeros((1, 8, 9, 2)), {"act_bits": 9}, "2 to 8"),
        (np.zeros((1, 8, 9, 2)), {"act_bits": 1}, "2 to 8"),
        (np.zeros((1, 8, 9, 2)), {"code": "e9m9"}, "not known"),
        (np.zeros((1, 8, 9, 2)), {"code": "0,1,99999"}, "at most 65536"),
    ],
)
def test_what_a_user_can_get_wrong_is_one_sentence(float_network, x, options, text):
    with pytest.raises(HwgenError, match=text):
        quantize(float_network(1), x, **options)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.sampled_from(sorted(CODES)), st.integers(2, 8))
def test_a_graph_of_every_layer_kind_quantizes_and_its_twin_is_the_same(float_graph, seed, code, bits):
    model = float_graph(seed)
    network = quantize(model, both(30, seed), code=code, act_bits=bits)
    x = quantize_input(network, both(30, seed + 1))
    integers, twin = run(network, x, every=True), dequantized(network, x, every=True)
    assert list(integers) == [layer.name for layer in model.layers]
    for name, values in integers.items():
        assert (values == twin[name]).all(), name
    for layer in network.layers:
        assert layer.output.interval.bits <= (16 if layer.name == "logits" else 8), layer.name


@pytest.mark.parametrize("seed", range(6))
def test_a_graph_in_eight_bits_follows_the_float_graph(float_graph, seed):
    """Far less than the noise of 4-bit weights: every join of branches is right."""
    model, x = float_graph(seed), both(200, seed)
    ratios = decibels(model, quantize(model, x, code=INTEGERS), both(100, seed + 1))
    assert min(ratios.values()) > 27, ratios


def test_signs_follow_from_what_can_occur(float_graph):
    """Not from what occurs: the samples of the sum have no negative value, and still it is signed."""
    model = float_graph(2)
    lowest = evaluate(model, both(20), every=True)["sum"].min()
    positive = replace(model.layers[2], bias=model.layers[2].bias + 0.1 - lowest)
    model = replace(model, layers=(*model.layers[:2], positive, *model.layers[3:]))
    assert evaluate(model, both(20), every=True)["sum"].min() > 0
    tensors = quantize(model, both(20)).tensors
    assert tensors["sum"].interval == Interval(-128, 127)
    assert tensors["first"].interval == Interval(0, 255)
    rectified = quantize(float_graph(1), both(20)).tensors
    assert rectified["sum"].interval.lo == rectified["merged"].interval.lo == rectified["average"].interval.lo == 0


def test_layouts_inputs_and_outputs_travel_along(float_graph):
    network = quantize(float_graph(1), both(10))
    assert [tensor.name for tensor in network.inputs] == ["left", "right"]
    assert network.outputs == ("logits", "sum", "silu")
    assert network.layouts == (Layout.CHANNEL_FIRST, Layout.CHANNEL_LAST)
    assert network.tensor("right").scale == 1


def test_a_concatenation_gives_its_format_to_the_layer_that_only_it_reads(float_graph):
    for seed in range(6):
        network = quantize(float_graph(seed), both(50, seed))
        merged = next(layer for layer in network.layers if isinstance(layer, Concat))
        assert merged.rescale[0] is None
        assert network.tensor("grouped").scale == merged.output.scale
        assert merged.rescale[2] is not None or merged.output.scale == 1


def test_an_output_may_be_an_input_or_feed_a_layer(float_network):
    model = replace(float_network(1), outputs=("dense", "input", "conv1"))
    network = quantize(model, frames(10))
    values = run(network, x := quantize_input(network, frames(3)))
    assert (values["input"] == x).all()
    assert network.tensor("conv1").interval == Interval(0, 255)
    assert network.tensor("dense").interval == Interval(-32768, 32767)


def test_what_only_moves_values_at_the_end_keeps_the_wide_ones(float_network):
    model = float_network(2)
    conv = replace(model.layers[0], clip=(-np.inf, np.inf))
    shape = conv.output_shape
    flat = np.arange(shape[1]) * shape[2]
    rows = np.arange(shape[0])
    remap = FloatRemap("mirror", "conv1", shape, rows, np.zeros_like(rows), flat[::-1], np.arange(shape[2]))
    pool = FloatPool("largest", "mirror", PoolKind.MAX, (2, 2), shape)
    model = replace(model, layers=(conv, remap, pool), outputs=("largest",))
    network = quantize(model, frames(20))
    assert [layer.output.interval.bits for layer in network.layers] == [16] * 3
    model = replace(model, outputs=("largest", "conv1"))
    assert quantize(model, frames(20)).tensor("conv1").interval.bits == 16
    average = FloatPool("average", "conv1", PoolKind.AVERAGE, (2, 2), shape)
    model = replace(model, layers=(*model.layers, average), outputs=("largest", "average"))
    assert quantize(model, frames(20)).tensor("largest").interval.bits == 8


def test_the_same_tensor_twice(float_network):
    """x + x, as some exporters write 2 * x."""
    model = float_network(2)
    double = FloatAdd("double", ("conv1", "conv1"), (1.0, 1.0), np.zeros(5), model.layers[0].output_shape)
    model = replace(model, layers=(model.layers[0], double), outputs=("double",))
    ratios = decibels(model, quantize(model, frames(50), code=INTEGERS), frames(50, 1))
    assert min(ratios.values()) > 30


def test_formats_that_the_model_prescribes_are_taken(float_network):
    """Powers of two are exact: every scale and interval is the model's, and nothing is left to remark."""
    model = float_network(2)
    formats = [Fixed(2.0**-e, Interval.of_bits(b, signed=True)) for e, b in ((5, 8), (5, 8), (4, 6), (5, 9), (6, 8))]
    layers = [replace(layer, fixed=fixed) for layer, fixed in zip(model.layers, formats, strict=True)]
    model = replace(model, inputs=(FloatInput("input", (8, 9, 2), fixed=formats[0]),), layers=tuple(layers))
    network = quantize(model, frames(20), code=INTEGERS, method="plain")
    for tensor, fixed in zip(network.tensors.values(), (formats[0], *formats), strict=True):
        assert tensor.scale == fixed.scale
        assert tensor.interval.lo >= fixed.interval.lo
        assert tensor.interval.hi <= fixed.interval.hi
    assert network.notes == ()
    assert min(decibels(model, network, frames(50, 1)).values()) > 20


def test_a_format_off_the_grid_gives_way_and_is_remarked(float_network):
    model = float_network(1)
    layers = list(model.layers)
    layers[3] = replace(layers[3], fixed=Fixed(0.0123, Interval(0, 127)))
    network = quantize(replace(model, layers=tuple(layers)), frames(20), method="plain")
    assert 0.0123 / 1.1 < network.tensor("pool2").scale < 0.0123 * 2
    assert [note.split(":")[0] for note in network.notes] == ["pool2"]
    assert network.notes[0].endswith("off the grid of requantization factors.")


def test_data_of_several_inputs_must_be_complete(float_graph):
    model = float_graph(1)
    for x, text in [
        (frames(4), "an array for each of the inputs left, right"),
        ({"left": frames(4)}, "for the inputs left, right, not left"),
        ({**both(4), "left": frames(5)}, "as many samples"),
        ({**both(4), "right": np.zeros((4, 8, 9, 2))}, r"shape \(N, 8, 9, 3\)"),
    ]:
        with pytest.raises(HwgenError, match=text):
            quantize(model, x)


def test_memory_does_not_grow_with_the_calibration_data(float_network):
    peaks = []
    for count in (6000, 18000):
        x = frames(count)
        tracemalloc.start()
        quantize(float_network(1), x)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_an_input_that_nothing_reads_is_one_sentence(float_network):
    model = float_network(1)
    model = replace(model, inputs=(*model.inputs, FloatInput("idle", (1, 1, 1))))
    with pytest.raises(HwgenError, match="input 'idle' is used by no layer"):
        quantize(model, {"input": frames(4), "idle": np.zeros((4, 1, 1, 1))})


def test_an_input_format_of_nine_bits_gives_way_and_is_remarked(float_network):
    """TFLite's 8 bits with a zero point, as integers around zero."""
    model = float_network(1)
    model = replace(model, inputs=(FloatInput("input", (8, 9, 2), fixed=Fixed(0.02, Interval(-211, 44))),))
    network = quantize(model, frames(20), method="plain")
    assert network.input.interval == Interval(-128, 127)
    assert network.notes == (
        "input: the model's number format needs more than the 8 bits of an input; another unit takes its place.",
    )
