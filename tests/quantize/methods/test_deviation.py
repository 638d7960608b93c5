"""Clipping and pruning by the standard deviation."""

from math import erf, sqrt

import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.errors import HwgenError
from hwgen.quantize import quantize
from hwgen.quantize.methods.deviation import Deviation, default_clip, prune_limits, pruned, sigma_of
from hwgen.quantize.methods.saturation import DENSITIES, optimal_clip
from hwgen.quantize.requant import KMAX

from .common import check_network, convs, frames, real, single_network, weights_only, wide_network, zero_network
from .problems import case


@pytest.mark.parametrize("k", [0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("code", ["pot3", "pot4", "e2m1"])
def test_the_share_that_is_pruned_is_that_of_a_gaussian(k, code):
    weight = np.random.default_rng(0).normal(0, 0.07, (1, 1, 1, 1_000_000))
    levels = pruned(weight, 3 * 0.07 / CODES[code].max_level, k * sigma_of(weight.reshape(1, -1)), CODES[code])
    assert (levels == 0).mean() == pytest.approx(erf(k / sqrt(2)), abs=0.002)


@pytest.mark.parametrize("factor", [0.37, 5.9, 1e-6])
@pytest.mark.parametrize("code", ["pot3", "e2m1", "apot4"])
def test_a_factor_of_the_weights_is_one_of_the_result(factor, code):
    weight = np.random.default_rng(0).standard_t(4, (5, 3, 3, 8))
    book = CODES[code]

    def quantized(w):
        sigma = sigma_of(w.reshape(5, -1)).reshape(5, 1, 1, 1)
        scale = 2.5 * sigma / book.max_level
        return scale * pruned(w, scale, 0.3 * sigma, book)

    assert quantized(factor * weight) == pytest.approx(factor * quantized(weight), rel=1e-12)


@pytest.mark.parametrize("prune", [None, "0.5", "30%"])
@pytest.mark.parametrize("per", ["channel", "layer"])
def test_on_the_grid_it_is_so_for_powers_of_two(prune, per):
    layer = case("grouped")[0]
    method = Deviation(prune=prune, per=per)
    once = method.code(weights_only(layer, CODES["e2m1"]))
    layer.weight[:] *= 8
    eightfold = method.code(weights_only(layer, CODES["e2m1"]))
    assert (once.codes == eightfold.codes).all()
    assert (8 * once.weight_scale == eightfold.weight_scale).all()


def test_weights_that_are_left_are_not_zero_and_at_the_nearest_level():
    book = CODES["e2m1"]
    weight = np.array([0.04, 0.06, -0.06, 0.2, 1.9, 2.1, 99, 0.0])
    assert pruned(weight, 1.0, 0.05, book).tolist() == [0, 1, -1, 1, 2, 2, 12, 0]
    assert pruned(weight, 1.0, 2.0, book).tolist() == [0, 0, 0, 0, 0, 2, 12, 0]
    assert pruned(weight, 1.0, 0.0, book).tolist() == [1, 1, -1, 1, 2, 2, 12, 0]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9])
def test_a_share_is_kept_whatever_the_density(share):
    rows = np.random.default_rng(0).standard_t(2, (4, 200))
    limits = prune_limits(rows, share)
    assert ((np.abs(rows) < limits[:, None]).sum(axis=1) == round(200 * share)).all()
    assert (np.abs(rows[:, :1]) >= prune_limits(rows[:, :1], share)[:, None]).all()  # one weight alone stays


@pytest.mark.parametrize("per", ["channel", "layer"])
def test_a_share_of_every_layer_of_a_network(per):
    model = wide_network(0, tail=3)
    network = quantize(model, frames(model, 20, 0), code="pot4", method=f"deviation:prune=50%,per={per}")
    for conv, layer in zip(convs(network), model.layers, strict=True):
        zeros = (conv.codebook.decode(conv.codes) == 0).reshape(len(conv.codes), -1)
        if per == "layer":
            assert zeros.mean() == pytest.approx(0.5, abs=0.5 / zeros.shape[1] + 0.04)
        else:
            counts = zeros.sum(axis=1)[layer.weight.any(axis=(1, 2, 3))]
            assert set(counts.tolist()) <= {zeros.shape[1] // 2, -(-zeros.shape[1] // 2)}


@pytest.mark.parametrize("code", ["pot3", "pot4", "e2m1", "int4"])
def test_the_default_clip_is_the_best_for_a_gaussian(code):
    book = CODES[code]
    assert default_clip(book) == optimal_clip(book.sorted_levels, DENSITIES["gauss"])[0]
    sample = np.random.default_rng(0).normal(0, 1, 40_000)
    for k in (0.4, 1.0):

        def error(clip, k=k):
            scale = clip / book.max_level
            return np.square(sample - scale * pruned(sample, scale, k, book)).mean()

        best = default_clip(book, k, True)
        assert error(best) <= min(error(best * factor) for factor in (0.7, 0.8, 0.9, 1.1, 1.2, 1.3)) * 1.005


def test_a_clip_of_ones_own():
    layer = case("dense")[0]
    coded = Deviation(clip=2.0).code(weights_only(layer, CODES["e2m1"]))
    wanted = 2.0 * sigma_of(layer.weight.reshape(6, -1)) / 12
    assert np.abs(np.log(coded.weight_scale / wanted)).max() < np.log(1.09)
    shared = Deviation(clip=2.0, per="layer").code(weights_only(layer, CODES["e2m1"]))
    assert len(set(shared.weight_scale.tolist())) == 1


@pytest.mark.parametrize("code", ["pot3", "e2m1", "e2m2"])
@pytest.mark.parametrize("options", ["", ":prune=0.3,per=layer", ":clip=2.5,prune=40%"])
def test_whole_networks(float_network, float_graph, code, options):
    for model in (float_network(0), float_graph(1)):
        check_network(model, f"deviation{options}", code)


def test_a_code_without_zero_is_clipped_only(float_network):
    check_network(float_network(1), "deviation", "pot3-nozero")
    with pytest.raises(HwgenError, match="weights cannot be pruned in pot3-nozero, a code without zero"):
        check_network(float_network(1), "deviation:prune=1", "pot3-nozero")


@pytest.mark.parametrize("options", ["", ":prune=0.3", ":prune=50%"])
def test_one_weight_and_none(options):
    for weight in (0.3, -2.0):
        (found,) = real(quantize(single_network(weight), np.ones((4, 1, 1, 1)), method=f"deviation{options}"))
        assert found.item() == pytest.approx(weight, rel=0.25)
    assert not any(w.any() for w in real(check_network(zero_network(), f"deviation{options}", "e2m1")))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("prune=100%", "prune must be a number of standard deviations or a share below 100%, not '100%'"),
        ("prune=-1", "prune must be a number"),
        ("prune=few", "prune must be a number"),
        ("prune=nan", "prune must be a number"),
    ],
)
def test_a_wrong_option_is_one_sentence(float_network, options, words):
    with pytest.raises(HwgenError, match=words):
        quantize(float_network(0), np.zeros((1, 8, 9, 2)), method=f"deviation:{options}")


def test_a_channel_of_zeros_is_as_small_as_can_be_where_there_is_no_zero():
    """The layer's scale would make it as large as the other channels."""
    model = wide_network(0)
    body = convs(quantize(model, frames(model, 9, 0), code="pot3-nozero", method="deviation:per=layer"))[1]
    dead, *others = body.weight_scale[[2, 0, 1, 3]]
    assert len(set(others)) == 1
    assert dead <= others[0] / 2**KMAX
