"""The pooling engine equals the reference, at the rate that its folding promises."""

import numpy as np
import pytest

from hwgen.floatnet import PoolKind
from hwgen.interval import Interval
from hwgen.plan import Folding
from hwgen.rtl.divisors import DivisorIndex

from ..networks import BYTE, SIGNED, frames, pool, tensor
from .drive import assert_exact, run_engine

# name: (input shape, kernel, stride, pads, lanes[, dilation])
LAYERS = {
    "2x2": ((4, 6, 4), (2, 2), (2, 2), (0, 0, 0, 0), [1, 2, 4]),
    "overlapping": ((5, 5, 2), (3, 3), (2, 2), (0, 0, 0, 0), [1, 2]),
    "padded": ((4, 4, 2), (3, 3), (2, 2), (1, 1, 0, 0), [2, 1]),
    "remainder": ((5, 7, 1), (2, 2), (2, 2), (0, 0, 0, 0), [1]),
    "sparse": ((5, 5, 2), (1, 2), (3, 3), (0, 0, 0, 0), [1]),
    "global": ((3, 3, 6), (3, 3), (1, 1), (0, 0, 0, 0), [1, 2, 3, 6]),
    "single pixel": ((1, 1, 4), (1, 1), (1, 1), (0, 0, 0, 0), [2]),
    "1x1": ((3, 2, 4), (1, 1), (1, 1), (0, 0, 0, 0), [2]),
    "dilated": ((6, 5, 2), (3, 2), (1, 2), (2, 1, 0, 3), [1, 2], (2, 3)),
}
CASES = [(name, lanes) for name, layer in LAYERS.items() for lanes in layer[4]]


def make(name, kind, interval=BYTE, output=None):
    shape, kernel, stride, pads, _, *dilation = LAYERS[name]
    source = tensor(shape, interval)
    options = {"pads": pads, "output": output, "dilation": dilation[0] if dilation else (1, 1)}
    return pool(np.random.default_rng(7), source, kind, kernel, stride, **options), source


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


# name: (input shape, kernel, stride, pads, dilation, lanes, distinct divisors)
INSIDE = {
    "same 3x3": ((4, 5, 4), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), [1, 2, 4], 3),
    "strided": ((5, 7, 2), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), [1, 2], 3),
    "rows only": ((5, 4, 2), (3, 1), (1, 1), (1, 0, 1, 0), (1, 1), [2], 2),
    "columns only": ((3, 5, 2), (2, 4), (1, 1), (0, 2, 0, 3), (1, 1), [1], 4),
    "dilated": ((5, 5, 2), (3, 2), (1, 1), (2, 1, 3, 1), (2, 3), [2], 5),
    "every place its own": ((4, 1, 1), (4, 1), (1, 1), (3, 0, 3, 0), (1, 1), [1], 4),
    "a single output": ((3, 3, 4), (4, 4), (1, 1), (1, 1, 0, 0), (1, 1), [1, 4], 1),
    "a single tap": ((3, 3, 2), (1, 1), (2, 1), (1, 1, 0, 0), (1, 1), [2], 1),
}


@pytest.mark.parametrize("stalls", [{}, {"stall_in": 0.3, "stall_out": 0.6, "seed": 5}], ids=["free", "stalled"])
@pytest.mark.parametrize(("name", "lanes"), [(name, n) for name, case in INSIDE.items() for n in case[5]], ids=str)
def test_average_of_what_lies_inside(name, lanes, stalls):
    """Every place on the map is divided by its own number of taps, frame after frame."""
    shape, kernel, stride, pads, dilation, _, distinct = INSIDE[name]
    source, folding = tensor(shape, SIGNED), Folding(lanes, lanes, lanes)
    layer = pool(
        np.random.default_rng(3), source, PoolKind.AVERAGE, kernel, stride, pads=pads, dilation=dilation,
        count_inside=True,
    )  # fmt: skip
    assert len(layer.distinct_divisors) == distinct
    ends = assert_exact(layer, source, folding, frames(np.random.default_rng(1), source, 6), **stalls)
    if not stalls:
        assert np.diff(ends)[2:].mean() == folding.cycles(layer)


def test_an_index_needs_something_to_choose_from():
    shape, kernel, stride, pads, *_ = INSIDE["a single output"]
    layer = pool(np.random.default_rng(3), tensor(shape), PoolKind.AVERAGE, kernel, stride, pads=pads)
    with pytest.raises(ValueError, match="pool: it must have two or more distinct divisors"):
        DivisorIndex(layer, 1)


def test_refuses_a_convolution_folding():
    layer, source = make("2x2", PoolKind.MAX)
    with pytest.raises(ValueError, match="pooling must have pe == simd == lanes"):
        run_engine(layer, source, Folding(2, 1, 1), frames(np.random.default_rng(0), source, 1))
