"""Folding: the formulas that the planner trusts (the engines are timed against them in tests/rtl)."""

import numpy as np
import pytest

from hwgen.floatnet import PoolKind
from hwgen.folding import Folding, divisors, geometry_of, output_lanes

from .networks import conv, foldings, pool, tensor


def rng():
    return np.random.default_rng(0)


def test_divisors():
    assert divisors(1) == [1]
    assert divisors(12) == [1, 2, 3, 4, 6, 12]
    assert divisors(13) == [1, 13]


@pytest.mark.parametrize(
    ("shape", "outputs", "kernel", "stride", "pads", "folding", "cycles"),
    [
        # Windowed: output pixels x groups x words of a window.
        ((8, 8, 4), 8, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1, 1), 64 * 8 * 36),
        ((8, 8, 4), 8, (3, 3), (1, 1), (1, 1, 1, 1), (8, 4, 1), 64 * 1 * 9),
        ((8, 8, 4), 8, (3, 3), (2, 2), (1, 1, 1, 1), (4, 2, 1), 16 * 2 * 18),
        # ... but no fewer than it takes to bring the map in ...
        ((9, 9, 4), 8, (3, 3), (3, 3), (0, 0, 0, 0), (8, 2, 1), 9 * 9 * 2),
        # ... nor than it takes to bring the results out.
        ((8, 8, 4), 8, (1, 2), (1, 1), (0, 0, 0, 1), (8, 4, 1), 64 * 8),
        # Direct: as many beats; the groups end at least pe / lanes cycles apart, the last one behind the next frame.
        ((4, 4, 8), 6, (4, 4), (1, 1), (0, 0, 0, 0), (2, 4, 2), 3 * 32),
        ((4, 4, 8), 6, (4, 4), (1, 1), (0, 0, 0, 0), (2, 4, 1), 2 * 2 + 31 * 3 + 1),
        ((4, 4, 8), 6, (4, 4), (1, 1), (0, 0, 0, 0), (6, 4, 1), 32),
        ((4, 4, 8), 6, (1, 1), (1, 1), (0, 0, 0, 0), (3, 8, 1), 16 * (3 + 3)),
    ],
)
def test_cycles_of_a_convolution(shape, outputs, kernel, stride, pads, folding, cycles):
    layer = conv(rng(), tensor(shape), outputs, kernel, stride=stride, pads=pads)
    assert Folding(*folding).cycles(layer) == cycles


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "lanes", "cycles"),
    [
        ((8, 8, 4), (2, 2), (2, 2), 1, 16 * 4 * 4),
        ((8, 8, 4), (2, 2), (2, 2), 4, 64),
        ((8, 8, 4), (3, 3), (2, 2), 2, 9 * 9 * 2),
        ((8, 8, 4), (2, 2), (4, 4), 2, 64 * 2),  # four pixels of sixteen are used, all of them come in
        ((8, 8, 4), (8, 8), (1, 1), 2, 64 * 2),
    ],
)
@pytest.mark.parametrize("kind", PoolKind)
def test_cycles_of_a_pool(shape, kernel, stride, lanes, cycles, kind):
    layer = pool(rng(), tensor(shape), kind, kernel, stride)
    assert Folding(lanes, lanes, lanes).cycles(layer) == cycles


LAYERS = {
    "windowed": lambda: conv(rng(), tensor((6, 6, 6)), 12, (3, 3), pads=(1, 1, 1, 1)),
    "pointwise": lambda: conv(rng(), tensor((4, 4, 16)), 12, (1, 1)),
    "dense": lambda: conv(rng(), tensor((4, 4, 8)), 10, (4, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_no_folding_beats_its_multipliers(name):
    layer = LAYERS[name]()
    for folding in foldings(layer):
        assert folding.cycles(layer) * folding.macs_per_cycle >= layer.macs


@pytest.mark.parametrize("name", LAYERS)
def test_lanes_are_the_fewest_that_keep_up(name):
    layer = LAYERS[name]()
    for pe in divisors(layer.codes.shape[0]):
        for simd in divisors(layer.input_shape[2]):
            chosen = Folding.of(layer, pe, simd)
            chosen.validate(layer)
            widest = Folding(pe, simd, pe).cycles(layer)
            slack = 16 / 15 if geometry_of(layer).direct else 1
            assert chosen.cycles(layer) <= widest * slack
            assert output_lanes(layer, pe, simd) == chosen.lanes


@pytest.mark.parametrize("name", LAYERS)
def test_more_multipliers_are_never_slower(name):
    layer = LAYERS[name]()
    for folding in foldings(layer):
        for pe in divisors(layer.codes.shape[0]):
            if pe % folding.pe == 0:
                wider = Folding(pe, folding.simd, pe)
                assert wider.cycles(layer) <= folding.cycles(layer)


def test_refuses_what_does_not_divide():
    layer = LAYERS["windowed"]()
    with pytest.raises(ValueError, match="SIMD must divide the 6 input channels, not 4"):
        Folding(1, 4, 1).validate(layer)
    with pytest.raises(ValueError, match="PE must divide 12 channels"):
        Folding(5, 1, 1).validate(layer)
    with pytest.raises(ValueError, match="lanes PE"):
        Folding(4, 1, 3).validate(layer)
    with pytest.raises(ValueError, match="pooling must have pe == simd == lanes"):
        Folding(2, 1, 1).validate(pool(rng(), tensor((4, 4, 2)), PoolKind.MAX, (2, 2), (2, 2)))
