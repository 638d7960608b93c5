import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.interval import Interval
from hwgen.quantize.activations import best_scale
from hwgen.quantize.kl import divergence, kl_scale

INT8, UINT8, INT4, UINT4 = (
    Interval.of_bits(8, signed=True),
    Interval.of_bits(8, signed=False),
    Interval.of_bits(4, signed=True),
    Interval.of_bits(4, signed=False),
)

histograms = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=30)


def draws(shape, seed=0, count=100_000):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(count) if shape == "gauss" else rng.laplace(size=count)


@settings(deadline=None)
@given(histograms, st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_the_divergence_does_not_depend_on_the_sizes_of_the_samples(pairs, a, b):
    p, q = np.array(pairs).T
    keep = (p == 0) | (p > 1e-6), (q == 0) | (q > 1e-6)
    p, q = np.where(keep[0], p, 0), np.where(keep[1], q, 0)
    found = divergence(p, q)
    assert divergence(a * p, b * q) == pytest.approx(found, rel=1e-9, abs=1e-9)
    assert found >= -1e-9
    assert found == divergence(np.append(p, [0, 5]), np.append(q, [7, 0]))


def test_the_divergence_of_known_histograms():
    assert divergence([1, 1], [3, 1]) == pytest.approx(0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25))
    assert divergence([2, 4, 6], [1, 2, 3]) == pytest.approx(0)
    assert divergence([1, 0], [0, 1]) == np.inf
    p, q = np.array([3.0, 1, 4, 1, 5]), np.array([2.0, 7, 1, 8, 2])
    paper = (p * (np.log(q * p.sum()) - np.log(p * q.sum()))).sum() / p.sum()
    assert divergence(p, q) == pytest.approx(-paper)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1 << 32), st.integers(2, 8), st.booleans(), st.integers(-20, 20))
def test_the_scale_goes_with_the_values(seed, bits, signed, exponent):
    interval = Interval.of_bits(bits, signed=signed)
    values = np.random.default_rng(seed).standard_t(4, 3000)
    peak = float(np.abs(values).max())
    found = kl_scale(values, interval, peak)
    assert kl_scale(values * 2.0**exponent, interval, peak * 2.0**exponent) == found * 2.0**exponent
    assert kl_scale(-values[::-1], interval, peak) == found or not signed
    assert peak / interval.hi / 32 * 0.999 <= found <= peak / interval.hi


@pytest.mark.parametrize("interval", [INT8, UINT8, INT4, UINT4])
@pytest.mark.parametrize("shape", ["gauss", "laplace"])
def test_near_the_scale_of_least_squares(shape, interval):
    values = draws(shape)
    values = values if interval.lo else np.maximum(values, 0)
    peak = float(np.abs(values).max())
    assert 0.5 <= kl_scale(values, interval, peak) / best_scale(values, interval, peak) <= 2


@pytest.mark.parametrize("interval", [INT8, UINT8, INT4, UINT4])
@pytest.mark.parametrize("shape", ["gauss", "laplace"])
@pytest.mark.parametrize("far", [20, 40])
def test_a_few_outliers_do_not_move_it(shape, interval, far):
    """Ten of 100,000 values, far out: the scale stays near the best one of all others, which least squares leaves."""
    values = draws(shape)
    values = values if interval.lo else np.maximum(values, 0)
    clean = best_scale(values, interval, float(np.abs(values).max()))
    values[:10] = far * np.linspace(0.8, 1, 10)
    assert 0.5 <= kl_scale(values, interval, far) / clean <= 2


def test_least_squares_is_moved_by_the_same_outliers():
    values = draws("gauss")
    clean = best_scale(values, INT8, float(np.abs(values).max()))
    values[:10] = 40 * np.linspace(0.8, 1, 10)
    assert best_scale(values, INT8, 40.0) > 4 * clean


def test_zeros_do_not_count():
    values = np.maximum(draws("gauss"), 0)
    peak = float(values.max())
    assert kl_scale(values, UINT8, peak) == kl_scale(values[values > 0], UINT8, peak)


def test_no_value_and_no_peak():
    assert kl_scale(np.zeros(10), UINT8, 0.0) == 1.0
    assert kl_scale([], INT8, 0.0) == 1.0
    assert kl_scale(np.zeros(10), UINT8, 3.0) == 3.0 / 255
    assert kl_scale([-1.0, -2.0], UINT8, 2.0) == 2.0 / 255


@pytest.mark.parametrize("values", [[5.0], [1.0, 100.0], [-3.0, 3.0, 3.0], [0.0, 1e-300, 1e300], np.arange(1, 8.0)])
@pytest.mark.parametrize("interval", [INT8, UINT8, INT4])
def test_few_distinct_values_are_not_clipped(values, interval):
    """Each has a bin and an integer of its own, so that the unclipped scale loses nothing."""
    peak = float(np.abs(values).max())
    assert kl_scale(values, interval, peak) == peak / interval.hi


def test_a_value_far_from_all_others_is_not_forgotten_for_the_empty_bins_before_it():
    """Clipped, they count in the last bin that is not empty: a quarter of all values in a wrong place."""
    values = np.concatenate([np.linspace(0.9, 1.1, 300), np.full(100, 40.0)])
    assert kl_scale(values, UINT8, 40.0) > 0.9 * 40 / 255


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.integers(2, 8), st.booleans())
def test_always_a_positive_number(values, bits, signed):
    interval = Interval.of_bits(bits, signed=signed)
    peak = float(np.abs(values).max())
    found = kl_scale(values, interval, peak)
    assert np.isfinite(found)
    assert found > 0
