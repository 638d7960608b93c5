from itertools import product

import numpy as np
import pytest

from hwgen.codes import CODES, explicit
from hwgen.quantize.gram import as_matrices, measure
from hwgen.quantize.methods.plain import plain
from hwgen.quantize.methods.quadratic import Quadratic

from .problems import LAYERS, case, problem, real


@pytest.mark.parametrize("kind", LAYERS)
def test_the_target_is_the_minimum_and_the_error_grows_as_a_square_around_it(kind):
    quadratic = Quadratic.of(problem(kind, CODES["e2m1"]))
    least = quadratic.error(quadratic.target)
    step = np.random.default_rng(0).normal(0, 1, quadratic.target.shape)
    once, twice = (quadratic.error(quadratic.target + factor * step) - least for factor in (1, 2))
    assert (once > 0).all()
    assert twice == pytest.approx(4 * once)


def test_the_target_is_corrected_for_what_the_input_lost():
    """The quantized input is half the float one: the best weights are twice the float ones."""
    layer, _, pad, _ = case("dense")
    floats = np.random.default_rng(0).normal(0, 64, (12, 8, 9, 4))
    gram = measure(layer, 1.0, np.rint(floats / 2).astype(np.int32), pad, floats)
    weight = as_matrices(layer.weight, 1)
    assert Quadratic.between(gram, weight).target == pytest.approx(2 * weight, rel=0.05, abs=0.02)


def test_candidates_side_by_side_are_judged_like_one_by_one():
    quadratic = Quadratic.of(problem("grouped", CODES["e2m1"]))
    some, other = np.random.default_rng(0).normal(0, 1, (2, *quadratic.target.shape))
    both = quadratic.error(np.concatenate([some, other], axis=2))
    assert both == pytest.approx(np.concatenate([quadratic.error(some), quadratic.error(other)], axis=1))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("code", ["pot3", "e2m1", "ternary", "e2m1-nozero"])
def test_descent_never_rises_and_ends_where_no_single_weight_helps(kind, code):
    asked = problem(kind, CODES[code])
    coded, quadratic, book = plain(asked), Quadratic.of(asked), CODES[code]
    scale = coded.weight_scale.reshape(asked.layer.groups, 1, -1)
    levels = as_matrices(book.decode(coded.codes), asked.layer.groups).astype(np.int64)
    errors = [quadratic.error(levels * scale)]
    for _ in range(50):
        better = quadratic.descend(levels, scale, book, 1)
        errors.append(quadratic.error(better * scale))
        assert (errors[-1] <= errors[-2] + 1e-9 * np.abs(errors[-2])).all()
        if (better == levels).all():
            break
        levels = better
    assert (levels == quadratic.descend(levels, scale, book, 5)).all()
    assert (errors[-1] < errors[0]).any()
    for k, level in product(range(levels.shape[1]), book.sorted_levels):
        other = levels.copy()
        other[:, k] = level
        assert (quadratic.error(other * scale) >= errors[-1] - 1e-9 * np.abs(errors[-1])).all()


def test_an_input_that_never_moved_keeps_the_float_weights_as_target():
    hessian = np.zeros((1, 3, 3))
    gram = type("Gram", (), {"hessian": hessian, "cross": np.zeros((1, 3, 2))})
    weight = np.random.default_rng(0).normal(0, 1, (1, 3, 2))
    assert Quadratic.between(gram, weight).target == pytest.approx(weight)


def test_independent_inputs_need_no_descent():
    quadratic = Quadratic(np.eye(4)[None], np.random.default_rng(0).uniform(-5, 5, (1, 4, 3)))
    scale, book = np.full((1, 1, 3), 0.5), explicit(range(-8, 9))
    nearest = book.nearest(quadratic.target / scale)
    assert (quadratic.descend(np.zeros((1, 4, 3), np.int64), scale, book, 1) == nearest).all()


def test_plain_rounding_is_judged_as_the_output_sees_it():
    asked = problem("strided", CODES["pot3"])
    quadratic = Quadratic.of(asked)
    exact, rounded = (as_matrices(w, 1) for w in (asked.weight, real(plain(asked))))
    assert (quadratic.error(exact) < quadratic.error(rounded)).all()
