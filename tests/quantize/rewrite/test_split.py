from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.codes import CODES, explicit
from hwgen.floatnet import Coded, Fixed, FloatAdd, FloatConv, FloatInput, FloatNetwork, FloatRemap
from hwgen.importers import load_model
from hwgen.interval import Interval
from hwgen.lower import evaluate, lower
from hwgen.network import Conv
from hwgen.quantize import quantize
from hwgen.quantize.coded import exact_codes
from hwgen.quantize.rewrite import Split
from hwgen.quantize.rewrite.split import centre_ratio, coarse_weights
from hwgen.quantize.scales import code_weights
from hwgen.reference import dequantized, quantize_input, run

INT8 = explicit(range(-127, 128), "int8")
ALWAYS = Split(ratio=0.0)


def kernel(seed, shape=(6, 3, 3, 4), ratio=10.0):
    weight = np.random.default_rng(seed).standard_normal(shape)
    weight[:, shape[1] // 2, shape[2] // 2] *= ratio
    return weight


def network_of(weight, shape=(8, 9), *, groups=1, seed=0, **rest):
    """One convolution that is read by a 1x1 convolution."""
    rng = np.random.default_rng(seed)
    channels = weight.shape[3] * groups
    layer = FloatConv(
        "conv", "x", weight, rng.normal(0, 1, len(weight)), (*shape, channels), rng.normal(0, 1, channels),
        groups=groups, **{"pads": (1, 1, 1, 1), "clip": (0.0, inf), **rest},
    )  # fmt: skip
    last = rng.standard_normal((3, 1, 1, len(weight)))
    end = FloatConv("end", "conv", last, np.zeros(3), layer.output_shape, np.zeros(len(weight)))
    return FloatNetwork("net", (FloatInput("x", (*shape, channels)),), (layer, end), ("end", "conv"))


def data(network, count=5, seed=0):
    return np.random.default_rng(seed).normal(0.3, 1, (count, *network.input_shape))


def parts_of(network):
    layers = {layer.name: layer for layer in network.layers}
    return layers["conv_fine"], layers["conv_coarse"], layers["conv"]


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 1 << 32), st.sampled_from([INT8, *CODES.values()]), st.floats(0.1, 100))
def test_the_parts_sum_to_the_kernel_exactly_and_the_coarse_one_is_on_its_grid(seed, book, ratio):
    network = network_of(kernel(seed, ratio=ratio) * 10.0 ** np.random.default_rng(seed).uniform(-4, 4))
    fine, coarse, total = parts_of(ALWAYS.rewrite(network, book))
    weight = network.layers[0].weight
    whole = fine.weight.copy()
    whole[:, 1:2, 1:2] += coarse.weight
    if 0 in book.levels:
        assert (whole == weight).all()
    else:
        assert whole == pytest.approx(weight, rel=1e-15, abs=1e-15 * np.abs(weight).max())
    off_centre = np.ones((3, 3), bool)
    off_centre[1, 1] = False
    assert (fine.weight[:, off_centre] == weight[:, off_centre]).all()
    assert coarse.kernel == (1, 1)
    assert (coarse.weight == coarse.coded.levels * coarse.coded.scale[:, None, None, None]).all()
    assert np.isin(coarse.coded.levels, book.sorted_levels).all()
    assert isinstance(total, FloatAdd)


def test_the_grid_is_at_most_a_fifth_above_the_papers():
    """g = max|C| / 127, rounded up to a legal scale; ``floor(C / g + 1/2)`` is the level, and nothing is clipped."""
    centre = kernel(0)[:, 1:2, 1:2]
    found = coarse_weights(centre, INT8)
    paper = np.abs(centre).max(axis=(1, 2, 3)) / 127
    assert (found.scale >= paper).all()
    assert (found.scale <= 1.2 * 1.0001 * paper).all()
    assert (found.levels == np.floor(centre / found.scale[:, None, None, None] + 0.5)).all()
    assert np.abs(found.levels).max() > 100


def test_a_channel_without_a_centre_has_no_coarse_part():
    centre = kernel(0)[:, 1:2, 1:2].copy()
    centre[2] = 0
    found = coarse_weights(centre, INT8)
    assert not found.levels[2].any()
    assert (found.scale > 0).all()


def rounded(weight, book):
    coded = code_weights(weight, book, 2.0**-9)
    return coded.weight_scale[:, None, None, None] * book.decode(coded.codes)


