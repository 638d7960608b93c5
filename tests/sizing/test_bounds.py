"""Bounds: no partial sum is outside, and none of the width is idle. Every partial sum is counted out."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from hwgen.codes import codebook
from hwgen.floatnet import PoolKind
from hwgen.interval import Interval
from hwgen.network import Add, Tensor
from hwgen.sizing.bounds import accumulators, addition, negative_codes, tap_interval, window_sum

from ..networks import BYTE, SIGNED, conv, pool, tensor

TAPS = 6


def layer_of(levels, source):
    """A dense layer with the given levels (outputs, TAPS)."""
    made = conv(np.random.default_rng(0), source, len(levels), (1, 1))
    return replace(made, codes=codebook("e2m1").encode(np.array(levels)).reshape(made.codes.shape))


def partial_sums(levels, source):
    """All sums of a subset of ones'-complement products at the ends of the interval; the extremes are among these."""
    products = [{0} | {level * x - (level < 0) for x in (source.lo, 0, source.hi)} for level in levels]
    return [sum(choice) for choice in itertools.product(*products)]


@pytest.mark.parametrize("interval", [BYTE, SIGNED, Interval(-100, 0), Interval(-3, 200)])
@pytest.mark.parametrize("seed", range(3))
def test_accumulators_hold_every_partial_sum(interval, seed):
    source = tensor((1, 1, TAPS), interval)
    levels = np.random.default_rng(seed).choice(codebook("e2m1").sorted_levels, (4, TAPS)).tolist()
    layer = layer_of(levels, source)
    assert negative_codes(layer) == [sum(level < 0 for level in row) for row in levels]
    for row, bound in zip(levels, accumulators(layer, interval), strict=True):
        sums = partial_sums(row, interval)
        assert bound.lo == min(sums)
        # A negative level's product is one less than -|level| * x; the upper bound does not count on that.
        assert 0 <= bound.hi - max(sums) <= sum(level < 0 for level in row)


@pytest.mark.parametrize("levels", [[12] * TAPS, [1, -1, 2, -2, 3, -12], [0] * TAPS])
def test_accumulators_of_bytes_are_exact(levels):
    bound = accumulators(layer_of([levels], tensor((1, 1, TAPS))), BYTE)[0]
    sums = partial_sums(levels, BYTE)
    assert (bound.lo, bound.hi) == (min(sums), max(sums))


def test_taps_read_zero_and_padding():
    rng = np.random.default_rng(0)
    source = tensor((4, 4, 2), Interval(5, 9))
    padded = replace(conv(rng, source, 2, (3, 3), pads=(1, 1, 1, 1)), pad_value=np.array([6, 40]))
    assert tap_interval(padded, source.interval) == Interval(0, 40)
    unpadded = replace(conv(rng, source, 2, (3, 3)), pad_value=np.array([6, 40]))
    assert tap_interval(unpadded, source.interval) == Interval(0, 9)


def test_a_pool_sums_its_window():
    source = tensor((4, 4, 2), Interval(-3, 9))
    layer = pool(np.random.default_rng(0), source, PoolKind.AVERAGE, (2, 2), (2, 2))
    assert window_sum(layer, source.interval) == Interval(-12, 36)


def sums(interval, factors):
    """Every sum of ``factor * x``, each addend left out or at one of its ends: what partial sums in any order reach."""
    choices = [(0, factor * interval.lo, factor * interval.hi) for factor in factors]
    return [sum(chosen) for chosen in itertools.product(*choices)]


@pytest.mark.parametrize("interval", [Interval(0, 5), Interval(-4, 3), Interval(2, 9)])
@pytest.mark.parametrize("mul", [(3, 5), (1, -7), (-2, -3, 4)])
def test_partial_sums_of_an_addition(interval, mul):
    zeros = np.zeros(1, np.int64)
    layer = Add("add", ("x",) * len(mul), mul, zeros, 0, 0, 1, Tensor("add", (1, 1, 1), Interval(0, 1), 1.0))
    reached = sums(interval, mul)
    assert addition(layer, [interval] * len(mul)) == Interval(min(reached), max(reached))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_accumulators_of_groups_know_only_their_own_channels(groups):
    """Ones'-complement products, as the hardware sums them: a negative level adds one less."""
    interval = Interval(0, 5)
    layer = conv(np.random.default_rng(0), tensor((2, 2, 4), interval), 4, (1, 1), groups=groups)
    levels = layer.codebook.decode(layer.codes).reshape(4, -1)
    for row, bound, negative in zip(levels, accumulators(layer, interval), negative_codes(layer), strict=True):
        reached = sums(interval, row.tolist())
        assert bound == Interval(min(reached) - negative, max(reached))
        assert len(row) == 4 // groups
