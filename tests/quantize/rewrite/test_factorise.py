from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.codes import CODES
from hwgen.floatnet import Coded, Fixed, FloatConv, FloatInput, FloatNetwork
from hwgen.importers import load_model
from hwgen.interval import Interval
from hwgen.lower import evaluate, lower
from hwgen.network import Conv
from hwgen.quantize import quantize
from hwgen.quantize.rewrite import Factorise
from hwgen.quantize.rewrite.cp import kernel_of
from hwgen.quantize.rewrite.factorise import macs, parameters
from hwgen.reference import dequantized, quantize_input, run

from .test_cp import random_kernel

BOOK = CODES["e2m1"]


def network_of(weight, shape=(8, 9), *, seed=0, **rest):
    """One convolution of raw input, whose zero is not 0, that is read by a 1x1 convolution."""
    rng = np.random.default_rng(seed)
    channels = weight.shape[3]
    layer = FloatConv(
        "conv", "x", weight, rng.normal(0, 1, len(weight)), (*shape, channels), rng.normal(0, 1, channels),
        **{"pads": (1, 1, 1, 1), "clip": (0.0, inf), **rest},
    )  # fmt: skip
    last = rng.standard_normal((3, 1, 1, len(weight)))
    end = FloatConv("end", "conv", last, np.zeros(3), layer.output_shape, np.zeros(len(weight)))
    return FloatNetwork("net", (FloatInput("x", (*shape, channels)),), (layer, end), ("end",))


def data(network, count=4, seed=0):
    return np.random.default_rng(seed).normal(0.3, 1, (count, *network.input_shape))


def factors_of(network):
    first, vertical, horizontal, last = network.layers[:4]
    rank = len(first.weight)
    return (
        last.weight[:, 0, 0],
        vertical.weight.reshape(rank, -1),
        horizontal.weight.reshape(rank, -1),
        first.weight[:, 0, 0],
    )


WINDOWS = {
    "same": {},
    "none": {"pads": (0, 0, 0, 0)},
    "uneven": {"pads": (2, 0, 1, 3)},
    "strided": {"stride": (2, 3), "pads": (0, 1, 1, 0)},
    "dilated": {"dilation": (2, 1), "pads": (2, 1, 2, 1)},
    "all": {"stride": (3, 2), "dilation": (1, 3), "pads": (1, 3, 0, 4)},
}


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("shape", [(12, 3, 3, 8), (6, 2, 4, 9)])
def test_the_network_convolves_with_the_kernel_of_its_factors(window, shape):
    """Padding with the input's zero included, whatever the first 1x1 convolution makes of it."""
    network = network_of(random_kernel(0, shape), **WINDOWS[window])
    found = Factorise(rank=3, error=1.0).rewrite(network, BOOK)
    assert [layer.name for layer in found.layers] == ["conv_in", "conv_rows", "conv_columns", "conv", "end"]
    assert [layer.kernel for layer in found.layers[:4]] == [(1, 1), (shape[1], 1), (1, shape[2]), (1, 1)]
    same = replace(network.layers[0], weight=kernel_of(factors_of(found)))
    expected = evaluate(replace(network, layers=(same, network.layers[1])), data(network), every=True)
    actual = evaluate(found, data(network), every=True)
    for name in ("conv", "end"):
        assert actual[name] == pytest.approx(expected[name], rel=1e-9, abs=1e-9)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1 << 32), st.sampled_from(sorted(CODES)), st.integers(1, 6))
def test_every_factor_is_on_the_grid(seed, name, rank):
    network = network_of(random_kernel(seed))
    for layer in Factorise(rank, error=1.0).rewrite(network, CODES[name]).layers[:4]:
        assert (layer.weight == layer.coded.levels * layer.coded.scale[:, None, None, None]).all()
        assert layer.coded.levels.shape == layer.weight.shape
        assert np.isin(layer.coded.levels, CODES[name].sorted_levels).all()


@pytest.mark.parametrize("window", WINDOWS)
def test_the_formulas_of_weights_and_multiplications(window):
    network = network_of(random_kernel(0), **WINDOWS[window])
    layers = Factorise(rank=2, error=1.0).rewrite(network, BOOK).layers[:4]
    assert parameters((12, 3, 3, 8), 2) == sum(layer.weight.size for layer in layers)
    counted = sum(int(np.prod(layer.output_shape)) * layer.weight[0].size for layer in layers)
    assert macs(network.layers[0], 2) == counted


