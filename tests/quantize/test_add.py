from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.errors import HwgenError
from hwgen.floatnet import FloatAdd
from hwgen.interval import Interval
from hwgen.network import Tensor
from hwgen.quantize.add import quantize_add
from hwgen.quantize.formats import Format
from hwgen.reference.add import add

BYTE, SIGNED = Interval(0, 255), Interval(-128, 127)


@given(
    st.lists(st.tuples(st.floats(0.3, 3), st.floats(-2, 2).filter(lambda f: abs(f) > 0.2)), min_size=2, max_size=4),
    st.integers(0, 100),
)
def test_a_sum_is_within_a_unit_of_the_real_one(pairs, seed):
    """Half a unit of rounding, and what the factors' last bit makes of whole tensors."""
    rng = np.random.default_rng(seed)
    sources = [Tensor(f"x{i}", (2, 2, 3), SIGNED, scale) for i, (scale, _) in enumerate(pairs)]
    maps = [rng.integers(-128, 128, (50, 2, 2, 3)) for _ in pairs]
    factors = tuple(factor for _, factor in pairs)
    bias = rng.normal(0, 20, 3)
    layer = FloatAdd("sum", tuple(t.name for t in sources), factors, bias, (2, 2, 3), (-200.0, inf))
    scale = 4 * sum(abs(f) * t.scale for f, t in zip(factors, sources, strict=True)) / 2
    found = quantize_add(layer, sources, Format(SIGNED, scale))
    real = sum(f * t.scale * x for f, t, x in zip(factors, sources, maps, strict=True)) + bias
    real = np.clip(np.maximum(real, -200), SIGNED.lo * scale, SIGNED.hi * scale)
    assert np.abs(add(found, *maps) * scale - real).max() <= scale * (0.5 + 0.3 * len(pairs))
    assert found.output.interval == Interval(found.lo, found.hi)
    assert (np.sign(found.mul) == np.sign(factors)).all()


def test_powers_of_two_are_exact():
    sources = [Tensor("a", (1, 1, 1), BYTE, 0.5), Tensor("b", (1, 1, 1), BYTE, 0.25)]
    layer = FloatAdd("sum", ("a", "b"), (1.0, -1.0), np.array([0.5]), (1, 1, 1))
    found = quantize_add(layer, sources, Format(SIGNED, 0.5))
    assert [mul / 2**found.shift for mul in found.mul] == [1, -0.5]
    a, b = (part.reshape(-1, 1, 1, 1) for part in np.meshgrid(np.arange(100), np.arange(100)))
    assert (add(found, a, b) == np.clip(np.floor(a - b / 2 + 1 + 0.5), -128, 127)).all()


def test_the_activation_of_a_sum_is_its_interval():
    sources = [Tensor(name, (1, 1, 1), BYTE, 0.1) for name in "ab"]
    layer = FloatAdd("sum", ("a", "b"), (1.0, 1.0), np.zeros(1), (1, 1, 1), (0.0, 6.0))
    found = quantize_add(layer, sources, Format(BYTE, 0.1))
    assert (found.lo, found.hi) == (0, 60)


def test_a_bias_beyond_all_bounds_is_one_sentence():
    sources = [Tensor(name, (1, 1, 1), BYTE, 0.1) for name in "ab"]
    layer = FloatAdd("sum", ("a", "b"), (1.0, 1.0), np.array([1e17]), (1, 1, 1))
    with pytest.raises(HwgenError, match=r"'sum'.*too large"):
        quantize_add(layer, sources, Format(BYTE, 0.1))


def test_a_dead_source_with_a_unit_of_its_own_does_not_blind_the_others():
    """A tensor that was all zero in calibration has a unit of 1, far from that of the sum."""
    sources = [Tensor("dead", (1, 1, 1), BYTE, 1.0), Tensor("b", (1, 1, 1), BYTE, 1e-3)]
    layer = FloatAdd("sum", ("dead", "b"), (1.0, 1.0), np.zeros(1), (1, 1, 1))
    found = quantize_add(layer, sources, Format(BYTE, 1e-3))
    x = np.arange(256).reshape(-1, 1, 1, 1)
    assert np.abs(add(found, np.zeros_like(x), x) - x).max() <= 1
