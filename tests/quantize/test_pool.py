from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.floatnet import Fixed, FloatPool, PoolKind
from hwgen.interval import Interval
from hwgen.network import MANTISSAS, Tensor
from hwgen.quantize.formats import Format
from hwgen.quantize.pool import EXACT, average_scale, divisor_counts, quantize_pool
from hwgen.quantize.requant import KMAX
from hwgen.reference.pool import pool as run_pool

SOURCE = Tensor("input", (6, 6, 3), Interval(0, 200), 0.5)
BYTE = Interval(0, 255)


def average(kernel, **rest):
    return FloatPool("pool", "input", PoolKind.AVERAGE, kernel, (6, 6, 3), **rest)


@given(st.floats(1e-6, 1e6), st.floats(-4, 4), st.integers(1, 32), st.integers(1, 32))
def test_the_average_is_exact_and_near_the_wanted_scale(source_scale, log_change, rows, columns):
    wanted = source_scale * 10**log_change / (rows * columns) ** 0.5
    source = Tensor("input", (rows, columns, 1), BYTE, source_scale)
    layer = FloatPool("pool", "input", PoolKind.AVERAGE, (rows, columns), source.shape)
    pool = quantize_pool(layer, source, Format(BYTE, wanted))
    rule, scale = pool.requant, pool.output.scale
    (mul,) = rule.mul.tolist()
    assert scale * mul / 2.0**rule.shift == pytest.approx(source_scale / (rows * columns), rel=EXACT)
    assert mul / 2 ** (mul.bit_length() - 4) in MANTISSAS
    assert mul.bit_length() - 4 <= KMAX
    assert rule.shift >= 1
    if rule.shift > 1 or mul < 8 << KMAX:
        assert wanted / 1.15 < scale < wanted * 1.15 or mul.bit_length() - 4 == KMAX


def test_a_maximum_keeps_scale_and_interval():
    layer = FloatPool("pool", "input", PoolKind.MAX, (2, 2), (6, 6, 3), (2, 2), dilation=(2, 1))
    pool = quantize_pool(layer, SOURCE, Format(Interval(0, 15), 9.0))
    assert pool.requant is None
    assert pool.output == Tensor("pool", (2, 3, 3), SOURCE.interval, SOURCE.scale)
    assert pool.dilation == (2, 1)


def test_an_average_of_a_constant_is_that_constant():
    pool = quantize_pool(average((3, 3), stride=(3, 3), clip=(0.0, inf)), SOURCE, Format(BYTE, 0.4))
    rule = pool.requant
    for value in range(0, 201, 8):
        integer = (9 * value * int(rule.mul[0]) + int(rule.add[0])) >> rule.shift
        assert abs(integer * pool.output.scale - value * SOURCE.scale) <= pool.output.scale / 2 + 1e-12
    assert (rule.mul == rule.mul[0]).all()
    assert pool.output.interval == BYTE


def test_a_clip_after_an_average_stays():
    pool = quantize_pool(average((2, 2), stride=(2, 2), clip=(0.0, 6.0)), SOURCE, Format(BYTE, 0.1))
    assert pool.output.interval.hi == pytest.approx(6 / pool.output.scale, abs=0.5)


THREE = average((3, 3), pads=(1, 1, 1, 1), divisors=((2, 3, 3, 3, 3, 2), (2, 3, 3, 3, 3, 2)))


def test_how_often_each_divisor_occurs():
    assert divisor_counts(THREE) == {4: 4, 6: 16, 9: 16}
    assert divisor_counts(average((2, 2), stride=(2, 2))) == {4: 9}


@pytest.mark.parametrize("wanted", np.geomspace(0.3, 0.8, 15))
def test_a_padded_window_of_three_has_three_exact_divisors(wanted):
    pool = quantize_pool(THREE, SOURCE, Format(BYTE, wanted))
    factors = pool.requant.mul / 2.0**pool.requant.shift
    assert factors * np.array([4, 6, 9]) * pool.output.scale == pytest.approx(SOURCE.scale, rel=1e-12)
    assert wanted / 1.1 <= pool.output.scale <= wanted * 2


def test_the_average_inside_is_what_it_should_be():
    pool = quantize_pool(THREE, SOURCE, Format(BYTE, 0.45))
    x = np.random.default_rng(0).integers(0, 201, (4, 6, 6, 3))
    padded = np.pad(x * SOURCE.scale, ((0, 0), (1, 1), (1, 1), (0, 0)))
    sums = sum(padded[:, dy : dy + 6, dx : dx + 6] for dy in range(3) for dx in range(3))
    real = sums / np.outer(*THREE.divisors)[:, :, None]
    found = pool.output.scale * run_pool(pool, SOURCE.interval, x)
    assert np.abs(found - real).max() <= pool.output.scale / 2 * (1 + 1e-9)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.floats(0.01, 100))
def test_the_most_frequent_divisor_is_exact(divisors, wanted):
    counts = dict.fromkeys(divisors, 1)
    counts[divisors[0]] = 5
    scale = average_scale(wanted, 1.0, counts)
    factor = 1 / (divisors[0] * scale)
    nearest = min((m * 2.0**e for m in MANTISSAS for e in range(-30, 10)), key=lambda point: abs(point - factor))
    assert nearest == pytest.approx(factor, rel=EXACT)
    assert wanted / 1.11 <= scale <= wanted * 2


def test_a_format_of_the_model_is_kept_where_it_is_exact():
    fixed = Fixed(0.5, Interval(0, 255))
    pool = quantize_pool(average((2, 2), stride=(2, 2), fixed=fixed), SOURCE, Format(fixed.interval, fixed.scale))
    assert (pool.output.scale, pool.output.interval) == (0.5, BYTE)
    pool = quantize_pool(average((3, 3), stride=(3, 3), fixed=fixed), SOURCE, Format(Interval(0, 100), 0.5))
    assert pool.output.scale != 0.5
    assert pool.output.interval.hi * pool.output.scale == pytest.approx(50, abs=pool.output.scale / 2)
