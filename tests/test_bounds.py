import itertools

import numpy as np
import pytest

from hwgen.bounds import accumulators, addition, negative_codes
from hwgen.interval import Interval
from hwgen.network import Add, Tensor

from .networks import conv, tensor


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
