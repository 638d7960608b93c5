import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.codes import CODES
from hwgen.quantize.mse import SortedValues


def brute(values, importance, book, scale):
    quantized = scale * book.nearest(np.asarray(values) / scale)
    return float((importance * (values - quantized) ** 2).sum())


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1 << 32), st.sampled_from(sorted(CODES)))
def test_equals_quantizing_every_value(seed, code):
    rng = np.random.default_rng(seed)
    values = rng.standard_t(3, 50) * 10 ** rng.uniform(-6, 6)
    importance = rng.uniform(0, 2, 50)
    scales = np.abs(values).max() / CODES[code].max_level * np.geomspace(0.01, 100, 40)
    fast = SortedValues(values, importance).squared_error(CODES[code].sorted_levels, scales)
    slow = [brute(values, importance, CODES[code], scale) for scale in scales]
    energy = float(importance @ values**2)
    assert fast == pytest.approx(slow, rel=1e-9, abs=1e-12 * energy)


def test_importance_one_is_the_default():
    values = np.random.default_rng(0).normal(0, 1, (3, 4))
    plain, weighted = SortedValues(values), SortedValues(values, np.ones((3, 4)))
    levels = CODES["e2m1"].sorted_levels
    assert plain.squared_error(levels, [0.1, 0.2]).tolist() == weighted.squared_error(levels, [0.1, 0.2]).tolist()
    assert plain.energy == pytest.approx(float((values**2).sum()))
    assert plain.peak == float(np.abs(values).max())


def test_an_exact_fit_is_never_negative():
    book = CODES["e2m1"]
    values = 0.1 * book.sorted_levels
    error = SortedValues(values).squared_error(book.sorted_levels, [0.1])
    assert 0 <= error[0] <= 1e-15 * float(values @ values)


def test_no_values_have_no_error():
    empty = SortedValues([])
    assert empty.peak == 0
    assert empty.squared_error(CODES["e2m1"].sorted_levels, [1.0]).tolist() == [0]


@pytest.mark.parametrize(
    ("code", "decibels"), [("e2m1", 18.96), ("pot3", 13.21), ("pot4", 14.22), ("int4", 18.87), ("apot4", 19.15)]
)
def test_gaussian_values_reach_the_known_quality(code, decibels):
    """The best real scale on Gaussian values gives each code its known signal to noise ratio."""
    values = SortedValues(np.random.default_rng(0).normal(0, 1, 200_000))
    book = CODES[code]
    errors = values.squared_error(book.sorted_levels, np.geomspace(0.5, 8, 400) / book.max_level)
    assert 10 * np.log10(values.energy / errors.min()) == pytest.approx(decibels, abs=0.06)