@pytest.mark.parametrize(("book", "decibels"), [(INT8, 15), (CODES["e2m1"], 12), (CODES["pot4"], 7)])
def test_two_tensors_are_far_better_than_one_where_the_centre_is_ten_times_as_large(book, decibels):
    network = network_of(kernel(1, (32, 3, 3, 32)))
    weight = network.layers[0].weight
    fine, coarse, _ = parts_of(ALWAYS.rewrite(network, book))
    both = rounded(fine.weight, book)
    both[:, 1:2, 1:2] += coarse.weight
    gain = np.square(rounded(weight, book) - weight).sum() / np.square(both - weight).sum()
    assert 10 * np.log10(gain) >= decibels


WINDOWS = {
    "same": ((8, 9), {}),
    "none": ((8, 9), {"pads": (0, 0, 0, 0)}),
    "wide": ((8, 9), {"pads": (2, 3, 2, 2)}),
    "stride 2": ((8, 9), {"stride": (2, 2)}),
    "same of TensorFlow": ((8, 8), {"stride": (2, 2), "pads": (0, 0, 1, 1)}),
    "stride 3, left over": ((9, 11), {"stride": (3, 2), "pads": (0, 1, 0, 0)}),
    "dilated": ((8, 9), {"dilation": (2, 1), "pads": (2, 1, 2, 1)}),
    "dilated, not padded": ((8, 9), {"dilation": (2, 3), "pads": (0, 0, 1, 2)}),
    "wide, strided": ((7, 8), {"stride": (2, 3), "pads": (3, 4, 2, 3)}),
    "one sided": ((8, 9), {"pads": (2, 0, 0, 2)}),
}


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("shape", "groups"), [((6, 3, 3, 4), 1), ((6, 3, 3, 2), 2), ((8, 3, 3, 1), 4)])
def test_the_coarse_part_sees_the_pixels_under_the_centre(window, shape, groups):
    size, rest = WINDOWS[window]
    network = network_of(kernel(3, shape), size, groups=groups, **rest)
    found = ALWAYS.rewrite(network, INT8)
    x = data(network)
    one, two = (evaluate(part, x, every=True) for part in (network, found))
    for name in network.outputs:
        assert two[name] == pytest.approx(one[name], rel=1e-12, abs=1e-12)
    layers = {layer.name: layer for layer in found.layers}
    assert layers["conv_coarse"].dilation == (1, 1)
    assert layers["conv_fine"].output_shape == layers["conv_coarse"].output_shape == layers["conv"].output_shape


@pytest.mark.parametrize("shape", [(4, 5, 5, 2), (4, 1, 3, 2), (4, 3, 1, 2), (4, 3, 7, 2)])
def test_every_odd_kernel(shape):
    network = network_of(kernel(0, shape))
    found = ALWAYS.rewrite(network, INT8)
    assert len(found.layers) > 2
    assert evaluate(found, data(network), every=True)["end"] == pytest.approx(
        evaluate(network, data(network), every=True)["end"], rel=1e-12, abs=1e-12
    )


def test_pixels_are_cut_off_only_where_they_are_in_the_way():
    """A stride leaves the last row over by itself; without padding the border goes by a remap."""
    kept = ALWAYS.rewrite(network_of(kernel(0), (9, 9), stride=(2, 2)), INT8)
    assert not any(isinstance(layer, FloatRemap) for layer in kept.layers)
    cut = ALWAYS.rewrite(network_of(kernel(0), pads=(0, 0, 0, 0)), INT8)
    (remap,) = (layer for layer in cut.layers if isinstance(layer, FloatRemap))
    assert remap.output_shape == (6, 7, 4)
    strided = ALWAYS.rewrite(network_of(kernel(0), pads=(0, 0, 0, 0), stride=(2, 2)), INT8)
    (remap,) = (layer for layer in strided.layers if isinstance(layer, FloatRemap))
    assert remap.output_shape == (5, 7, 4)


def test_a_centre_that_only_sees_padding_leaves_the_layer_alone():
    network = network_of(kernel(0), (1, 9), pads=(3, 1, 0, 1), stride=(2, 1))
    assert network.layers[0].output_shape[0] == 1
    assert ALWAYS.rewrite(network, INT8) is network


def test_the_addition_takes_over_bias_clip_and_format():
    network = network_of(kernel(0), clip=(0.0, 6.0))
    fixed = Fixed(0.25, Interval(0, 15))
    network = replace(network, layers=(replace(network.layers[0], fixed=fixed), network.layers[1]))
    fine, coarse, total = parts_of(ALWAYS.rewrite(network, INT8))
    assert (total.clip, total.fixed) == ((0.0, 6.0), fixed)
    assert (total.bias == network.layers[0].bias).all()
    for part in (fine, coarse):
        assert (part.clip, part.fixed, part.bias.any()) == ((-inf, inf), None, False)


