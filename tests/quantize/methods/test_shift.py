"""Virtual bit shift: words with leading bits left out, and groups with exponents of their own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.codes import CODES, codebook
from hwgen.quantize import quantize
from hwgen.quantize.methods.plain import plain
from hwgen.quantize.methods.shift import Shift, decode, encode, exponents, shifted, stored_bits

from .common import check_network, convs, frames, real, single_network, weights_only, wide_network, zero_network
from .problems import LAYERS, case


def rounded(weight, bits):
    """To the nearest fixed-point number of ``bits`` bits, one of them the sign, without an end of the range."""
    return np.floor(weight * 2.0 ** (bits - 1) + 0.5) / 2.0 ** (bits - 1)


@given(st.integers(2, 8), st.integers(0, 8), st.integers(0, 1000))
def test_dropping_leading_bits_is_the_rounding_of_the_longer_word(bits, drop, seed):
    weight = np.random.default_rng(seed).uniform(-1, 1, 400) * 2.0**-drop
    words, longer = encode(weight, bits, drop), rounded(weight, bits + drop)
    assert words.min() >= -(1 << bits - 1)
    assert words.max() < 1 << bits - 1
    reaches = longer >= 2.0**-drop  # rounded up to the first number that has the bit
    assert (decode(words, bits, drop) == longer)[~reaches].all()
    step = 2.0 ** (1 - bits - drop)
    assert (decode(words, bits, drop) == longer - step)[reaches].all()
    assert (weight[reaches] >= 2.0**-drop - step / 2).all()


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("drop", [0, 1, 3])
def test_every_word_comes_back(bits, drop):
    words = np.arange(-(1 << bits - 1), 1 << bits - 1)
    assert (encode(decode(words, bits, drop), bits, drop) == words).all()
    assert (np.abs(decode(words, bits, drop)) <= 2.0**-drop).all()


def test_each_group_has_its_own():
    weight = np.array([[0.9, -0.3], [0.2, -0.11]])
    words = encode(weight, 4, np.array([[0], [2]]))
    assert words.tolist() == [[7, -2], [6, -4]]
    assert np.abs(decode(words, 4, np.array([[0], [2]])) - weight).max() <= 1 / 16


@pytest.mark.parametrize(
    ("shape", "size", "bits", "most", "total"),
    [
        ((4, 3, 3, 16), 8, 4, 3, 4 * (144 * 4 + 2 * 2)),
        ((2, 1, 1, 9), 8, 3, 1, 2 * (27 + 2)),
        ((1, 1, 1, 1), 8, 4, 4, 7),
    ],
)
def test_the_memory_is_counted_exactly(shape, size, bits, most, total):
    assert stored_bits(shape, size, bits, most) == total


@pytest.mark.parametrize("size", [1, 3, 8])
def test_the_memory_is_that_of_the_codes_and_exponents(size):
    layer = case("dense")[0]
    scale = np.abs(layer.weight).max(axis=(1, 2, 3)) / 12
    drops = exponents(layer.weight, np.ones_like(layer.weight), scale, CODES["e2m1"], size, 3)
    assert stored_bits(layer.weight.shape, size, 4, 3) == layer.weight.size * 4 + drops.size * 2


@pytest.mark.parametrize("code", ["e2m1", "int4", "pot3", "ternary"])
def test_a_group_inside_a_range_drops_the_bits(code):
    """Groups of 1, 1/2, 1/4, ... of the range: each gets the error of the largest, scaled down."""
    book = CODES[code]
    largest = np.random.default_rng(0).uniform(-1, 1, (1, 3, 3, 4))
    largest[0, 0, 0, 0] = 1.0
    weight = np.concatenate([largest / 2**k for k in range(4)], axis=3)
    drops = exponents(weight, np.ones_like(weight), np.array([1 / book.max_level]), book, 4, 3)
    assert drops.tolist() == [[0, 1, 2, 3]]
    assert exponents(weight, np.ones_like(weight), np.array([1 / book.max_level]), book, 4, 2).max() == 2


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("code", ["e2m1", "pot3", "int4", "e2m2", "pot5", "pot3-nozero", "0,1,-1,3"])
@pytest.mark.parametrize("size", [1, 3])
def test_no_channel_is_worse_than_without(kind, code, size):
    layer = case(kind)[0]
    importance = np.random.default_rng(1).uniform(0.5, 2, layer.weight.shape)
    problem = weights_only(layer, codebook(code), importance)
    before, after = plain(problem), Shift(size=size).code(problem)

    def noise(coded):
        found = coded.codebook.decode(coded.codes) * coded.weight_scale[:, None, None, None]
        return (importance * np.square(found - layer.weight)).sum(axis=(1, 2, 3))

    assert (noise(after) <= noise(before) * (1 + 1e-12)).all()
    if code in ("e2m1", "int4", "e2m2", "pot3") and kind in ("dense", "strided"):
        assert noise(after).sum() < noise(before).sum()
        assert set(after.codebook.levels) <= shifted(codebook(code), 3)


def test_levels_are_those_of_the_code_in_the_groups_exponent():
    layer = case("dense")[0]
    problem = weights_only(layer, CODES["int4"])
    scale = plain(problem).weight_scale
    coded = Shift(size=2).code(problem)
    drops = exponents(layer.weight, problem.importance, scale, CODES["int4"], 2, 3)
    most = drops.max()
    levels = coded.codebook.decode(coded.codes)
    for output in range(6):
        for group in range(2):
            part = levels[output, ..., 2 * group :][..., :2]
            assert set((part >> most - drops[output, group] << most - drops[output, group]).ravel()) == set(
                part.ravel()
            )
            assert np.abs(part).max() <= 7 << most - drops[output, group]
    assert (coded.weight_scale * 2**most == scale).all()


def test_a_quiet_group_of_inputs_gains_by_bits():
    model = wide_network(0)
    model.layers[1].weight[..., 8:] /= 16
    noise = {}
    for method in ("plain", "shift:size=8,bits=4"):
        network = quantize(model, frames(model, 20, 0), code="e2m1", method=method)
        noise[method] = np.square(real(network)[1] - model.layers[1].weight)[..., 8:].sum()
    assert noise["shift:size=8,bits=4"] < noise["plain"] / 10
    assert any("groups of 8 input channels have exponents of their own" in note for note in network.notes)


@pytest.mark.parametrize("code", ["pot3", "e2m1", "e2m2", "pot3-nozero"])
@pytest.mark.parametrize("options", ["", ":size=1,bits=8", ":size=2"])
def test_whole_networks(float_network, float_graph, code, options):
    for model in (float_network(0), float_graph(1)):
        network = check_network(model, f"shift{options}", code)
        assert all(conv.codebook.bits <= 8 for conv in convs(network))


def test_one_weight_and_none():
    """Nothing to gain: it is plain rounding, and says so."""
    why = "plainly rounded, as no group of 8 input channels gains from leaving out leading bits"
    for weight in (0.3, -2.0):
        plainly, found = (
            quantize(single_network(weight), np.ones((4, 1, 1, 1)), method=method) for method in ("plain", "shift")
        )
        assert real(found)[0].item() == real(plainly)[0].item() == pytest.approx(weight, rel=0.09)
        assert found.notes == (f"dense: {why}.",)
    network = check_network(zero_network(), "shift", "e2m1")
    assert not any(w.any() for w in real(network))
    assert all(conv.codebook == CODES["e2m1"] for conv in convs(network))
    assert network.notes == (f"a, b: {why}.",)


def test_a_code_that_leaves_no_room_for_shifts_says_so():
    network = check_network(wide_network(0), "shift", "65536,-65536,0,1,-1")
    assert len(network.notes) == 1
    assert "plainly rounded, as 65536,-65536,0,1,-1 shifted by 1 is no code" in network.notes[0]


def test_the_note_counts_the_bits_that_groups_need():
    """Exponents of 0 or 1 take one bit, although up to 8 bits may be dropped."""
    layer = case("dense")[0]
    layer.weight[..., 2:] = layer.weight[..., :2] / 2
    coded = Shift(size=2, bits=8).code(weights_only(layer, CODES["int4"]))
    assert coded.codebook.name == "int4 shifted by 0 to 1"
    assert coded.note.endswith("codes of int4 and 1 bits per group")
