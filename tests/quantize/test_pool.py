from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.floatnet import FloatPool, PoolKind
from hwgen.interval import Interval
from hwgen.network import MANTISSAS, Tensor
from hwgen.quantize.pool import average_factor, quantize_pool
from hwgen.quantize.requant import KMAX


@given(st.floats(1e-6, 1e6), st.floats(-4, 4), st.integers(1, 1024))
def test_the_average_is_exact_and_near_the_wanted_scale(source_scale, log_change, window):
    wanted = source_scale * 10**log_change / window**0.5
    scale, mul, shift = average_factor(wanted, source_scale, window)
    assert scale == source_scale * 2.0**shift / (window * mul)
    assert mul / 2 ** (mul.bit_length() - 4) in MANTISSAS
    assert mul.bit_length() - 4 <= KMAX
    assert shift >= 1
    if shift > 1 or mul < 8 << KMAX:
        assert wanted / 1.15 < scale < wanted * 1.15 or mul.bit_length() - 4 == KMAX


SOURCE = Tensor("input", (6, 6, 3), Interval(0, 200), 0.5)


def test_a_maximum_keeps_scale_and_interval():
    layer = FloatPool("pool", PoolKind.MAX, (2, 2), (6, 6, 3), (2, 2))
    pool = quantize_pool(layer, SOURCE, Interval(0, 15), 9.0)
    assert pool.requant is None
    assert pool.output == Tensor("pool", (3, 3, 3), SOURCE.interval, SOURCE.scale)


def test_an_average_of_a_constant_is_that_constant():
    layer = FloatPool("pool", PoolKind.AVERAGE, (3, 3), (6, 6, 3), (3, 3), clip=(0.0, inf))
    pool = quantize_pool(layer, SOURCE, Interval(0, 255), 0.4)
    rule = pool.requant
    for value in range(0, 201, 8):
        integer = (9 * value * int(rule.mul[0]) + int(rule.add[0])) >> rule.shift
        assert abs(integer * pool.output.scale - value * SOURCE.scale) <= pool.output.scale / 2 + 1e-12
    assert (rule.mul == rule.mul[0]).all()
    assert pool.output.interval == Interval(0, 255)


def test_a_clip_after_an_average_stays():
    layer = FloatPool("pool", PoolKind.AVERAGE, (2, 2), (6, 6, 3), (2, 2), clip=(0.0, 6.0))
    pool = quantize_pool(layer, SOURCE, Interval(0, 255), 0.1)
    assert pool.output.interval.hi == pytest.approx(6 / pool.output.scale, abs=0.5)
