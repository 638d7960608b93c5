"""What a network and its layers know about themselves. What they refuse: test_validate.py."""

import numpy as np
import pytest

from hwgen.floatnet import Layout, PoolKind
from hwgen.network import Requant, Rescale

from .networks import add, conv, depthwise, network, pool, tensor


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_what_a_chain_knows(rng):
    source = tensor((4, 4, 2))
    first = conv(rng, source, 3, (3, 3), pads=(1, 1, 1, 1), name="first")
    second = pool(rng, first.output, PoolKind.MAX, (2, 2), (2, 2), name="second")
    net = network(first, second, source=source)
    assert net.input is source
    assert net.output is second.output
    assert net.tensor("first") is first.output
    assert net.tensor("x") is source
    assert list(net.tensors) == ["x", "first", "second"]
    assert net.layouts == (Layout.CHANNEL_FIRST,)
    assert net.macs == first.macs == 16 * 3 * 9 * 2
    with pytest.raises(KeyError):
        net.tensor("third")


def test_what_a_graph_knows(rng):
    left, right = tensor((4, 4, 2), name="left"), tensor((4, 4, 2), name="right")
    total = add(rng, [left, right], name="total")
    net = network(total, source=[left, right], outputs=["total", "left"])
    assert net.macs == 0
    for member in ("input", "output"):
        with pytest.raises(ValueError, match="too many values"):
            getattr(net, member)


def test_macs_of_groups_count_only_their_own_channels(rng):
    source = tensor((4, 4, 6))
    assert conv(rng, source, 4, (3, 3), groups=2, name="grouped").macs == 2 * 2 * 4 * 9 * 3
    assert depthwise(rng, source, (3, 3)).macs == 2 * 2 * 6 * 9


def test_depthwise_is_one_output_for_each_input(rng):
    source = tensor((4, 4, 6))
    assert depthwise(rng, source, (3, 3)).depthwise
    assert not conv(rng, source, 12, (3, 3), groups=6).depthwise
    assert not conv(rng, source, 6, (3, 3), groups=3).depthwise
    assert not conv(rng, tensor((4, 4, 1)), 1, (3, 3)).depthwise


def test_distinct_divisors_ascend(rng):
    source = tensor((5, 5, 1))
    layer = pool(rng, source, PoolKind.AVERAGE, (3, 3), (1, 1), pads=(1, 1, 1, 1), count_inside=True)
    assert layer.divisors == ((2, 3, 3, 3, 2), (2, 3, 3, 3, 2))
    assert layer.distinct_divisors == (4, 6, 9)
    assert pool(rng, source, PoolKind.AVERAGE, (3, 2), (1, 1)).distinct_divisors == (6,)


@pytest.mark.parametrize(
    ("mul", "add", "shift", "lo", "hi", "message"),
    [
        ([8, 9], [0], 3, 0, 255, "mul and add must be one value per channel"),
        ([11], [0], 3, 0, 255, "mul must be positive sums of at most 2 signed powers of two"),
        ([-8], [0], 3, 0, 255, "mul must be positive sums"),
        ([0], [0], 3, 0, 255, "mul must be positive sums"),
        ([8], [0], -1, 0, 255, "shift must be >= 0"),
        ([8], [0], 3, 1, 0, "lo <= hi"),
    ],
)
def test_requant_refuses(mul, add, shift, lo, hi, message):
    with pytest.raises(ValueError, match=message):
        Requant(np.array(mul), np.array(add), shift, lo, hi)


@pytest.mark.parametrize(
    ("mul", "shift", "lo", "hi", "message"),
    [
        (0, 3, 0, 255, "mul must be a positive sum"),
        (-3, 3, 0, 255, "mul must be a positive sum"),
        (0b101010101, 3, 0, 255, "at most 4 powers of two, not 341"),
        (3, -1, 0, 255, "shift must be >= 0"),
        (3, 3, 1, 0, "lo <= hi"),
    ],
)
def test_rescale_refuses(mul, shift, lo, hi, message):
    with pytest.raises(ValueError, match=message):
        Rescale(mul, 0, shift, lo, hi)
    Rescale(0b1010101, 0, 3, 0, 255)
