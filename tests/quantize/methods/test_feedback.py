from dataclasses import replace
from itertools import product
from math import inf

import numpy as np
import pytest

from hwgen.codes import CODES, explicit
from hwgen.errors import HwgenError
from hwgen.evaluate import evaluate as judge
from hwgen.floatnet import FloatConv, FloatInput, FloatNetwork
from hwgen.importers import load_model
from hwgen.lower import lower
from hwgen.quantize import gram as grams
from hwgen.quantize import quantize
from hwgen.quantize.gram import Gram, as_matrices, as_weight, measure
from hwgen.quantize.methods.feedback import BLOCK, corrected_target, damped, feed_back, with_feedback
from hwgen.quantize.scales import code_weights
from hwgen.reference.window import padded, patches

from ..conftest import random_conv

LAYERS = {
    "dense": (6, {}),
    "strided": (6, {"stride": (2, 1), "pads": (1, 1, 1, 0)}),
    "grouped": (4, {"groups": 2, "pads": (0, 2, 0, 0)}),
    "depthwise": (8, {"groups": 4, "dilation": (2, 2), "pads": (2, 2, 2, 2)}),
}
SCALE = 0.25


def case(kind, seed=0):
    """A layer, and inputs of it in float and quantized: (layer, integers, pad, floats).

    Two smooth maps, mixed into four channels, and a little noise: neighbours are correlated, and so are channels.
    """
    rng = np.random.default_rng(seed)
    outputs, rest = LAYERS[kind]
    layer = random_conv(rng, "conv1", "input", (8, 9, 4), outputs, (3, 3), clip=(0.0, inf), **rest)
    smooth = np.cumsum(rng.normal(0, 8, (12, 8, 9, 2)), axis=2)
    floats = (smooth @ rng.normal(0, 1, (2, 4)) + rng.normal(3, 2, (12, 8, 9, 4))).astype(np.float32)
    integers = np.rint((floats + rng.normal(0, 0.2, floats.shape)) / SCALE).astype(np.int32)
    return layer, integers, np.rint(layer.pad_value / SCALE).astype(np.int64), floats


def output(layer, levels_or_weight, x, pad_value):
    """The layer without bias and clip, group by group: (pixels, O)."""
    maps = padded(x.astype(float), layer.pads, pad_value)
    each, outputs = maps.shape[3] // layer.groups, len(layer.weight) // layer.groups
    results = []
    for group in range(layer.groups):
        rows = patches(
            np.ascontiguousarray(maps[..., group * each :][..., :each]), layer.kernel, layer.stride, layer.dilation
        )
        results.append(rows @ levels_or_weight[group * outputs :][:outputs].reshape(outputs, -1).T)
    return np.concatenate(results, axis=1)


def variance_of_error(layer, weight, integers, pad_value, floats):
    """Of the output per channel: the squared error that is left with the best bias."""
    quantized = output(layer, weight, SCALE * integers, SCALE * pad_value)
    return (quantized - output(layer, layer.weight, floats, layer.pad_value)).var(axis=0)


def quantized(layer, book, gram):
    plain = code_weights(layer.weight, book, 1.0)
    return plain, with_feedback(plain, layer.weight, book, layer.groups, gram)


def real(coded, book):
    return book.decode(coded.codes) * coded.weight_scale[:, None, None, None]


@pytest.mark.parametrize("code", sorted(CODES))
def test_independent_inputs_of_one_power_are_rounded_to_the_nearest(code):
    target = np.random.default_rng(0).standard_t(3, (3, 2 * BLOCK + 5, 4))
    scale = np.random.default_rng(1).uniform(0.1, 1.0, (3, 1, 4))
    identity = np.broadcast_to(np.eye(target.shape[1]), (3, target.shape[1], target.shape[1]))
    levels = feed_back(target, identity, scale, CODES[code])
    assert (levels == CODES[code].nearest(target / scale)).all()


@pytest.mark.parametrize("kind", LAYERS)
def test_the_moments_give_the_error_of_any_weights(kind):
    layer, integers, pad, floats = case(kind)
    gram = measure(layer, SCALE, integers, pad, floats)
    rng = np.random.default_rng(1)
    some, other = (layer.weight + rng.normal(0, 0.1, layer.weight.shape) for _ in range(2))
    excess = [gram.excess(as_matrices(weight, layer.groups)).ravel() for weight in (some, other)]
    errors = [variance_of_error(layer, weight, integers, pad, floats) for weight in (some, other)]
    assert excess[0] - excess[1] == pytest.approx(errors[0] - errors[1], rel=1e-6, abs=1e-9)


def test_the_moments_do_not_depend_on_the_batches(monkeypatch):
    layer, integers, pad, floats = case("grouped")
    whole = measure(layer, SCALE, integers, pad, floats)
    monkeypatch.setattr(grams, "VALUES", 1)
    one_by_one = measure(layer, SCALE, integers, pad, floats)
    assert one_by_one.hessian == pytest.approx(whole.hessian)
    assert one_by_one.cross == pytest.approx(whole.cross)


