"""The pooling engine equals the reference, at the rate that its folding promises."""

import numpy as np
import pytest

from hwgen.floatnet import PoolKind
from hwgen.interval import Interval
from hwgen.plan import Folding

from ..networks import BYTE, SIGNED, frames, pool, tensor
from .drive import assert_exact, run_engine

# name: (input shape, kernel, stride, pads, lanes)
LAYERS = {
    "2x2": ((4, 6, 4), (2, 2), (2, 2), (0, 0, 0, 0), [1, 2, 4]),
    "overlapping": ((5, 5, 2), (3, 3), (2, 2), (0, 0, 0, 0), [1, 2]),
    "padded": ((4, 4, 2), (3, 3), (2, 2), (1, 1, 0, 0), [2, 1]),
    "remainder": ((5, 7, 1), (2, 2), (2, 2), (0, 0, 0, 0), [1]),
    "sparse": ((5, 5, 2), (1, 2), (3, 3), (0, 0, 0, 0), [1]),
    "global": ((3, 3, 6), (3, 3), (1, 1), (0, 0, 0, 0), [1, 2, 3, 6]),
    "single pixel": ((1, 1, 4), (1, 1), (1, 1), (0, 0, 0, 0), [2]),
}
CASES = [(name, lanes) for name, layer in LAYERS.items() for lanes in layer[4]]


def make(name, kind, interval=BYTE, output=None):
    shape, kernel, stride, pads, _ = LAYERS[name]
    source = tensor(shape, interval)
    return pool(np.random.default_rng(7), source, kind, kernel, stride, pads=pads, output=output), source


@pytest.mark.parametrize("kind", PoolKind)
@pytest.mark.parametrize("stalls", [{}, {"stall_in": 0.3, "stall_out": 0.4, "seed": 5}], ids=["free", "stalled"])
@pytest.mark.parametrize(("name", "lanes"), CASES, ids=str)
def test_equals_reference(name, lanes, kind, stalls):
    layer, source = make(name, kind)
    x = frames(np.random.default_rng(1), source, 3)
    assert_exact(layer, source, Folding(lanes, lanes, lanes), x, **stalls)


@pytest.mark.parametrize("kind", PoolKind)
@pytest.mark.parametrize("interval", [SIGNED, Interval(-3, 0), Interval(-128, -100), Interval(5, 9)], ids=str)
@pytest.mark.parametrize("name", ["padded", "global"])
def test_intervals(name, kind, interval):
    """A maximum of negatives is negative: padding must lose, and the first tap must not compete with zero."""
    layer, source = make(name, kind, interval, output=SIGNED)
    assert_exact(layer, source, Folding(2, 2, 2), frames(np.random.default_rng(2), source, 3))


@pytest.mark.parametrize("kind", PoolKind)
@pytest.mark.parametrize(("name", "lanes"), CASES, ids=str)
def test_initiation_interval(name, lanes, kind):
    layer, source = make(name, kind)
    folding = Folding(lanes, lanes, lanes)
    x = frames(np.random.default_rng(1), source, 6)
    _, ends = run_engine(layer, source, folding, x)
    assert np.diff(ends)[2:].mean() == folding.cycles(layer)


def test_refuses_a_convolution_folding():
    layer, source = make("2x2", PoolKind.MAX)
    with pytest.raises(ValueError, match="pooling must have pe == simd == lanes"):
        run_engine(layer, source, Folding(2, 1, 1), frames(np.random.default_rng(0), source, 1))
