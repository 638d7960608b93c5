from dataclasses import replace

import numpy as np
import pytest

from hwgen.quantize import gram as grams
from hwgen.quantize.gram import Gram, as_matrices, as_weight, measure

from .methods.problems import LAYERS, SCALE, case, variance_of_error


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


def test_fewer_pixels_than_frames(monkeypatch):
    layer, integers, pad, floats = case("depthwise")
    monkeypatch.setattr(grams, "ROWS", 5)
    few = measure(layer, SCALE, integers, pad, floats)
    monkeypatch.setattr(grams, "VALUES", 1)
    assert measure(layer, SCALE, integers, pad, floats).hessian == pytest.approx(few.hessian)
    assert all(np.linalg.matrix_rank(part) == 4 for part in few.hessian)  # five points span four directions


def test_matrices_and_weights_are_each_others_inverse():
    weight = np.random.default_rng(0).integers(-9, 9, (6, 3, 2, 4))
    assert (as_weight(as_matrices(weight, 2).astype(np.int64), weight.shape) == weight).all()


def test_the_excess_is_zero_at_zero_weights():
    gram = Gram(np.eye(3)[None], np.eye(3)[None], np.ones((1, 3, 2)))
    assert (gram.excess(np.zeros((1, 3, 2))) == 0).all()
    assert (gram.excess(np.ones((1, 3, 2))) == 3 - 2 * 3).all()


@pytest.mark.parametrize("kind", LAYERS)
def test_the_output_moments_are_those_of_the_inputs_times_the_weights(kind):
    layer, integers, pad, floats = case(kind)
    gram = measure(layer, SCALE, integers, pad, floats)
    assert gram.cross == pytest.approx(gram.between @ as_matrices(layer.weight, layer.groups))
    aligned = replace(layer, pad_value=SCALE * pad)
    same = measure(aligned, SCALE, integers, pad, SCALE * integers)
    assert same.between == pytest.approx(same.hessian)
