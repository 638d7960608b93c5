from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.codes import CODES, explicit
from hwgen.errors import HwgenError
from hwgen.floatnet import Coded, Fixed, FloatConv, FloatInput, FloatNetwork
from hwgen.interval import Interval
from hwgen.network import MANTISSAS, Tensor
from hwgen.quantize import quantize
from hwgen.quantize.coded import RECOGNIZED, book_of, exact_codes, exponent_in
from hwgen.quantize.conv import quantize_conv
from hwgen.quantize.formats import Format
from hwgen.quantize.notes import remarks

from .conftest import random_conv

SIGNED = Interval(-128, 127)
SOURCE = Tensor("input", (4, 4, 2), SIGNED, 0.5)


@pytest.mark.parametrize("name", RECOGNIZED)
@pytest.mark.parametrize("power", [0, 3])
def test_all_levels_of_a_named_codebook_find_one_of_its_size(name, power):
    levels = np.array(CODES[name].levels) << power
    book = book_of(levels)
    assert book.bits == CODES[name].bits
    assert exponent_in(book, levels) is not None


@pytest.mark.parametrize(
    ("levels", "name", "bits"),
    [
        ([-1, 1], "ternary", 2),
        ([0, 0], "ternary", 2),
        ([0, 4, -4], "ternary", 2),
        ([1, 2, 4, -2], "pot3", 3),
        ([1, 3, -12], "e2m1", 4),
        ([5, 3, -7], "int4", 4),
        ([1, 10], "apot4", 4),
        ([1, 9], "levels3", 2),
        ([9, 10, -30], "levels4", 2),
        (range(-8, 8), "int4", 4),
        (range(-9, 7), "int4", 4),
        (range(-127, 128), "int8", 8),
        (range(-100, 90, 3), "levels65", 7),
        (range(-128, 128), "int8", 8),
        (range(-90, 120), "int8", 8),
    ],
)
def test_the_smallest_codebook(levels, name, bits):
    book = book_of(np.array(levels))
    assert book.name == name
    assert book.bits == bits
    assert exponent_in(book, np.array(levels)) is not None


def test_more_than_eight_bits_have_no_codebook():
    assert book_of(np.arange(-128, 129)) is None


def coded(levels, scale, **rest):
    """A convolution whose weights are ``scale * levels``."""
    scale = np.asarray(scale, np.float64)
    rng = np.random.default_rng(0)
    layer = random_conv(rng, "conv", "input", (4, 4, 2), len(levels), levels.shape[1:3], **rest)
    return replace(layer, weight=scale[:, None, None, None] * levels, coded=Coded(levels, scale), pad_value=np.zeros(2))


def levels_of(book, seed=0, outputs=3):
    return np.random.default_rng(seed).choice(book.levels, (outputs, 2, 2, 2))


INPUTS = np.random.default_rng(0).integers(-128, 128, (10, 4, 4, 2))


def quantized(model, codebook, target):
    return quantize_conv(model, SOURCE, codebook, target, INPUTS, INPUTS)[0]


@pytest.mark.parametrize("name", ["e2m1", "pot4", "ternary", "int4"])
@pytest.mark.parametrize("scales", [[0.3] * 3, [0.3, 0.6, 0.15], [0.8, 0.9, 1.5]])
def test_codes_are_taken_exactly_where_scales_are_on_the_grid(name, scales):
    levels = levels_of(CODES[name])
    model = coded(levels, scales)
    conv = quantized(model, CODES["e2m1"], Format(SIGNED, 0.4))
    real = conv.weight_scale[:, None, None, None] * conv.codebook.decode(conv.codes)
    assert real == pytest.approx(model.weight, rel=1e-12)
    assert 0.4 / 1.1 < conv.output.scale < 0.4 * 1.1
    assert remarks([(model, conv)]) == ()


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_a_common_scale_is_always_exact(log_scale, log_wanted):
    levels = levels_of(CODES["e2m1"])
    scale, weights = exact_codes(
        Coded(levels, np.full(3, 10**log_scale)), CODES["e2m1"], 0.5, 10**log_wanted, keep=False
    )
    assert weights.weight_scale == pytest.approx(np.full(3, 10**log_scale), rel=1e-9)
    mantissas = {mul >> max(mul.bit_length() - 4, 0) for mul in weights.mul.tolist()}
    assert mantissas <= set(MANTISSAS)
    if weights.shift > 1:
        assert 10**log_wanted / 1.1 < scale < 10**log_wanted * 1.1


