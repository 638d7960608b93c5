from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from hwgen.codes import CODES, explicit
from hwgen.quantize import quantize
from hwgen.quantize.gram import measure
from hwgen.quantize.methods import Problem
from hwgen.quantize.methods.feedback import BLOCK, Feedback, Spread, feed_back
from hwgen.quantize.methods.plain import plain
from hwgen.quantize.methods.quadratic import Quadratic

from .problems import LAYERS, case, problem, real, variance_of_error


def fed(asked):
    """Error feedback alone: no other scales, no descent."""
    return Feedback(scales=0, passes=0).coder(None, None)(asked)


def definite(hessian):
    """``hessian`` (G, K, K) with a little on its diagonal."""
    return hessian + 0.01 * np.trace(hessian[0]) / len(hessian[0]) * np.eye(len(hessian[0]))


@pytest.mark.parametrize("code", sorted(CODES))
def test_independent_inputs_of_one_power_are_rounded_to_the_nearest(code):
    target = np.random.default_rng(0).standard_t(3, (3, 2 * BLOCK + 5, 4))
    scale = np.random.default_rng(1).uniform(0.1, 1.0, (3, 1, 4))
    identity = np.broadcast_to(np.eye(target.shape[1]), (3, target.shape[1], target.shape[1]))
    levels = feed_back(target, Spread.of(identity), scale, CODES[code])
    assert (levels == CODES[code].nearest(target / scale)).all()


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("code", ["e2m1", "pot3", "pot4", "int4", "ternary", "e2m2"])
def test_it_gains_over_plain_rounding(kind, code):
    layer, integers, pad, floats = case(kind)
    asked = problem(kind, CODES[code])
    coded = plain(asked), fed(asked)
    assert (coded[1].mul == coded[0].mul).all()
    before, after = (variance_of_error(layer, real(one), integers, pad, floats) for one in coded)
    # The damping is for data that is not there: on what is, a channel may lose a little.
    assert (after <= before * 1.02).all()
    assert after.sum() < before.sum()


@pytest.mark.parametrize("kind", ["dense", "grouped"])
def test_correlated_inputs_gain_by_a_factor(kind):
    """Four input channels of which two suffice: errors can be moved to where the output does not see them."""
    layer, integers, pad, floats = case(kind)
    asked = problem(kind, CODES["pot3"])
    before, after = (variance_of_error(layer, real(one), integers, pad, floats) for one in (plain(asked), fed(asked)))
    assert after.sum() < before.sum() / 2


def test_the_result_of_a_channel_or_group_does_not_depend_on_the_others():
    quadratic = Quadratic.of(problem("depthwise", CODES["e2m1"]))
    scale, book = np.full((4, 1, 2), 0.05), CODES["e2m1"]
    together = feed_back(quadratic.target, Spread.of(quadratic.hessian), scale, book)
    for group, channel in product(range(4), range(2)):
        one = slice(group, group + 1), slice(None), slice(channel, channel + 1)
        alone = feed_back(quadratic.target[one], Spread.of(quadratic.hessian[group : group + 1]), scale[one], book)
        assert (together[one] == alone).all()


def test_candidates_side_by_side_are_rounded_like_one_by_one():
    quadratic = Quadratic.of(problem("grouped", CODES["e2m1"]))
    scales = [np.full((2, 1, 2), value) for value in (0.03, 0.05)]
    both = feed_back(quadratic.target, Spread.of(quadratic.hessian), np.concatenate(scales, axis=2), CODES["e2m1"])
    alone = [feed_back(quadratic.target, Spread.of(quadratic.hessian), scale, CODES["e2m1"]) for scale in scales]
    assert (both == np.concatenate(alone, axis=2)).all()


@pytest.mark.parametrize("seed", range(10))
def test_small_case_lies_between_the_optimum_and_the_bound(seed):
    """All 17**4 choices of levels against the found one, and the found one against the worst case.

    U' U being the inverse of H, ``(q - t)' H (q - t)`` is the sum of ``(error_j / U[j, j])**2``, and no error that is
    rounded is more than half a step.
    """
    rng = np.random.default_rng(seed)
    book, step = explicit(range(-8, 9)), 0.5
    rows = rng.normal(0, 1, (30, 2)) @ rng.normal(0, 1, (2, 4)) + rng.normal(0, 0.5, (30, 4))
    hessian = definite((rows.T @ rows / 30)[None])
    target = rng.uniform(-1, 1, (1, 4, 1))

    def cost(levels):
        off = levels * step - target[0, :, 0]
        return np.einsum("...i,ij,...j->...", off, hessian[0], off)

    levels = feed_back(target, Spread.of(hessian), np.full((1, 1, 1), step), book)[0, :, 0]
    assert np.abs(levels).max() < book.max_level  # nothing was clipped
    optimum = cost(np.array(list(product(book.levels, repeat=4)))).min()
    order = np.argsort(-np.diag(hessian[0]), kind="stable")
    upper = np.linalg.cholesky(np.linalg.inv(hessian[0][np.ix_(order, order)])).T
    bound = np.square(step / 2 / np.diag(upper)).sum()
    assert optimum * (1 - 1e-9) <= cost(levels) <= bound


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 1, (2, 300, 150)) @ rng.normal(0, 1, (2, 150, 150))
    hessian = definite(rows.transpose(0, 2, 1) @ rows)
    target, scale = rng.normal(0, 1, (2, 150, 3)), np.full((2, 1, 3), 0.3)
    blocks = feed_back(target, Spread.of(hessian), scale, CODES["e2m1"])
    monkeypatch.setattr("hwgen.quantize.methods.feedback.BLOCK", 1000)
    assert (feed_back(target, Spread.of(hessian), scale, CODES["e2m1"]) == blocks).all()


def test_an_input_that_never_moves_is_rounded_plainly():
    layer, _, pad, _ = case("strided")
    layer, ones = replace(layer, pads=(0, 0, 0, 0)), np.ones((12, 8, 9, 4))
    integers, floats = 12345 * ones.astype(np.int32), 1234.5 * ones
    gram = measure(layer, 0.1, integers, pad, floats)
    assert not gram.hessian.any()
    asked = Problem(layer, CODES["e2m1"], 1.0, np.ones_like(layer.weight), lambda: gram, lambda count: None)
    assert (fed(asked).codes == plain(asked).codes).all()


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


def test_the_hessian_is_factorised_once_for_all_scales(monkeypatch):
    """However few scales fit into memory at a time."""
    asked, calls, of = problem("grouped", CODES["pot3"]), [], Spread.of
    whole = Feedback(scales=3).coder(None, None)(asked)
    monkeypatch.setattr("hwgen.quantize.methods.search.VALUES", 1)
    monkeypatch.setattr(Spread, "of", lambda hessian: calls.append(hessian) or of(hessian))
    one_by_one = Feedback(scales=3).coder(None, None)(asked)
    assert len(calls) == 1
    assert (one_by_one.codes == whole.codes).all()