def test_a_sample_of_the_pixels_stands_for_all(monkeypatch):
    layer, integers, pad, floats = case("dense")
    whole = measure(layer, SCALE, integers, pad, floats)
    monkeypatch.setattr(grams, "ROWS", 400)
    part, again = (measure(layer, SCALE, integers, pad, floats) for _ in range(2))
    assert (part.hessian == again.hessian).all()
    assert (part.hessian != whole.hessian).any()
    assert np.trace(part.hessian[0]) == pytest.approx(np.trace(whole.hessian[0]), rel=0.2)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("code", sorted(CODES))
def test_no_channel_is_worse_than_plain_rounding(kind, code):
    gained = 0
    for seed in range(3):
        layer, integers, pad, floats = case(kind, seed)
        plain, better = quantized(layer, CODES[code], measure(layer, SCALE, integers, pad, floats))
        assert (better.mul == plain.mul).all()
        before, after = (
            variance_of_error(layer, real(coded, CODES[code]), integers, pad, floats) for coded in (plain, better)
        )
        assert (after <= before * (1 + 1e-9)).all()
        gained += (after < before).sum()
    assert gained


@pytest.mark.parametrize("kind", ["dense", "grouped"])
def test_correlated_inputs_gain_by_a_factor(kind):
    """Four input channels of which two suffice: errors can be moved to where the output does not see them."""
    layer, integers, pad, floats = case(kind)
    plain, better = quantized(layer, CODES["pot3"], measure(layer, SCALE, integers, pad, floats))
    before, after = (
        variance_of_error(layer, real(coded, CODES["pot3"]), integers, pad, floats) for coded in (plain, better)
    )
    assert after.sum() < before.sum() / 2


def test_the_result_of_a_channel_or_group_does_not_depend_on_the_others():
    layer, integers, pad, floats = case("depthwise")
    gram = measure(layer, SCALE, integers, pad, floats)
    scale, book = np.full((4, 1, 2), 0.05), CODES["e2m1"]
    hessian, damping = damped(gram.hessian)
    target = corrected_target(as_matrices(layer.weight, 4), hessian, damping, gram.cross)
    together = feed_back(target, hessian, scale, book)
    for group, channel in product(range(4), range(2)):
        one = slice(group, group + 1), slice(None), slice(channel, channel + 1)
        alone = feed_back(target[one], hessian[group : group + 1], scale[one], book)
        assert (together[one] == alone).all()


@pytest.mark.parametrize("seed", range(10))
def test_small_case_lies_between_the_optimum_and_the_bound(seed):
    """All 17**4 choices of levels against the found one, and the found one against the worst case.

    U' U being the inverse of H, ``(q - t)' H (q - t)`` is the sum of ``(error_j / U[j, j])**2``, and no error that is
    rounded is more than half a step.
    """
    rng = np.random.default_rng(seed)
    book, step = explicit(range(-8, 9)), 0.5
    rows = rng.normal(0, 1, (30, 2)) @ rng.normal(0, 1, (2, 4)) + rng.normal(0, 0.5, (30, 4))
    hessian, _ = damped((rows.T @ rows / 30)[None])
    target = rng.uniform(-1, 1, (1, 4, 1))

    def cost(levels):
        off = levels * step - target[0, :, 0]
        return np.einsum("...i,ij,...j->...", off, hessian[0], off)

    levels = feed_back(target, hessian, np.full((1, 1, 1), step), book)[0, :, 0]
    assert np.abs(levels).max() < book.max_level  # nothing was clipped
    optimum = cost(np.array(list(product(book.levels, repeat=4)))).min()
    order = np.argsort(-np.diag(hessian[0]), kind="stable")
    upper = np.linalg.cholesky(np.linalg.inv(hessian[0][np.ix_(order, order)])).T
    bound = np.square(step / 2 / np.diag(upper)).sum()
    assert optimum * (1 - 1e-9) <= cost(levels) <= bound


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 1, (2, 300, 150)) @ rng.normal(0, 1, (2, 150, 150))
    hessian, _ = damped(rows.transpose(0, 2, 1) @ rows)
    target, scale = rng.normal(0, 1, (2, 150, 3)), np.full((2, 1, 3), 0.3)
    blocks = feed_back(target, hessian, scale, CODES["e2m1"])
    monkeypatch.setattr("hwgen.quantize.methods.feedback.BLOCK", 1000)
    assert (feed_back(target, hessian, scale, CODES["e2m1"]) == blocks).all()


def test_the_target_is_corrected_for_what_the_input_lost():
    """The quantized input is half the float one: the best weights are twice the float ones."""
    layer, _, pad, _ = case("dense")
    floats = np.random.default_rng(0).normal(0, 64, (12, 8, 9, 4))
    gram = measure(layer, 1.0, np.rint(floats / 2).astype(np.int32), pad, floats)
    weight = as_matrices(layer.weight, 1)
    target = corrected_target(weight, *damped(gram.hessian), gram.cross)
    assert target == pytest.approx(2 * weight, rel=0.05, abs=0.02)


