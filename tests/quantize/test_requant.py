from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.codes import signed_terms
from hwgen.errors import HwgenError
from hwgen.interval import Interval
from hwgen.network import MANTISSAS, MAX_TERMS, Requant
from hwgen.quantize.requant import (
    ACC_BITS,
    KMAX,
    MAX_SHIFT,
    MIN_SHIFT,
    add_of,
    check_reach,
    clip_limits,
    exponent_grid,
    place,
    round_half_up,
)


def test_the_grid_is_every_factor_of_two_terms():
    grid = exponent_grid(-3, 2)
    assert grid.shape == (6, len(MANTISSAS))
    for value in grid.ravel() * 8:
        assert value == int(value)
        assert len(signed_terms(int(value))) <= MAX_TERMS
    octave = {value for value in range(8, 16) if len(signed_terms(value)) <= MAX_TERMS}
    assert set(MANTISSAS) == octave


@given(st.integers(-MAX_SHIFT, KMAX - 1), st.integers(0, KMAX))
def test_place_keeps_factor_and_shift_legal(lowest, spread):
    if KMAX - spread - lowest < 1:
        with pytest.raises(ValueError, match="shift"):
            place(lowest, spread)
        return
    k, shift = place(lowest, spread)
    assert k - shift == lowest
    assert 0 <= k <= k + spread <= KMAX
    assert 1 <= shift <= MAX_SHIFT
    assert shift >= MIN_SHIFT or k + spread == KMAX


def test_rounding_is_half_up():
    assert round_half_up([-1.5, -0.5, 0.5, 1.5, 2.4999]).tolist() == [-1, 0, 1, 2, 2]


def test_add_holds_the_bias_and_the_half():
    assert add_of([1.0, -0.25], 0.5, 3).tolist() == [16 + 4, -4 + 4]
    assert add_of([1.0], 1.0, 1).tolist() == [2 + 1]


@pytest.mark.parametrize(
    ("clip", "expected"),
    [
        ((-inf, inf), (-128, 127)),
        ((0.0, inf), (0, 127)),
        ((0.0, 6.0), (0, 60)),
        ((-1.0, 1.0), (-10, 10)),
        ((0.0, 1e9), (0, 127)),
        ((50.0, 60.0), (127, 127)),
        ((-60.0, -50.0), (-128, -128)),
        ((0.05, inf), (1, 127)),
    ],
)
def test_limits_of_a_clip(clip, expected):
    assert clip_limits(clip, 0.1, Interval(-128, 127)) == expected


def test_too_wide_a_requantization_is_refused_with_the_layer_named():
    requant = Requant(np.array([8, 15]), np.array([0, 5]), 4, 0, 1)
    check_reach("conv1", np.array([(1 << ACC_BITS - 3) - 1, 1]), requant)
    with pytest.raises(HwgenError, match="'conv1'"):
        check_reach("conv1", np.array([1 << ACC_BITS - 3, 1]), requant)


def test_a_huge_bias_saturates_far_enough_to_be_refused():
    for bias in (1e300, -1e300):
        add = add_of([bias], 1e-3, 4)
        with pytest.raises(HwgenError, match="bits"):
            check_reach("conv1", np.array([0]), Requant(np.array([8]), add, 4, 0, 1))
