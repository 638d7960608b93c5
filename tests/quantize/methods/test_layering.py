"""Nested codes: dropping digits is quantizing anew, exactly."""

from dataclasses import replace

import numpy as np
import pytest

from hwgen.codes import CODES, Codebook, explicit
from hwgen.errors import HwgenError
from hwgen.floatnet import FloatInput, FloatNetwork
from hwgen.network import MANTISSAS, Conv
from hwgen.quantize import quantize
from hwgen.quantize.layering import CODE_BITS, Nested, drop, nesting_of, nestings
from hwgen.quantize.methods.layering import nested, shared_scales
from hwgen.quantize.mse import SortedValues
from hwgen.quantize.rebias import rebias
from hwgen.quantize.requant import MAX_SHIFT, exponent_grid
from hwgen.reference import dequantized, quantize_input, run

from ..conftest import random_conv
from .common import weights_only

BASES = [book for book in CODES.values() if book.bits <= CODE_BITS // 2]
NESTINGS = [
    nesting
    for base in (*BASES, explicit([0, 1, 2, 5, -3], "0,1,2,5,-3"))
    for nesting in nestings(base, CODE_BITS // base.bits)
]


def name_of(nesting):
    return nesting.codebook.name


def convs(network):
    return [layer for layer in network.layers if isinstance(layer, Conv)]


def used(book):
    """Every code that may be stored."""
    return np.array([code for code in range(len(book.levels)) if book.is_canonical(code)])


def sums(nesting, values):
    return (nesting.greedy(values) << nesting._shifts[(...,) + (None,) * np.ndim(values)]).sum(axis=0)


@pytest.mark.parametrize("whole", NESTINGS, ids=name_of)
def test_dropping_digits_of_any_code_is_quantizing_its_level_anew(whole):
    codes = used(whole.codebook)
    levels = whole.codebook.decode(codes)
    assert (sums(whole, levels) == levels).all()
    for kept in range(1, whole.kept):
        fewer = replace(whole, kept=kept)
        shorter = codes >> (whole.kept - kept) * whole.base.bits
        # decode() refuses codes that are not to be stored, so every prefix is one that is.
        assert (fewer.codebook.decode(shorter) == sums(fewer, levels)).all()


@pytest.mark.parametrize("whole", NESTINGS, ids=name_of)
def test_a_level_is_the_sum_of_its_digits(whole):
    codes = used(whole.codebook)
    digits = whole.base.decode(whole.digits(codes))
    assert (digits << whole._shifts[:, None]).sum(axis=0).tolist() == whole.codebook.decode(codes).tolist()


@pytest.mark.parametrize("whole", NESTINGS[:-5], ids=name_of)
def test_levels_are_mirrored_where_those_of_the_base_are(whole):
    levels = whole.codebook.sorted_levels
    assert (levels == -levels[::-1]).all()
    if not whole.base.zero_free:
        assert 0 in levels


@pytest.mark.parametrize("base", BASES, ids=lambda base: base.name)
def test_one_digit_is_the_base(base):
    one = Nested(base, 2, 2, 1).codebook
    assert one.bits == base.bits
    assert {level >> 2 for level in one.levels} == set(base.levels)
    values = np.random.default_rng(0).normal(0, base.max_level / 2, 1000)
    assert (one.nearest(4 * values) == 4 * base.nearest(values)).all()


def test_two_terms_of_pot4_an_octave_apart_are_shiftcnn():
    """N = 2 terms of B = 4 bits have 103 distinct sums; the second codebook starts an octave below the first."""
    assert len(Nested(CODES["pot4"], 2, 1, 2).codebook.sorted_levels) == 103


def test_layered_bits_are_the_odd_integers():
    whole = Nested(CODES["binary"], 8, 1, 8).codebook
    assert whole.sorted_levels.tolist() == list(range(-255, 256, 2))


def test_a_spacing_at_which_code_0_cannot_be_kept_is_left_out():
    base = CODES["e2m1-nozero"]
    assert [nesting.spacing for nesting in nestings(base, 2)] == list(range(2, base.max_level.bit_length() + 2))
    with pytest.raises(ValueError, match="code 0 of e2m1-nozero"):
        Nested(base, 2, 1, 2).codebook  # noqa: B018


@pytest.mark.parametrize("code", ["e2m1", "pot3", "pot4"])
def test_a_second_term_makes_little_noise_of_much(code):
    values = SortedValues(np.random.default_rng(0).normal(0, 1, 4000))
    scales = np.geomspace(1e-3, 1, 400)
    noise = [
        min(
            values.squared_error(Nested(CODES[code], 2, spacing, kept).codebook.sorted_levels, scales).min()
            for spacing in (2, 3)
        )
        for kept in (1, 2)
    ]
    assert noise[1] < noise[0] / 13  # 11 dB


@pytest.mark.parametrize("whole", NESTINGS[::4], ids=name_of)
def test_the_name_says_how_a_codebook_is_nested(whole):
    for kept in range(1, whole.kept + 1):
        nesting = replace(whole, kept=kept)
        book = nesting.codebook
        assert nesting_of(Codebook(book.name, book.bits, book.levels)) == nesting


@pytest.mark.parametrize(
    "name",
    ["2 of 2 terms of nothing, 3 apart", "3 of 2 terms of e2m1, 3 apart", "3 of 3 terms of e2m1, 3 apart", "e2m1",
     "2 of 2 terms of e2m1, 2 apart", "2 of 2 terms of e2m1, 99 apart"],
)  # fmt: skip
def test_a_name_that_lies_is_not_believed(name):
    right = Nested(CODES["e2m1"], 2, 3, 2).codebook
    assert nesting_of(Codebook(name, right.bits, right.levels)) is None


def problem(base, seed=0):
    rng = np.random.default_rng(seed)
    layer = random_conv(rng, "conv1", "input", (8, 9, 4), 6, (3, 3), pads=(1, 1, 1, 1))
    layer.weight[3] = 0
    return weights_only(layer, base, rng.uniform(0.5, 2, layer.weight.shape))


@pytest.mark.parametrize("code", ["e2m1", "pot3", "ternary", "binary"])
def test_fewer_terms_from_the_start_are_the_same_codes(code):
    base = CODES[code]
    most = CODE_BITS // base.bits
    whole = nested(problem(base), most, most)
    for kept in range(1, most):
        fewer = nested(problem(base), most, kept)
        assert (fewer.weight_scale == whole.weight_scale).all()
        assert (fewer.codes == whole.codes >> (most - kept) * base.bits).all()
        assert fewer.codebook.bits == kept * base.bits
        assert (fewer.codes < 1 << kept * base.bits).all()
    dead = whole.weight_scale[3] * np.abs(whole.codebook.decode(whole.codes[3]))
    assert (dead.max() == 0) if not base.zero_free else (dead.max() < np.delete(whole.weight_scale, 3).min())


@pytest.mark.parametrize("code", ["e2m1", "pot3", "ternary"])
def test_a_scale_serves_every_precision(code):
    """No other point of the grid has less error, relative to the least of each precision, in sum."""
    case = problem(CODES[code])
    terms = CODE_BITS // CODES[code].bits
    books = [Nested(CODES[code], terms, 1, kept).codebook for kept in range(1, terms + 1)]
    scales = shared_scales(case.weight, books, case.ratio, case.importance)
    points = case.ratio * exponent_grid(-20, 4).ravel()
    assert scales[3] == 0
    for channel in (0, 1, 2, 4, 5):
        data = SortedValues(case.weight[channel], case.importance[channel])
        errors = np.array([data.squared_error(book.sorted_levels, points) for book in books])
        relative = (errors / errors.min(axis=1, keepdims=True)).sum(axis=0)
        (chosen,) = np.flatnonzero(points == scales[channel])
        assert relative[chosen] == pytest.approx(relative.min())


def frames(count, seed=0):
    rng = np.random.default_rng(seed)
    return {"left": rng.normal(0, 1, (count, 8, 9, 2)), "right": rng.normal(0, 1, (count, 8, 9, 3))}


@pytest.fixture(scope="module", params=["e2m1", "pot3", "ternary"])
def whole(request, float_graph):
    """Depthwise, grouped and dilated layers among them."""
    return quantize(float_graph(1), frames(20), code=request.param, method="layering")


def test_every_precision_of_a_network_equals_its_float_twin(whole):
    kept = max(nesting_of(layer.codebook).kept for layer in convs(whole))
    for network in (whole, *(drop(whole, terms) for terms in range(1, kept))):
        x = quantize_input(network, frames(20, 1))
        integers, twin = run(network, x, every=True), dequantized(network, x, every=True)
        assert all((values == twin[name]).all() for name, values in integers.items())


def test_dropping_in_steps_is_dropping_at_once(whole):
    kept = max(nesting_of(layer.codebook).kept for layer in convs(whole))
    stepwise = whole
    for terms in range(kept - 1, 0, -1):
        stepwise, at_once = drop(stepwise, terms), drop(whole, terms)
        for one, other, full in zip(convs(stepwise), convs(at_once), convs(whole), strict=True):
            assert (one.codes == other.codes).all()
            assert one.codebook == other.codebook
            assert one.codebook.bits * kept == full.codebook.bits * terms
            assert one.requant is full.requant
            assert (one.weight_scale == full.weight_scale).all()


def test_quantizing_is_reproducible_and_says_what_it_did(whole, float_graph):
    base = nesting_of(convs(whole)[0].codebook).base.name
    again = quantize(float_graph(1), frames(20), code=base, method="layering")
    for one, two in zip(convs(whole), convs(again), strict=True):
        assert (one.codes == two.codes).all()
        assert (one.requant.add == two.requant.add).all()
    assert any(f"nested terms of {base}" in note for note in whole.notes)
    assert drop(whole, 1).notes[:-1] == whole.notes
    assert "first 1 of" in drop(whole, 1).notes[-1]


def test_corrected_biases_take_the_mean_error_out(whole):
    coarse, x = drop(whole, 1), frames(40)
    corrected = rebias(coarse, whole, x)
    inputs = quantize_input(whole, x)
    wanted, before, after = (run(network, inputs, every=True) for network in (whole, coarse, corrected))
    for one, other in zip(convs(coarse), convs(corrected), strict=True):
        assert (one.codes == other.codes).all()
        assert (one.requant.mul == other.requant.mul).all()
    # "first" reads the same integers in all three, so each of its channels can be compared.
    off = [np.square((made["first"] - wanted["first"]).astype(float)).sum(axis=(0, 1, 2)) for made in (before, after)]
    assert (off[1] <= off[0]).all()
    # In the logits everything before adds up.
    mean = [np.abs((made["logits"] - wanted["logits"]).mean(axis=(0, 1, 2))).sum() for made in (before, after)]
    assert mean[1] < mean[0] / 2
    again = rebias(coarse, whole, x)
    assert all((a.requant.add == b.requant.add).all() for a, b in zip(convs(again), convs(corrected), strict=True))


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_the_mean_of_every_channel_is_that_of_the_finer_network(kept):
    """One padded layer without a clip: what is left is the rounding of two outputs."""
    rng = np.random.default_rng(0)
    layer = random_conv(rng, "conv1", "x", (6, 5, 3), 8, (3, 3), pads=(1, 1, 1, 1), stride=(2, 1))
    model = FloatNetwork("n", (FloatInput("x", (6, 5, 3)),), (layer,), ("conv1",))
    x = rng.normal(2, 1, (200, 6, 5, 3))
    fine = quantize(model, x, code="ternary", method="layering")
    coarse = drop(fine, kept)
    inputs = quantize_input(fine, x)
    means = [run(network, inputs).mean(axis=(0, 1, 2)) for network in (fine, coarse, rebias(coarse, fine, x))]
    assert np.abs(means[1] - means[0]).max() > 50
    assert np.abs(means[2] - means[0]).max() < 1


def test_a_network_that_was_not_made_coarser_keeps_its_biases(whole):
    same = rebias(whole, whole, frames(20))
    for one, other in zip(convs(whole), convs(same), strict=True):
        assert (one.requant.add == other.requant.add).all()


def test_zeros_only():
    zeros = random_conv(np.random.default_rng(0), "dense", "x", (1, 1, 4), 3, (1, 1))
    zeros.weight[:] = 0
    model = FloatNetwork("n", (FloatInput("x", (1, 1, 4)),), (zeros,), ("dense",))
    network = quantize(model, np.ones((2, 1, 1, 4)), method="layering")
    assert not network.layers[0].codes.any()
    assert not drop(network, 1).layers[0].codes.any()


@pytest.mark.parametrize(
    ("method", "code", "words"),
    [
        ("layering", "e2m2", "a code of at most 4 bits, not the 5 of e2m2"),
        ("layering:terms=3", "e2m1", "1 to 2 terms of the 4 bits of e2m1, not 3"),
        ("layering:terms=5", "ternary", "1 to 4 terms of the 2 bits of ternary, not 5"),
    ],
)
def test_what_cannot_be_nested(float_network, method, code, words):
    with pytest.raises(HwgenError, match=words):
        quantize(float_network(0), np.zeros((1, 8, 9, 2)), code=code, method=method)


def test_a_code_without_a_name_cannot_be_found_again(float_network):
    book = explicit([0, 1, -1, 3], name="mine")
    with pytest.raises(HwgenError, match="a code that --code can name, not 'mine'; list its levels"):
        quantize(float_network(0), np.zeros((1, 8, 9, 2)), code=book, method="layering")
    listed = quantize(float_network(0), np.zeros((1, 8, 9, 2)), code="0,1,-1,3", method="layering")
    assert nesting_of(convs(drop(listed, 1))[0].codebook).base.levels == book.levels


@pytest.mark.parametrize("base", BASES, ids=lambda base: base.name)
def test_every_short_code_can_be_nested(float_network, base):
    x = np.random.default_rng(0).normal(0.3, 1, (20, 8, 9, 2))
    network = quantize(float_network(2), x, code=base, method="layering")
    short = drop(network, 1)
    inputs = quantize_input(network, x)
    for each in (network, short):
        assert (run(each, inputs) == dequantized(each, inputs)).all()


def test_what_cannot_be_dropped(whole, float_network):
    kept = max(nesting_of(layer.codebook).kept for layer in convs(whole))
    for terms in (0, kept):
        with pytest.raises(HwgenError, match=f"terms must be 1 to {kept - 1}, fewer than the {kept}"):
            drop(whole, terms)
    with pytest.raises(HwgenError, match="codes are not nested; quantize the model with `--method layering`"):
        drop(quantize(float_network(0), np.zeros((1, 8, 9, 2))), 1)
    with pytest.raises(HwgenError, match="holds but one term"):
        drop(drop(whole, 1), 1)


def test_a_layer_of_zeros_is_as_small_as_can_be_where_there_is_no_zero():
    case = problem(CODES["binary"])
    case.layer.weight[:] = 0
    coded = nested(case, 4, 4)
    assert coded.shift == MAX_SHIFT
    assert (coded.mul == MANTISSAS[0]).all()


def test_layers_in_another_code_say_that_they_are_not_nested(float_network):
    data = np.random.default_rng(0).integers(0, 256, (9, 8, 9, 2)).astype(np.uint8)
    network = quantize(float_network(0), data, code="pot3", method="layering", layer_codes={"conv2": "e2m1"})
    assert "conv2: not nested, in codes other than pot3." in network.notes
    assert [nesting_of(layer.codebook) is None for layer in network.layers if isinstance(layer, Conv)] == [
        layer.name == "conv2" for layer in network.layers if isinstance(layer, Conv)
    ]
    assert drop(network, 1).notes[-1] == "nested codes are cut down to the first 1 of 2 terms."
