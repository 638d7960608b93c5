import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.codes import CODES, explicit
from hwgen.floatnet import Coded
from hwgen.network import MANTISSAS
from hwgen.quantize.coded import exact_codes
from hwgen.quantize.rewrite.cp import (
    coded_factors,
    cp_admm,
    cp_als,
    cp_bound,
    kernel_of,
    on_codes,
    relative_error,
)
from hwgen.quantize.scales import code_weights

INT8 = explicit(range(-127, 128), "int8")


def random_kernel(seed, shape=(12, 3, 3, 8), rank=6, noise=0.1):
    """A kernel of that rank, and noise."""
    rng = np.random.default_rng(seed)
    outputs, rows, columns, inputs = (rng.standard_normal((rank, length)) for length in shape)
    weight = kernel_of((outputs.T, rows, columns, inputs))
    return weight + noise * weight.std() * rng.standard_normal(shape)


def test_the_kernel_of_factors_is_their_sum_of_products():
    rng = np.random.default_rng(0)
    a, b, c, d = (rng.standard_normal(shape) for shape in ((5, 4), (4, 3), (4, 2), (4, 6)))
    assert kernel_of((a, b, c, d)) == pytest.approx(np.einsum("or,ry,rx,ri->oyxi", a, b, c, d), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("shape", [(12, 3, 3, 8), (4, 5, 2, 9), (3, 3, 3, 1)])
def test_als_finds_an_exact_decomposition_again(shape):
    weight = random_kernel(1, shape, rank=2, noise=0)
    errors = [relative_error(weight, cp_als(weight, 2, seed)) for seed in range(5)]
    assert min(errors) < 1e-3


def test_als_is_balanced_and_reproducible():
    weight = random_kernel(2)
    factors = cp_als(weight, 5, seed=3)
    norms = np.array([np.linalg.norm(factor, axis=1) for factor in (factors[0].T, *factors[1:])])
    assert norms == pytest.approx(np.broadcast_to(norms[0], norms.shape), rel=1e-9)
    assert all((one == two).all() for one, two in zip(factors, cp_als(weight, 5, seed=3), strict=True))
    assert any((one != two).any() for one, two in zip(factors, cp_als(weight, 5, seed=4), strict=True))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1 << 32), st.integers(1, 8))
def test_no_decomposition_beats_the_bound(seed, rank):
    weight = random_kernel(seed, noise=0.5)
    assert relative_error(weight, cp_als(weight, rank, seed)) >= cp_bound(weight, rank) * (1 - 1e-9)
    assert cp_bound(weight, 12) == pytest.approx(0, abs=1e-6)


def test_the_bound_is_that_of_the_worst_unfolding():
    """For a matrix in disguise it is Eckart and Young's."""
    matrix = np.random.default_rng(0).standard_normal((7, 5))
    weight = matrix[:, None, None, :]
    values = np.linalg.svd(matrix, compute_uv=False)
    for rank in range(6):
        expected = np.sqrt(np.square(values[rank:]).sum() / np.square(values).sum())
        assert cp_bound(weight, rank) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("name", ["pot3", "e2m1"])
def test_admm_beats_rounding_after_als_on_95_of_100_seeds(name):
    """And never loses. Strictly better, so that returning the rounded factors would not pass."""
    better, ratios = 0, []
    for seed in range(100):
        weight = random_kernel(seed, (8, 3, 3, 6), 5)
        start = cp_als(weight, 5, seed)
        rounded = relative_error(weight, coded_factors(start, CODES[name]).values)
        found = relative_error(weight, cp_admm(weight, 5, CODES[name], start=start).values)
        assert found <= rounded
        better += found < rounded * 0.999
        ratios.append(found / rounded)
    assert better >= 95
    assert np.mean(ratios) < 0.95


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1 << 32), st.sampled_from([INT8, *CODES.values()]))
def test_the_factors_are_on_the_grid_and_the_quantizer_keeps_them(seed, book):
    weight = random_kernel(seed) * 10.0 ** np.random.default_rng(seed).uniform(-4, 4)
    found = cp_admm(weight, 4, book, seed)
    for coded, value in zip((found.outputs, found.rows, found.columns, found.inputs), found.values, strict=True):
        assert np.isin(coded.levels, book.sorted_levels).all()
        assert (value == coded.levels * coded.scale[:, None]).all()
        assert (coded.scale > 0).all()
        four = Coded(coded.levels[:, None, None, :], coded.scale)
        kept = exact_codes(four, book, 0.37, 1.9, keep=False)
        assert kept is not None
        assert (book.decode(kept[1].codes) * kept[1].weight_scale[:, None, None, None])[:, 0, 0] == pytest.approx(
            value, rel=1e-3
        )


def test_no_other_scale_of_the_grid_is_better_for_a_row():
    matrix = np.random.default_rng(5).standard_t(3, (7, 20)) * np.exp2(np.arange(7))[:, None] * 0.01
    book = CODES["e2m1"]
    found = on_codes(matrix, book)
    errors = np.square(matrix - found.levels * found.scale[:, None]).sum(axis=1)
    for exponent in range(-16, 4):
        for mantissa in MANTISSAS:
            scale = mantissa * 2.0**exponent
            assert (errors <= np.square(matrix - book.nearest(matrix / scale) * scale).sum(axis=1) * (1 + 1e-12)).all()
    coded = code_weights(matrix[:, None, None, :], book, 2.0**-9)
    other = coded.weight_scale[:, None] * book.decode(coded.codes)[:, 0, 0]
    assert (errors <= np.square(matrix - other).sum(axis=1) * (1 + 1e-12)).all()


def test_rows_of_zeros_and_nothing_but_zeros():
    matrix = np.random.default_rng(0).standard_normal((4, 5))
    matrix[1] = 0
    found = on_codes(matrix, CODES["pot4"])
    assert not found.levels[1].any()
    assert (found.scale > 0).all()
    assert not on_codes(np.zeros((3, 2)), CODES["pot4"]).levels.any()
    nothing = on_codes(np.zeros((3, 2)), CODES["pot4-nozero"])
    assert np.abs(nothing.levels * nothing.scale[:, None]).max() < 1e-8


def test_admm_is_reproducible_and_takes_its_own_start():
    weight = random_kernel(4)
    one, two = cp_admm(weight, 3, CODES["pot4"], 7), cp_admm(weight, 3, CODES["pot4"], start=cp_als(weight, 3, 7))
    assert all((a == b).all() for a, b in zip(one.values, two.values, strict=True))