def test_powers_of_two_keep_the_format_of_the_model():
    fixed = Fixed(0.25, Interval(-8, 7))
    model = coded(levels_of(CODES["pot4"]), [2.0**-3, 2.0**-5, 1.0], fixed=fixed, clip=(0.0, inf))
    conv = quantized(model, CODES["e2m1"], Format(fixed.interval, 0.25).clipped((0.0, inf)))
    assert (conv.output.scale, conv.output.interval) == (0.25, Interval(0, 7))
    assert conv.weight_scale == pytest.approx([2.0**-3, 2.0**-5, 1.0], rel=1e-15)
    assert remarks([(model, conv)]) == ()


def test_a_format_off_the_grid_gives_way_to_the_codes():
    fixed = Fixed(0.27, Interval(-8, 7))
    model = coded(levels_of(CODES["pot4"]), [0.3] * 3, fixed=fixed)
    conv = quantized(model, CODES["e2m1"], Format(fixed.interval, 0.27))
    assert conv.weight_scale == pytest.approx([0.3] * 3, rel=1e-12)
    assert conv.output.scale != 0.27
    assert conv.output.interval.lo >= -8
    assert [text.split(";")[0].split(":")[0] for text in remarks([(model, conv)])] == ["conv"]


def test_scales_off_the_grid_are_rounded_anew_in_the_same_codebook():
    model = coded(levels_of(explicit(range(-127, 128))), [0.3, 0.31, 0.39])
    conv = quantized(model, CODES["e2m1"], Format(SIGNED, 20.0))
    assert conv.codebook.name == "int8"
    real = conv.weight_scale[:, None, None, None] * conv.codebook.decode(conv.codes)
    error = np.square(real - model.weight).sum() / np.square(model.weight).sum()
    assert 0 < error < 1e-4
    assert remarks([(model, conv)])[0].startswith("conv: weights that the model holds as codes are rounded anew")


def test_a_channel_without_weights_does_not_hinder_the_others():
    levels = levels_of(CODES["e2m1"])
    levels[1] = 0
    model = coded(levels, [0.3, 0.777, 0.6])
    conv = quantized(model, CODES["e2m1"], Format(SIGNED, 0.4))
    assert (conv.codebook.decode(conv.codes) == levels).all()
    assert remarks([(model, conv)]) == ()


def test_more_than_eight_bits_are_quantized_like_real_weights():
    levels = np.random.default_rng(0).integers(-20000, 20000, (100, 2, 2, 2))
    model = coded(levels, [1e-4] * 100)
    conv = quantized(model, CODES["e2m1"], Format(SIGNED, 0.4))
    assert conv.codebook == CODES["e2m1"]
    assert len(remarks([(model, conv)])) == 1


def test_many_layers_share_one_sentence():
    model = coded(levels_of(explicit(range(-127, 128))), [0.3, 0.31, 0.39])
    conv = quantized(model, CODES["e2m1"], Format(SIGNED, 20.0))
    (text,) = remarks([(model, replace(conv, name=f"conv{index}")) for index in range(5)])
    assert text.startswith("conv0, conv1, conv2 and 2 more: ")


@pytest.mark.parametrize(("code", "name"), [("e2m1", "e2m1"), ("own", "int8"), ("pot3", "pot3")])
def test_wide_codes_are_kept_only_on_request(code, name):
    """A model of 8-bit weights gets the small engine that was asked for."""
    assert quantized_codebook(code, np.arange(-127, 128)) == name


@pytest.mark.parametrize(("code", "name"), [("e2m1", "int3"), ("own", "int3"), ("int4", "int3")])
def test_codes_of_no_more_bits_are_kept(code, name):
    assert quantized_codebook(code, np.array([-3, -2, -1, 0, 1, 2, 3])) == name


def test_own_codes_of_a_model_without_any():
    network = FloatNetwork("n", (FloatInput("x", (1, 1, 4)),), (dense(np.ones((1, 1, 1, 4))),), ("dense",))
    with pytest.raises(HwgenError, match="the model holds no weights as codes of its own; choose a code, such as e2m1"):
        quantize(network, np.ones((2, 1, 1, 4)), code="own")


def quantized_codebook(code, levels):
    """The name of the codebook that a dense layer with ``levels`` gets."""
    weight = levels.reshape(1, 1, 1, -1).astype(np.int64)
    model = dense(weight / 8.0, Coded(weight, np.array([0.125])))
    shape = model.input_shape
    network = FloatNetwork("n", (FloatInput("x", shape),), (model,), ("dense",))
    pixels = np.random.default_rng(0).integers(0, 256, (20, *shape)).astype(np.uint8)
    (layer,) = quantize(network, pixels, code=code).layers
    return layer.codebook.name


def dense(weight, codes=None):
    """A dense layer of one output."""
    shape = (1, 1, weight.shape[3])
    return FloatConv("dense", "x", weight, np.zeros(1), shape, np.zeros(shape[2]), coded=codes)
