"""Requantization in hardware against the formula, with ties, saturation, and every factor."""

import numpy as np
import pytest

from hwgen.interval import Interval
from hwgen.network import MANTISSAS, Requant
from hwgen.reference.requant import requantize
from hwgen.rtl.requant import Channel, Requantizer

from .drive import clocked

ACC = Interval(-600, 700)


def hardware(mul, add, shift, lo, hi, accs, *, lanes=1, intervals=None, gaps=False):
    """Requantized ``accs`` (N, channels), by the hardware; with ``gaps`` every third cycle carries nothing."""
    intervals = intervals or [ACC] * len(mul)
    channels = [Channel(m, a, i) for m, a, i in zip(mul, add, intervals, strict=True)]
    dut = Requantizer(channels, shift, lo, hi, lanes=lanes)
    rows = []
    for number, word in enumerate(np.asarray(accs).reshape(-1, lanes).tolist()):
        if gaps and number % 3 == 0:
            rows.append((0, [0] * lanes))
        rows.append((1, word))
    rows += [(0, [0] * lanes)] * Requantizer.LATENCY
    valid, out = clocked(dut, rows, inputs=["valid", "acc"], outputs=["o_valid", "o"])
    latency = Requantizer.LATENCY
    assert valid[latency:] == [v for v, _ in rows[:-latency]]
    assert not any(valid[:latency])
    return np.array([word for v, word in zip(valid, out, strict=True) if v]).reshape(np.shape(accs))


def check_requant(mul, add, shift, lo, hi, accs, **options):
    want = requantize(np.asarray(accs), Requant(np.array(mul), np.array(add), shift, lo, hi))
    np.testing.assert_array_equal(hardware(mul, add, shift, lo, hi, accs, **options), want)
    return want


def spread(channels, acc=ACC, count=40, seed=0):
    rng = np.random.default_rng(seed)
    accs = rng.integers(acc.lo, acc.hi + 1, (count, channels))
    accs[0], accs[1], accs[2] = acc.lo, acc.hi, 0
    return accs


@pytest.mark.parametrize("mul", sorted({1, 2, 3, 5, 6, 7, 31, 33, 65, *(m << k for m in MANTISSAS for k in (0, 1, 4))}))
def test_every_factor_alone(mul):
    accs = spread(1)
    check_requant([mul], [mul * 3 + 1], 5, -100, 100, accs)


def test_all_factors_side_by_side():
    """One requantizer serves channels of very different factors: multiplexed pairs, octaves and biases."""
    mul = [m << k for m in MANTISSAS for k in range(4)] + [1, 3, 5, 7, 33]
    rng = np.random.default_rng(1)
    add = rng.integers(-20_000, 20_000, len(mul)).tolist()
    check_requant(mul, add, 7, 0, 255, spread(len(mul), count=6), gaps=True)


@pytest.mark.parametrize("lanes", [1, 2, 3, 6])
def test_lanes(lanes):
    mul = [8, 9, 28, 3, 7, 120]
    add = [0, 77, -300, 5, 64, -9000]
    check_requant(mul, add, 6, -128, 127, spread(6), lanes=lanes, gaps=True)


@pytest.mark.parametrize("mul", [1, 3, 9])
@pytest.mark.parametrize("shift", [1, 2, 4])
def test_ties_round_up(mul, shift):
    """floor(v + 1/2): every tie goes towards plus infinity, below zero too."""
    accs = np.arange(-64, 65).reshape(-1, 1)
    want = check_requant([mul], [1 << shift - 1], shift, -1000, 1000, accs)
    exact = accs * mul / 2**shift
    assert np.count_nonzero(exact % 1 == 0.5) > 1
    np.testing.assert_array_equal(want, np.floor(exact + 0.5))


def test_known_ties():
    got = hardware([1], [2], 2, -8, 7, np.array([[-10], [-6], [-2], [2], [6], [10]]))
    assert got.ravel().tolist() == [-2, -1, 0, 1, 2, 3]  # -2.5, -1.5, -0.5, 0.5, 1.5, 2.5


@pytest.mark.parametrize(("lo", "hi"), [(0, 255), (-8, 7), (0, 1), (3, 3), (-5, -2), (-100_000, 100_000)])
def test_saturates_at_both_ends(lo, hi):
    want = check_requant([9, 24], [-500, 1000], 3, lo, hi, spread(2))
    if hi < 1000:
        assert want.min() == lo
        assert want.max() == hi


def test_without_shift():
    check_requant([1, 8], [0, -3], 0, -1000, 1000, spread(2))


def test_each_channel_has_its_own_interval():
    intervals = [Interval(-3, 2), Interval(0, 4000), Interval(-900, -100)]
    rng = np.random.default_rng(2)
    accs = np.stack([rng.integers(i.lo, i.hi + 1, 20) for i in intervals], axis=1)
    accs[0] = [i.lo for i in intervals]
    accs[1] = [i.hi for i in intervals]
    check_requant([240, 8, 9], [7, -4000, 3000], 6, -128, 127, accs, intervals=intervals)


def test_block_ram_constants():
    """More words than LUTs are worth: the constants move to a block RAM, the result does not change."""
    mul = [MANTISSAS[i % 6] << i % 3 for i in range(40)]
    check_requant(mul, list(range(-200, 200, 10)), 4, -128, 127, spread(40, count=4))


@pytest.mark.parametrize("mul", [0, -8, 11, 13, 43])
def test_refuses_other_factors(mul):
    with pytest.raises(ValueError, match="mul must be a positive sum"):
        Requantizer([Channel(mul, 0, ACC)], 3, 0, 255)


def test_refuses_lanes_that_do_not_divide():
    with pytest.raises(ValueError, match="lanes must divide the 3 channels, not 2"):
        Requantizer([Channel(8, 0, ACC)] * 3, 3, 0, 255, lanes=2)
