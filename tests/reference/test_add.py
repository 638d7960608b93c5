import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.interval import Interval
from hwgen.network import Add, Tensor
from hwgen.reference.add import add

from .. import networks


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1 << 32), st.integers(2, 4))
def test_equals_the_definition(seed, count):
    rng = np.random.default_rng(seed)
    sources = [networks.tensor((2, 3, 2), Interval(-9, 8), f"x{index}") for index in range(count)]
    layer = networks.add(rng, sources, output=Interval(-30, 40))
    maps = [networks.frames(rng, source, 2) for source in sources]
    out = add(layer, *maps)
    assert out.dtype == np.int32
    for index in np.ndindex(out.shape):
        total = sum(int(x[index]) * mul for x, mul in zip(maps, layer.mul, strict=True))
        expected = (total + int(layer.add[index[-1]])) >> layer.shift
        assert out[index] == min(max(expected, layer.lo), layer.hi)


@pytest.mark.parametrize(
    ("x", "y", "expected"), [(1, 0, 1), (-1, 0, 0), (2, 1, 1), (-2, 1, -1), (9, -9, 5), (-9, 9, -4)]
)
def test_ties_round_up_and_a_negative_factor_subtracts(x, y, expected):
    output = Tensor("add", (1, 1, 1), Interval(-4, 5), 1.0)
    layer = Add("add", ("x", "y"), (1, -1), np.array([1]), 1, -4, 5, output)
    assert add(layer, np.array([[[[x]]]]), np.array([[[[y]]]])).item() == expected


def test_sums_of_bytes_do_not_wrap_in_the_inputs_type():
    output = Tensor("add", (1, 1, 1), Interval(0, 1 << 20), 1.0)
    layer = Add("add", ("x", "x"), (255, 128), np.array([0]), 0, 0, 1 << 20, output)
    x = np.full((1, 1, 1, 1), 255, np.uint8)
    assert add(layer, x, x).item() == 255 * (255 + 128)
    assert x.item() == 255
