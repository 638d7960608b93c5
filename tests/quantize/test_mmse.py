"""The best free scales, alone and of sums of tensors."""

from itertools import pairwise
from math import log10

import numpy as np
import pytest

from hwgen.codes import CODES, explicit
from hwgen.quantize.mmse import best_scale, decompose
from hwgen.quantize.mse import SortedValues

LOPSIDED = explicit([0, 1, 2, 5, -3])


def gauss(count=20_000, seed=0):
    return np.random.default_rng(seed).normal(0, 1, count)


def error(values, book, scale, importance):
    return (importance * np.square(values - scale * book.nearest(values / scale))).sum()


@pytest.mark.parametrize("book", [*CODES.values(), LOPSIDED], ids=lambda book: book.name)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_scale_is_the_best_of_ten_thousand(book, weighted):
    rng = np.random.default_rng(1)
    values = rng.standard_t(4, 300)
    importance = rng.uniform(0.1, 3, 300) if weighted else np.ones(300)
    found = error(values, book, best_scale(values, book, importance if weighted else None), importance)
    top = np.abs(values).max() / book.max_level
    grid = np.geomspace(top / 50, 2 * top, 10_000)
    energy = importance @ values**2
    brute = min(error(values, book, scale, importance) for scale in grid[::25])
    # The whole grid at once, by running totals; every 25th point of it one by one.
    whole = SortedValues(values, importance).squared_error(book.sorted_levels, grid).min()
    assert found <= min(brute, whole) + 1e-12 * energy
    assert whole - found <= 1e-6 * energy
    assert found <= error(values, book, top, importance)


@pytest.mark.parametrize(
    ("values", "scale"), [([0.0, 0.0], 1.0), ([0.75], 0.75 / 12), ([-3.0], 0.25), ([2.0, -1.0, 0.0], 0.25)]
)
def test_small_cases(values, scale):
    """An exact fit, at the largest scale that makes it; zeros need none."""
    book = CODES["e2m1"]
    found = best_scale(values, book)
    assert np.allclose(found * book.nearest(np.array(values) / found), values)
    assert found >= scale * (1 - 1e-9)


def decibels(values, scales, levels):
    left = values - np.tensordot(scales, levels, 1)
    return 10 * log10(np.square(values).sum() / np.square(left).sum())


@pytest.mark.parametrize(
    ("code", "expected"), [("int4", (18.9, 30.5)), ("pot4", (14.2, 30.0, 45.6))], ids=["int4", "pot4"]
)
def test_greedy_tensors_of_gaussian_values(code, expected):
    values = gauss(200_000)
    for count, wanted in enumerate(expected, 1):
        assert decibels(values, *decompose(values, CODES[code], count, search=False)) == pytest.approx(wanted, abs=0.3)


@pytest.mark.parametrize(("code", "gain"), [("int4", 8), ("pot4", 0), ("e2m1", 2), ("pot3", 1.5)])
def test_the_search_for_the_first_scale_gains(code, gain):
    values = gauss()
    searched, greedy = (decibels(values, *decompose(values, CODES[code], 2, search=s)) for s in (True, False))
    assert searched >= greedy + gain


@pytest.mark.parametrize("book", [CODES["e2m1"], CODES["pot3"], CODES["ternary"], CODES["binary"], LOPSIDED], ids=str)
@pytest.mark.parametrize("search", [False, True])
def test_the_error_does_not_grow_with_the_tensors(book, search):
    rng = np.random.default_rng(2)
    values, importance = rng.laplace(0, 1, (40, 10)), rng.uniform(0, 2, (40, 10))
    errors = []
    for count in (1, 2, 3, 4):
        scales, levels = decompose(values, book, count, importance, search=search)
        assert levels.shape == (count, 40, 10)
        assert np.isin(levels, book.levels).all()
        errors.append((importance * np.square(values - np.tensordot(scales, levels, 1))).sum())
    assert all(after < before for before, after in pairwise(errors))


def test_zeros_are_zeros_in_any_number_of_tensors():
    _, levels = decompose(np.zeros((2, 3)), CODES["pot4"], 3)
    assert not levels.any()
