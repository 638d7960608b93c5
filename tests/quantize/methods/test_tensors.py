"""Sums of tensors as one codebook, and who gets them."""

from dataclasses import replace
from itertools import pairwise, product
from math import log10

import numpy as np
import pytest

from hwgen.codes import CODES, explicit
from hwgen.errors import HwgenError
from hwgen.floatnet import Coded, FloatConv, FloatInput, FloatNetwork
from hwgen.network import Conv
from hwgen.quantize import quantize
from hwgen.quantize.methods.tensors import Mmse, allotted
from hwgen.quantize.scales import code_weights
from hwgen.quantize.tensors import MAX_LEVEL, Sums, least_noise, pooled, tensor_books, tensor_sums
from hwgen.reference import dequantized, quantize_input, run

from ..conftest import random_conv

BOOKS = ("e2m1", "pot3", "pot4", "int4", "ternary", "binary", "pot3-nozero")


def convs(network):
    return [layer for layer in network.layers if isinstance(layer, Conv)]


def mean_bits(network):
    return sum(c.codes.size * c.codebook.bits for c in convs(network)) / sum(c.codes.size for c in convs(network))


@pytest.mark.parametrize("code", BOOKS)
@pytest.mark.parametrize("count", [2, 3])
def test_a_dot_product_is_the_shifted_sum_of_those_of_the_tensors(code, count):
    rng = np.random.default_rng(0)
    for sums in tensor_sums(CODES[code], count):
        book = sums.codebook
        codes = book.encode(rng.choice(book.sorted_levels, (50, 7)))
        x = rng.integers(-128, 128, 7)
        parts = sums.tensor_codes(codes)
        assert (parts.shape, parts.dtype) == ((count, 50, 7), np.uint8)
        passes = [(CODES[code].decode(part) @ x) << shift for part, shift in zip(parts, sums.shifts, strict=True)]
        assert (sum(passes) == book.decode(codes) @ x).all()


