import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.codes import CODES, codebook, signed_terms
from hwgen.network import MANTISSAS, MAX_TERMS
from hwgen.quantize.requant import KMAX
from hwgen.quantize.scales import SPREAD_TOLERANCE, code_weights, smallest_ratio


def random_weights(seed, spread=1.0):
    """Heavy-tailed kernels whose channels differ in size by up to ``10**spread``."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 6)), *rng.integers(1, 4, 3).tolist())
    return rng.standard_t(3, shape) * 10 ** rng.uniform(-spread, 0, (shape[0], 1, 1, 1))


def error(weight, scale, book, importance=1.0):
    return float((importance * (weight - scale * book.nearest(weight / scale)) ** 2).sum())


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1 << 32), st.sampled_from(sorted(CODES)), st.floats(-6, 3))
def test_theorem_of_the_baseline(seed, code, log_ratio):
    """Nothing is left to approximate: the scale is ratio * mul / 2**shift, and mul is two shifts and an addition."""
    weight, book = random_weights(seed, 3.0), CODES[code]
    ratio = max(10**log_ratio, smallest_ratio(weight, book))
    coded = code_weights(weight, book, ratio)
    assert (coded.weight_scale == ratio * coded.mul / 2.0**coded.shift).all()
    for mul in coded.mul.tolist():
        mantissa = mul / 2 ** (mul.bit_length() - 4)
        assert mantissa in MANTISSAS
        assert 0 <= mul.bit_length() - 4 <= KMAX
        assert len(signed_terms(mul)) <= MAX_TERMS
    assert coded.shift >= 1
    levels = book.decode(coded.codes)
    assert (levels == book.nearest(weight / coded.weight_scale[:, None, None, None])).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1 << 32), st.sampled_from(["e2m1", "pot3", "pot4", "apot4", "int4", "ternary"]))
def test_one_channel_equals_brute_force_over_the_full_grid(seed, code):
    book = CODES[code]
    weight = random_weights(seed)[:1]
    importance = np.random.default_rng(seed).uniform(0.1, 2, weight.shape)
    ratio = 2.0 ** -(seed % 20) * 0.7
    ratio = max(ratio, smallest_ratio(weight, book))
    coded = code_weights(weight, book, ratio, importance)
    grid = [ratio * mantissa * 2.0**e for mantissa in MANTISSAS for e in range(-45, 10)]
    best = min(error(weight[0], scale, book, importance) for scale in grid)
    chosen = error(weight[0], coded.weight_scale[0], book, importance)
    # A search may stop at an octave when a wider one gains less than its tolerance; one channel needs one octave.
    assert chosen == pytest.approx(best, rel=1e-9, abs=1e-12 * float((weight**2).sum()))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1 << 32), st.sampled_from(["e2m1", "pot3", "pot4", "apot4", "int4", "ternary", "e2m2"]))
def test_a_layer_is_within_tolerance_of_its_channels_alone_and_better_than_the_largest_weight(seed, code):
    """Sharing octaves costs at most the tolerance, and no clipping (on the same grid) is never better.

    Each channel counts relative to its energy, nearly dead ones (a thousandth of the average) less.
    """
    book, weight = CODES[code], random_weights(seed, 0.5)
    ratio = max(1e-3, smallest_ratio(weight, book))
    coded = code_weights(weight, book, ratio)
    together = alone = plain = 0.0
    energies = np.square(weight).reshape(len(weight), -1).sum(axis=1)
    energies = np.maximum(energies, 1e-3 * energies.mean())
    for channel, scale, energy in zip(weight, coded.weight_scale, energies, strict=True):
        together += error(channel, scale, book) / energy
        grid = np.array([ratio * m * 2.0**e for m in MANTISSAS for e in range(-30, 7)])
        alone += min(error(channel, s, book) for s in grid) / energy
        wide = grid[grid >= np.abs(channel).max() / book.max_level].min()
        plain += error(channel, wide, book) / energy
    assert together <= alone * (1 + SPREAD_TOLERANCE) + 1e-12
    assert together <= plain * (1 + SPREAD_TOLERANCE) + 1e-12


def test_importance_moves_the_scale_to_where_it_counts():
    weight = np.array([0.1, 0.11, 0.12, 0.13, 3.0]).reshape(1, 1, 1, 5)
    book = CODES["int4"]
    loud, quiet = np.ones((1, 1, 1, 5)), np.array([1, 1, 1, 1, 1e-6]).reshape(1, 1, 1, 5)
    assert (
        code_weights(weight, book, 0.01, quiet).weight_scale[0] < code_weights(weight, book, 0.01, loud).weight_scale[0]
    )


def test_a_channel_of_zeros_and_a_layer_of_zeros_are_legal():
    weight = np.zeros((3, 1, 1, 4))
    assert not code_weights(weight, CODES["e2m1"], 0.1).codes.any()
    weight[1] = [1, 2, 3, 4]
    coded = code_weights(weight, CODES["e2m1"], 0.1)
    assert not coded.codes[[0, 2]].any()
    assert coded.codes[1].all()
    assert (coded.mul > 0).all()


def test_equal_scales_prefer_small_levels():
    """One weight: 64 steps fit it exactly, and so do 32 of twice the size, the last ones of the search."""
    coded = code_weights(np.ones((1, 1, 1, 1)), CODES["pot4"], 1.0)
    assert CODES["pot4"].decode(coded.codes).max() == 32
    assert coded.weight_scale == 1 / 32


def test_a_narrow_spread_of_k_is_chosen_where_it_is_free():
    weight = np.random.default_rng(0).normal(0, 1, (16, 3, 3, 8))
    mul = code_weights(weight, CODES["e2m1"], 1e-2).mul
    assert mul.max() / mul.min() < 4


def test_the_smallest_ratio_is_where_the_shift_runs_out():
    weight, book = np.ones((1, 1, 1, 4)), CODES["e2m1"]
    ratio = smallest_ratio(weight, book)
    assert code_weights(weight, book, ratio).shift >= 1
    tight = code_weights(weight, book, ratio).weight_scale[0]
    free = code_weights(weight, book, ratio * 64).weight_scale[0]
    assert error(weight, tight, book) <= error(weight, free, book) + 1e-3


def test_any_list_of_levels_is_a_code():
    coded = code_weights(random_weights(0), codebook("0,1,-1,5,-3"), 0.01)
    assert set(np.unique(codebook("0,1,-1,5,-3").decode(coded.codes))) <= {0, 1, -1, 5, -3}
