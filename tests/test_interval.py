"""Interval arithmetic holds every value that can occur and nothing wider than it must."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.interval import Interval

SMALL = st.integers(-40, 40)
INTERVALS = st.tuples(SMALL, SMALL).map(lambda pair: Interval(min(pair), max(pair)))
fixed = settings(derandomize=True, deadline=None)


def _values(interval):
    return range(interval.lo, interval.hi + 1)


@fixed
@given(INTERVALS, INTERVALS)
def test_sum_and_union_are_tight(a, b):
    assert a + b == Interval.hull(x + y for x in _values(a) for y in _values(b))
    assert a | b == Interval.hull([*_values(a), *_values(b)])


@fixed
@given(INTERVALS, SMALL, st.integers(0, 8))
def test_constant_operations_are_tight(a, constant, shift):
    assert a + constant == Interval.hull(x + constant for x in _values(a))
    assert a * constant == Interval.hull(x * constant for x in _values(a))
    assert a >> shift == Interval.hull(x >> shift for x in _values(a))


@fixed
@given(INTERVALS, INTERVALS)
def test_clip_is_tight(a, bounds):
    assert a.clip(bounds.lo, bounds.hi) == Interval.hull(min(max(x, bounds.lo), bounds.hi) for x in _values(a))


@fixed
@given(st.integers(-(1 << 70), 1 << 70), st.integers(-(1 << 70), 1 << 70))
def test_bits_are_the_fewest(one, other):
    interval = Interval(min(one, other), max(one, other))
    assert interval.signed == (interval.lo < 0)
    holder = Interval.of_bits(interval.bits, signed=interval.signed)
    assert interval.lo in holder
    assert interval.hi in holder
    if interval.bits > 1:
        narrower = Interval.of_bits(interval.bits - 1, signed=interval.signed)
        assert interval.lo not in narrower or interval.hi not in narrower


@pytest.mark.parametrize(
    ("interval", "bits"),
    [
        ((0, 0), 1),
        ((0, 1), 1),
        ((0, 255), 8),
        ((0, 256), 9),
        ((-1, 0), 1),
        ((-1, 1), 2),
        ((-128, 127), 8),
        ((-129, 0), 9),
    ],
)
def test_bits_by_hand(interval, bits):
    assert Interval(*interval).bits == bits


@pytest.mark.parametrize("bits", range(1, 17))
def test_of_bits(bits):
    assert Interval.of_bits(bits, signed=False) == Interval(0, 2**bits - 1)
    assert Interval.of_bits(bits, signed=True) == Interval(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    assert Interval.of_bits(bits, signed=False).bits == bits
    assert Interval.of_bits(bits, signed=True).bits == bits


def test_membership_and_order():
    assert 3 in Interval(3, 3)
    assert 2 not in Interval(3, 3)
    assert Interval(0, 1) < Interval(1, 1)
    assert len({Interval(0, 1), Interval(0, 1)}) == 1


def test_hull_takes_any_integers():
    assert Interval.hull(iter([5, -2, 3])) == Interval(-2, 5)
    assert Interval.hull([Interval(-1, 4), 7, Interval(0, 2)]) == Interval(-1, 7)
    with pytest.raises(ValueError, match=r"empty"):
        Interval.hull([])


def test_an_empty_interval_is_a_programming_error():
    with pytest.raises(ValueError, match=r"^interval must have lo <= hi, not 2\.\.1$"):
        Interval(2, 1)