def test_the_criterion():
    assert centre_ratio(np.ones((2, 3, 3, 2))) == pytest.approx(1)
    assert centre_ratio(kernel(0, (64, 3, 3, 64), 7.0)) == pytest.approx(7, rel=0.05)
    alone = np.zeros((1, 3, 3, 1))
    assert centre_ratio(alone) == 0
    alone[0, 1, 1] = 1
    assert centre_ratio(alone) == inf
    for shape in ((2, 2, 2, 2), (2, 1, 1, 2), (2, 2, 3, 2), (2, 3, 4, 2)):
        assert centre_ratio(np.ones(shape)) == 0


@pytest.mark.parametrize(("ratio", "split"), [(3.0, False), (6.0, True)])
def test_the_default_takes_dominant_centres_only(ratio, split):
    network = network_of(kernel(0, (16, 3, 3, 16), ratio))
    found = Split().rewrite(network, INT8)
    assert (len(found.layers) > 2) == split
    assert found.notes == (
        ("conv: the centre tap is a 1x1 convolution of its own, added to the rest of the kernel.",) if split else ()
    )


@pytest.mark.parametrize(
    "name", ["mlperf-tiny/resnet8", "mlperf-tiny/vww", "mlperf-tiny/kws", "resnet20/resnet20-12fca82f"]
)
def test_ordinary_networks_stay_as_they_are(real_data, name):
    model = lower(load_model(real_data / f"{name}.onnx"))
    assert Split().rewrite(model, INT8) is model
    assert len(Split(ratio=0.3).rewrite(model, INT8).layers) > len(model.layers)


def test_codes_of_the_model_and_even_kernels_stay():
    network = network_of(kernel(0))
    levels = np.ones(network.layers[0].weight.shape, np.int64)
    coded = replace(network.layers[0], coded=Coded(levels, np.ones(6)))
    for other in (coded, replace(network.layers[0], weight=np.ones((6, 2, 2, 4)), pads=(1, 1, 0, 0))):
        same = replace(network, layers=(other, network.layers[1]))
        assert ALWAYS.rewrite(same, INT8) is same


def test_names_in_use_are_avoided():
    network = network_of(kernel(0))
    network = replace(
        network, layers=(network.layers[0], replace(network.layers[1], name="conv_fine")), outputs=("conv",)
    )
    found = ALWAYS.rewrite(network, INT8)
    assert [layer.name for layer in found.layers] == ["conv_fine_", "conv_coarse", "conv", "conv_fine"]


@pytest.mark.parametrize("book", [INT8, CODES["e2m1"], CODES["pot4"]])
@pytest.mark.parametrize("pads", [(1, 1, 1, 1), (0, 0, 0, 0)])
def test_quantized_the_coarse_codes_are_kept_and_the_twin_equals_the_reference(book, pads):
    model = ALWAYS.rewrite(network_of(kernel(5), pads=pads), book)
    network = quantize(model, data(model, 40), code=book)
    coarse = next(layer for layer in model.layers if layer.name == "conv_coarse")
    coded = next(layer for layer in network.layers if layer.name == "conv_coarse")
    assert isinstance(coded, Conv)
    held = coded.weight_scale[:, None, None, None] * coded.codebook.decode(coded.codes)
    assert held == pytest.approx(coarse.weight, rel=1e-3)
    x = quantize_input(network, data(model, 20, 1))
    integers, twin = run(network, x, every=True), dequantized(network, x, every=True)
    for name, values in integers.items():
        assert (values == twin[name]).all(), name


def test_the_output_of_the_quantized_network_is_nearer_too():
    """With activations of 8 bits, the sums of both parts rounded once more."""
    network = network_of(kernel(7, (16, 3, 3, 16), 10.0), (12, 12))
    errors = []
    for model in (network, Split().rewrite(network, CODES["e2m1"])):
        quantized = quantize(model, data(network, 60))
        x = data(network, 20, 1)
        values = run(quantized, quantize_input(quantized, x), every=True)["conv"] * quantized.tensor("conv").scale
        errors.append(np.square(values - evaluate(network, x, every=True)["conv"]).sum())
    assert errors[1] < errors[0] / 10


def test_scales_far_apart_are_still_legal():
    weight = kernel(0) * np.exp2(np.arange(6) * 4.0)[:, None, None, None]
    found = coarse_weights(weight[:, 1:2, 1:2], CODES["e2m1"])
    assert exact_codes(found, CODES["e2m1"], 0.37, 1.9, keep=False) is not None