@pytest.mark.parametrize("code", BOOKS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_codebook_lists_the_sums(code, count):
    base = CODES[code]
    for sums in tensor_sums(base, count):
        every = {
            sum(level << shift for level, shift in zip(levels, sums.shifts, strict=True))
            for levels in product(base.sorted_levels.tolist(), repeat=count)
        }
        book = sums.codebook
        found = set(book.levels)
        assert found == every if len(every) <= 256 else found < every
        assert len(book.sorted_levels) <= 256
        assert book.bits <= 8
        assert book.max_level <= MAX_LEVEL
        assert len(every) <= 256 or book.max_level == max(every)
        assert sums.shifts == tuple(sorted(sums.shifts, reverse=True))
        assert sums.shifts[-1] == 0


def test_too_many_sums_are_thinned_evenly_on_both_sides_of_zero():
    sums = Sums(CODES["pot4"], (6, 3, 0))
    levels = sums.codebook.sorted_levels
    assert 200 < len(levels) <= 255
    assert (levels == -levels[::-1]).all()
    assert 0 in levels


def test_one_sum_made_in_several_ways_stays_with_the_first_tensor():
    sums = Sums(CODES["e2m1"], (1, 0))
    parts = CODES["e2m1"].decode(sums.tensor_codes(sums.codebook.encode([12, 24, 3, -3, 0])))
    assert parts.tolist() == [[6, 12, 1, -1, 0], [0, 0, 1, -1, 0]]


def test_candidates_of_one_tensor_are_the_codebook_itself():
    assert tensor_books(CODES["e2m1"], 1) == [CODES["e2m1"]]
    assert [book.name for book in tensor_books(CODES["ternary"], 2)] == [
        "ternary+ternary",
        "ternary<<1+ternary",
        "ternary<<2+ternary",
        "ternary<<3+ternary",
    ]


@pytest.mark.parametrize(("code", "expected"), [("e2m1", (36, 42)), ("pot4", (28, 40)), ("pot3", (24, 36))])
def test_noise_of_gaussian_weights(code, expected):
    """Within 2 dB of free scales for two tensors (37.7, 30.1, 26.8 dB); three are held back by 8 bits of code."""
    values = pooled(np.random.default_rng(0).normal(0, 1, (16, 3, 3, 64)))
    found = [
        -10 * log10(min(least_noise(values, book) for book in tensor_books(CODES[code], count))) for count in (1, 2, 3)
    ]
    assert all(got > least for got, least in zip(found[1:], expected, strict=True))
    assert found == sorted(found)


def test_channels_are_compared_by_their_shapes():
    """Scales of channels do not matter, dead channels neither."""
    weight = np.random.default_rng(0).laplace(0, 1, (8, 3, 3, 4))
    factors = 10.0 ** np.arange(-4, 4)[:, None, None, None]
    with_dead = np.concatenate((factors * weight, np.zeros((3, 3, 3, 4))))
    noise = [least_noise(pooled(each), CODES["pot4"]) for each in (weight, factors * weight, with_dead)]
    assert noise == pytest.approx(noise[:1] * 3)
    assert least_noise(pooled(np.zeros((2, 3, 3, 4))), CODES["pot4"]) == 0


def float_weights(seed=0):
    """Channels of all magnitudes, and one of zeros."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_t(5, (6, 3, 3, 16)) * rng.uniform(0.2, 2, (6, 1, 1, 1))
    weight[2] = 0
    return weight


@pytest.mark.parametrize("code", ["e2m1", "pot3", "pot4"])
def test_more_tensors_on_the_grid_of_hardware(code):
    """The hardware form keeps what the free one promises, channel by channel."""
    weight, errors = float_weights(), []
    for count in (1, 2, 3):
        book = min(tensor_books(CODES[code], count), key=lambda book: least_noise(pooled(weight), book))
        coded = code_weights(weight, book, 0.01)
        real = coded.weight_scale[:, None, None, None] * book.decode(coded.codes)
        assert (real[2] == 0).all()
        errors.append(np.square(weight - real).sum(axis=(1, 2, 3)))
    alive = np.arange(6) != 2
    assert (errors[1][alive] < errors[0][alive] / 8).all()
    assert (errors[2].sum() < errors[1].sum()).all()


def graph_frames(count, seed=0):
    rng = np.random.default_rng(seed)
    return {"left": rng.normal(0, 1, (count, 8, 9, 2)), "right": rng.normal(0, 1, (count, 8, 9, 3))}


@pytest.mark.parametrize(("code", "count"), [("e2m1", 2), ("pot3", 3), ("pot4", 2), ("ternary", 3)])
def test_a_graph_of_sums_equals_its_float_twin(float_graph, code, count):
    """Depthwise, grouped and dilated layers among them; twice the same network."""
    first, second = (
        quantize(float_graph(1), graph_frames(20), code=code, method=f"mmse:tensors={count}") for _ in range(2)
    )
    x = quantize_input(first, graph_frames(20, 1))
    integers, twin = run(first, x, every=True), dequantized(first, x, every=True)
    assert all((values == twin[name]).all() for name, values in integers.items())
    for one, two in zip(convs(first), convs(second), strict=True):
        assert (one.codes == two.codes).all()
        assert one.codebook == two.codebook
        assert one.codebook.bits > CODES[code].bits
    assert any(f"the sum of {count} tensors of {code}" in note for note in first.notes)


@pytest.mark.parametrize("code", [book.name for book in CODES.values() if book.bits <= 5])
def test_every_short_code_can_be_summed(float_network, code):
    x = np.random.default_rng(0).normal(0.3, 1, (20, 8, 9, 2))
    network = quantize(float_network(2), x, code=code, method="mmse:tensors=2")
    inputs = quantize_input(network, x)
    assert (run(network, inputs) == dequantized(network, inputs)).all()


def test_one_tensor_is_plain_rounding(float_network):
    x = np.random.default_rng(0).normal(0, 1, (20, 8, 9, 2))
    plain, one = (quantize(float_network(0), x, method=method) for method in ("plain", "mmse"))
    assert all((a.codes == b.codes).all() for a, b in zip(convs(plain), convs(one), strict=True))
    assert plain.notes == one.notes


def uneven():
    """Layers of sizes 1 : 4 : 16, of which the smallest has the heaviest tails, and one of pot3 weights."""
    rng = np.random.default_rng(0)
    sizes = {"a": (4, 8), "b": (16, 8), "c": (16, 32), "d": (8, 8)}
    draws = {"a": rng.standard_t(2, (4, 1, 1, 8)), "b": rng.laplace(0, 1, (16, 1, 1, 8))}
    levels = rng.permuted(np.tile([4.0, -4, 2, 2, -1, 1, 0, -2], (8, 1)), axis=1)
    draws |= {"c": rng.uniform(-1, 1, (16, 1, 1, 32)), "d": levels.reshape(8, 1, 1, 8)}
    inputs = tuple(FloatInput(f"x{name}", (2, 2, size[1])) for name, size in sizes.items())
    layers = tuple(
        FloatConv(name, f"x{name}", draws[name], np.zeros(size[0]), (2, 2, size[1]), np.zeros(size[1]))
        for name, size in sizes.items()
    )
    return FloatNetwork("uneven", inputs, layers, tuple(sizes))


@pytest.mark.parametrize("budget", [3.0, 3.2, 4.0, 5.5, 8.0])
def test_the_budget_is_kept_and_used(budget):
    model = uneven()
    rng = np.random.default_rng(1)
    x = {source.name: rng.normal(0, 1, (20, *source.shape)) for source in model.inputs}
    network = quantize(model, x, code="pot3", method=f"mmse:budget={budget}")
    bits = {layer.name: layer.codebook.bits for layer in convs(network)}
    assert mean_bits(network) <= budget
    assert bits["d"] == 3  # one tensor is exact
    if budget == 3:
        assert set(bits.values()) == {3}
    if budget == 8:
        assert [bits[name] for name in "abc"] == [8, 8, 8]
    # Either the layer that gains most per bit has all it can have, or what is left would not do for one more bit of it.
    size = {layer.name: layer.codes.size for layer in convs(network)}
    left = (budget - mean_bits(network)) * sum(size.values())
    assert budget == 3 or bits["a"] == 8 or left < size["a"]


def test_more_budget_never_makes_more_noise():
    model = uneven()
    noise = []
    for budget in (3, 3.5, 4, 5, 6, 8):
        found = allotted(model, CODES["pot3"], 3, budget)
        books = {
            name: [sums.codebook for sums in found.get(name, ())] or [CODES["pot3"]] for name in ("a", "b", "c", "d")
        }
        values = {layer.name: pooled(layer.weight) for layer in model.layers}
        noise.append(sum(min(least_noise(values[name], book) for book in books[name]) for name in books))
    assert all(after <= before for before, after in pairwise(noise))
    assert noise[-1] < noise[0] / 20


def test_layers_that_hold_codes_of_their_own_get_no_further_tensors():
    model = uneven()
    first, *others = model.layers
    held = np.random.default_rng(0).integers(-3, 4, first.weight.shape)
    scale = np.full(len(held), 0.5)
    coded = replace(first, weight=held * scale[:, None, None, None], coded=Coded(held, scale))
    found = allotted(replace(model, layers=(coded, *others)), CODES["pot3"], 3, 8.0)
    assert set(found) == {"b", "c"}


def test_a_budget_may_stop_at_two_tensors():
    found = allotted(uneven(), CODES["pot3"], 2, 8.0)
    assert {sums.count for each in found.values() for sums in each} == {2}


@pytest.mark.parametrize(
    ("method", "code", "words"),
    [
        ("mmse:tensors=2", "int8", "a code of at most 5 bits, not the 8 of int8"),
        ("mmse:budget=3.9", "e2m1", "a budget of 3.9 bits per weight is less than the 4 of one tensor of e2m1"),
    ],
)
def test_what_cannot_be_is_one_sentence(float_network, method, code, words):
    with pytest.raises(HwgenError, match=words):
        quantize(float_network(0), np.zeros((1, 8, 9, 2)), code=code, method=method)


def test_a_model_without_weights_or_with_zeros_only():
    zeros = random_conv(np.random.default_rng(0), "dense", "x", (1, 1, 4), 3, (1, 1))
    zeros.weight[:] = 0
    model = FloatNetwork("n", (FloatInput("x", (1, 1, 4)),), (zeros,), ("dense",))
    network = quantize(model, np.ones((2, 1, 1, 4)), method="mmse:budget=6")
    assert not convs(network)[0].codebook.decode(convs(network)[0].codes).any()
    assert mean_bits(network) == 4


def test_any_list_of_levels_is_a_base():
    sums = tensor_sums(explicit([0, 1, 2, 5, -3]), 2)[2]
    assert sums.shifts == (2, 0)
    assert sums.codebook.levels[:1] == (0,)
    assert Mmse(tensors=2).tensors == 2


def test_layers_in_another_code_say_that_they_get_one_tensor(float_network):
    data = np.random.default_rng(0).integers(0, 256, (9, 8, 9, 2)).astype(np.uint8)
    arguments = {"code": "pot3", "layer_codes": {"conv2": "e2m1"}}
    for method in ("mmse:tensors=2", "mmse:budget=8"):
        network = quantize(float_network(0), data, method=method, **arguments)
        assert "conv2: one tensor only, in codes other than pot3." in network.notes
        assert [layer.codebook.name for layer in convs(network) if layer.name == "conv2"] == ["e2m1"]
    assert not quantize(float_network(0), data, method="mmse", **arguments).notes