def test_fewer_pixels_than_frames(monkeypatch):
    layer, integers, pad, floats = case("depthwise")
    monkeypatch.setattr(grams, "ROWS", 5)
    few = measure(layer, SCALE, integers, pad, floats)
    monkeypatch.setattr(grams, "VALUES", 1)
    assert measure(layer, SCALE, integers, pad, floats).hessian == pytest.approx(few.hessian)
    assert all(np.linalg.matrix_rank(part) == 4 for part in few.hessian)  # five points span four directions


def test_an_input_that_never_moves_is_rounded_plainly():
    layer, _, pad, _ = case("strided")
    layer, ones = replace(layer, pads=(0, 0, 0, 0)), np.ones((12, 8, 9, 4))
    gram = measure(layer, 0.1, 12345 * ones.astype(np.int32), pad, 1234.5 * ones)
    assert not gram.hessian.any()
    plain, better = quantized(layer, CODES["e2m1"], gram)
    assert (plain.codes == better.codes).all()


def test_matrices_and_weights_are_each_others_inverse():
    weight = np.random.default_rng(0).integers(-9, 9, (6, 3, 2, 4))
    assert (as_weight(as_matrices(weight, 2).astype(np.int64), weight.shape) == weight).all()


def test_the_excess_is_zero_at_zero_weights():
    gram = Gram(np.eye(3)[None], np.eye(3)[None], np.ones((1, 3, 2)))
    assert (gram.excess(np.zeros((1, 3, 2))) == 0).all()
    assert (gram.excess(np.ones((1, 3, 2))) == 3 - 2 * 3).all()


def test_a_whole_graph_is_reproducible_and_differs_from_plain(float_graph):
    rng = np.random.default_rng(0)
    data = {"left": rng.normal(0, 1, (20, 8, 9, 2)), "right": rng.normal(0, 1, (20, 8, 9, 3))}
    plain, one, two = (
        quantize(float_graph(0), data, code="pot3", method=method) for method in ("plain", "feedback", "feedback")
    )
    weights = [[layer.codes for layer in net.layers if hasattr(layer, "codes")] for net in (plain, one, two)]
    assert all((a == b).all() for a, b in zip(weights[1], weights[2], strict=True))
    assert any((a != b).any() for a, b in zip(weights[0], weights[1], strict=True))


@pytest.mark.parametrize("count", [1, 3])
def test_very_little_data_will_do(float_network, count):
    data = np.random.default_rng(0).normal(100, 1, (count, 8, 9, 2))
    network = quantize(float_network(0), data, method="feedback")
    assert [layer.name for layer in network.layers] == ["conv1", "pool1", "conv2", "pool2", "dense"]


def test_an_unknown_method_is_one_sentence(float_network):
    with pytest.raises(HwgenError, match=r"no quantization method 'best'; choose one of plain, feedback$"):
        quantize(float_network(0), np.zeros((1, 8, 9, 2)), method="best")


@pytest.mark.slow
def test_resnet8_in_four_bits_stays_near_float(real_data):
    model = lower(load_model(real_data / "mlperf-tiny" / "resnet8.onnx"))
    with np.load(real_data / "cifar10" / "cifar10_jpeg_train_first200perclass.npz") as data:
        calibration = data["x"][:: len(data["x"]) // 256][:256]
    with np.load(real_data / "cifar10" / "cifar10_jpeg_test_first500perclass.npz") as data:
        images, labels = data["x"][::10], data["y"][::10]
    plain, feedback = (
        judge(model, quantize(model, calibration, method=method), images, labels) for method in ("plain", "feedback")
    )
    assert feedback["float_accuracy"] > 0.75
    assert plain["accuracy"] < feedback["float_accuracy"] - 0.03
    assert feedback["accuracy"] >= feedback["float_accuracy"] - 0.03


def test_layers_with_too_many_inputs_are_named_and_rounded_plainly(monkeypatch):
    monkeypatch.setattr("hwgen.quantize.methods.feedback.MAX_INPUTS", 8)
    rng = np.random.default_rng(0)
    shape = (1, 1, 9)
    model = FloatConv("dense", "x", rng.normal(0, 1, (4, 1, 1, 9)), np.zeros(4), shape, np.zeros(9))
    network = FloatNetwork("n", (FloatInput("x", shape),), (model,), ("dense",))
    pixels = rng.integers(0, 256, (50, *shape)).astype(np.uint8)
    plain, fed = (quantize(network, pixels, method=method) for method in ("plain", "feedback"))
    assert np.array_equal(plain.layers[0].codes, fed.layers[0].codes)
    assert any(note.startswith("dense: plainly rounded") for note in fed.notes)
    assert plain.notes == ()
