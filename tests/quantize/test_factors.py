from math import floor, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.codes import signed_terms
from hwgen.network import RESCALE_TERMS
from hwgen.quantize.factors import TOLERANCE, WORST, common_shift, rescale_factor, wired
from hwgen.quantize.requant import MAX_SHIFT

ratios = st.floats(-18, 18).map(lambda e: 2.0**e)


@given(st.floats(-1e6, 1e6))
def test_a_wired_factor_is_the_nearest_of_four_terms(value):
    found = wired(value)
    assert 1 <= len(signed_terms(abs(found))) <= RESCALE_TERMS
    assert (found < 0) == (value < 0)
    if abs(value) < 1 << 11:
        near = range(max(1, int(abs(value)) - 40), int(abs(value)) + 41)
        best = min(abs(n - abs(value)) for n in near if len(signed_terms(n)) <= RESCALE_TERMS)
        assert abs(abs(found) - abs(value)) == pytest.approx(best)
    else:
        assert abs(found / value - 1) < WORST


@given(ratios)
def test_a_rescaling_is_within_tolerance_and_short(ratio):
    mul, shift = rescale_factor(ratio)
    error = abs(mul / 2.0**shift / ratio - 1)
    assert error <= WORST
    if error > TOLERANCE:
        four = (n for n in range(1 << 9, 1 << 10) if len(signed_terms(n)) <= RESCALE_TERMS)
        octave = 2.0 ** (9 - floor(log2(ratio)))
        assert error <= min(abs(n / octave / ratio - 1) for n in four) + 1e-12
    assert 0 <= shift <= MAX_SHIFT
    assert mul % 2 or not shift
    assert len(signed_terms(mul)) <= RESCALE_TERMS


@pytest.mark.parametrize(("ratio", "expected"), [(1.0, (1, 0)), (0.5, (1, 1)), (8.0, (8, 0)), (0.75, (3, 2))])
def test_simple_ratios_have_simple_factors(ratio, expected):
    assert rescale_factor(ratio) == expected


def test_a_ratio_beyond_every_shift_is_the_nearest_there_is():
    assert rescale_factor(2.0**-40) == (1, MAX_SHIFT)


@given(st.lists(st.tuples(ratios, st.booleans()), min_size=1, max_size=4))
def test_the_shift_of_an_addition_serves_its_smallest_factor(pairs):
    values = [-ratio if negative else ratio for ratio, negative in pairs]
    shift = common_shift(values)
    assert 0 <= shift <= MAX_SHIFT
    if max(map(abs, values)) / min(map(abs, values)) < 100 and 0 < shift < MAX_SHIFT:
        assert 7 <= log2(min(map(abs, values))) + shift <= 8
    assert max(map(abs, values)) * 2.0**shift < 2.0 ** max(16, 1 + log2(max(map(abs, values))))