def test_the_smallest_rank_with_the_error():
    network = network_of(random_kernel(3, (32, 3, 3, 32), 8, noise=0.02))
    assert len(Factorise(error=0.1).rewrite(network, BOOK).layers[0].weight) == 8
    assert len(Factorise(error=0.95).rewrite(network, BOOK).layers[0].weight) == 4


def test_a_kernel_of_full_rank_and_one_that_would_cost_more_stay():
    noise = np.random.default_rng(0).standard_normal((32, 3, 3, 32))
    for network in (network_of(noise), network_of(random_kernel(0, (2, 3, 3, 2), 6))):
        assert Factorise().rewrite(network, BOOK) is network
    network = network_of(random_kernel(0))
    before = 12 * 72 * 72
    for share in (1.0, 0.5):
        rank = next(rank for rank in range(1, 99) if macs(network.layers[0], rank) >= share * before)
        assert Factorise(rank, error=1.0, share=share).rewrite(network, BOOK) is network
        assert Factorise(rank - 1, error=1.0, share=share).rewrite(network, BOOK) is not network
    assert Factorise(1, error=0.01).rewrite(network, BOOK) is network


@pytest.mark.parametrize(
    "change",
    [
        {"groups": 2, "weight": random_kernel(0, (12, 3, 3, 4), 1)},
        {"weight": random_kernel(0, (12, 1, 3, 8), 1), "pads": (0, 1, 0, 1)},
        {"weight": random_kernel(0, (12, 3, 1, 8), 1), "pads": (1, 0, 1, 0)},
        {"weight": np.zeros((12, 3, 3, 8))},
        {"coded": Coded(np.ones((12, 3, 3, 8), np.int64), np.ones(12))},
    ],
)
def test_what_stays(change):
    network = network_of(random_kernel(0, rank=1, noise=0.02))
    assert Factorise().rewrite(network, BOOK) is not network
    network = replace(network, layers=(replace(network.layers[0], **change), network.layers[1]))
    assert Factorise().rewrite(network, BOOK) is network


def test_the_last_layer_takes_over_bias_clip_and_format_and_a_note_says_so():
    network = network_of(random_kernel(0, rank=2, noise=0.02), clip=(0.0, 6.0))
    fixed = Fixed(0.25, Interval(0, 15))
    network = replace(network, layers=(replace(network.layers[0], fixed=fixed), network.layers[1]), notes=("before",))
    found = Factorise().rewrite(network, BOOK)
    *parts, last = found.layers[:4]
    assert (last.clip, last.fixed) == ((0.0, 6.0), fixed)
    assert (last.bias == network.layers[0].bias).all()
    assert all((part.clip, part.fixed, part.bias.any()) == ((-inf, inf), None, False) for part in parts)
    assert found.notes == ("before", "conv: factorised into a 1x1, a vertical, a horizontal and a 1x1 convolution.")


@pytest.mark.parametrize("name", ["e2m1", "pot4", "pot3", "int8"])
def test_quantized_the_factors_are_kept_and_the_twin_equals_the_reference(name):
    book = CODES[name]
    model = Factorise(rank=4).rewrite(network_of(random_kernel(5, rank=3, noise=0.02)), book)
    network = quantize(model, data(model, 40), code=book)
    for layer, coded in zip(model.layers[:4], network.layers[:4], strict=True):
        assert isinstance(coded, Conv)
        held = coded.weight_scale[:, None, None, None] * coded.codebook.decode(coded.codes)
        assert held == pytest.approx(layer.weight, rel=1e-3)
    x = quantize_input(network, data(model, 20, 1))
    integers, twin = run(network, x, every=True), dequantized(network, x, every=True)
    for name, values in integers.items():
        assert (values == twin[name]).all(), name


def test_the_dense_layer_of_a_real_network_is_cheaper_afterwards(real_data):
    """burn_mnist's dense layer of 372 thousand weights is a 22x22 convolution."""
    model = lower(load_model(real_data / "mnist" / "burn_mnist.onnx"))
    before = next(layer for layer in model.layers if layer.name == "g1")
    found = Factorise(rank=8, error=1.0).rewrite(model, BOOK)
    after = [layer for layer in found.layers if layer.name.startswith("g1")]
    assert sum(layer.weight.size for layer in after) == parameters(before.weight.shape, 8)
    assert parameters(before.weight.shape, 8) < before.weight.size / 400
