"""A network that does not fit together cannot be made."""

import dataclasses
import re

import numpy as np
import pytest

from hwgen.floatnet import PoolKind
from hwgen.interval import Interval
from hwgen.network import Network, Requant

from .networks import conv, pool, tensor


@pytest.fixture
def layers():
    """A source, a padded convolution and a maximum pool that reads it."""
    rng = np.random.default_rng(0)
    source = tensor((4, 4, 2))
    first = conv(rng, source, 3, (3, 3), pads=(1, 1, 1, 1), name="first")
    return source, first, pool(rng, first.output, PoolKind.MAX, (2, 2), (2, 2), name="second")


def output(layer, **changes):
    """``layer`` with another output tensor."""
    return dataclasses.replace(layer, output=dataclasses.replace(layer.output, **changes))


def test_what_a_network_knows(layers):
    source, first, second = layers
    network = Network("net", source, (first, second))
    assert network.output is second.output
    assert network.tensor("first") is first.output
    assert network.tensor("x") is source
    assert network.macs == first.macs == 16 * 3 * 9 * 2
    with pytest.raises(KeyError):
        network.tensor("third")


WRONG = {
    "no layers": (lambda a, b: (), "must have at least one layer"),
    "unknown source": (lambda a, b: (b,), "second: its source 'first' must be the input or an earlier layer"),
    "input shape": (
        lambda a, b: (dataclasses.replace(a, input_shape=(4, 5, 2)),),
        "first: input shape must be (4, 4, 2), not (4, 5, 2)",
    ),
    "output shape": (
        lambda a, b: (output(a, shape=(3, 4, 3)),),
        "first: output shape must be (4, 4, 3), not (3, 4, 3)",
    ),
    "interval of a requantization": (
        lambda a, b: (output(a, interval=Interval(0, 127)),),
        "first: output interval must be Interval(lo=0, hi=255), not Interval(lo=0, hi=127)",
    ),
    "interval of a maximum": (
        lambda a, b: (a, output(b, interval=Interval(0, 15))),
        "second: output interval must be Interval(lo=0, hi=255), not Interval(lo=0, hi=15)",
    ),
    "two tensors of one name": (lambda a, b: (a, output(b, name="first")), "second: tensor name 'first' must not be"),
    "name of the input": (lambda a, b: (output(a, name="x"),), "first: tensor name 'x' must not be in use before"),
}


@pytest.mark.parametrize("name", WRONG)
def test_refuses(layers, name):
    source, first, second = layers
    change, message = WRONG[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        Network("net", source, change(first, second))


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
