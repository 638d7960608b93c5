import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.network import MANTISSAS, Requant
from hwgen.reference.requant import requantize

factors = st.builds(lambda m, k: m << k, st.sampled_from(MANTISSAS), st.integers(0, 7))


@given(
    st.lists(st.integers(-(1 << 36), 1 << 36), min_size=1, max_size=8),
    factors,
    st.integers(-(1 << 46), 1 << 46),
    st.integers(0, 30),
    st.integers(-(1 << 15), 0),
    st.integers(0, 1 << 15),
)
def test_equals_python_integers(acc, mul, add, shift, lo, hi):
    requant = Requant(np.array([mul]), np.array([add]), shift, lo, hi)
    expected = [min(max((a * mul + add) >> shift, lo), hi) for a in acc]
    assert requantize(np.array(acc)[:, None], requant)[:, 0].tolist() == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
def test_ties_round_up_for_either_sign(dtype):
    # Factor 8 / 2**4 is one half: odd accumulators are exact ties.
    requant = Requant(np.array([8]), np.array([8]), 4, -10, 10)
    acc = np.array([-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5], dtype)[:, None]
    assert requantize(acc, requant)[:, 0].tolist() == [-2, -2, -1, -1, 0, 0, 1, 1, 2, 2, 3]
    assert acc[0, 0] == -5  # the argument is left as it was


def test_each_channel_has_its_own_factor_and_saturates():
    requant = Requant(np.array([8, 16]), np.array([0, -16]), 3, 0, 15)
    result = requantize(np.array([[[7, 7], [-3, 100]]]), requant)
    assert result.tolist() == [[[7, 12], [0, 15]]]
    assert result.dtype == np.int32
