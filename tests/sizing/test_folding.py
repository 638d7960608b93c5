"""Folding: the formulas that the planner trusts (the engines are timed against them in tests/rtl)."""

from dataclasses import replace

import numpy as np
import pytest

from hwgen.floatnet import PoolKind
from hwgen.sizing.folding import Folding, divisors, geometry_of, output_lanes
from hwgen.sizing.folding import foldings as foldings_with_fewest_lanes

from ..networks import conv, foldings, pool, table, tensor, unrolled


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
        # Unrolled: a beat for every block, as long as the map comes in and the results leave that fast.
        ((8, 8, 1), 8, (3, 3), (1, 1), (1, 1, 1, 1), (4, 1, 4, (3, 3)), 64 * 2),
        ((8, 8, 1), 8, (3, 3), (1, 1), (1, 1, 1, 1), (4, 1, 2, (3, 1)), 64 * 2 * 3),
        ((8, 8, 1), 8, (3, 3), (1, 1), (1, 1, 1, 1), (8, 1, 1, (1, 3)), 64 * 8),
        ((8, 8, 2), 4, (4, 6), (2, 2), (0, 0, 0, 0), (1, 1, 1, (2, 3)), 3 * 2 * 4 * 2 * 2 * 2),
        ((9, 9, 3), 4, (3, 3), (3, 3), (0, 0, 0, 0), (4, 3, 4, (3, 3)), 81),
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
    ("shape", "outputs", "kernel", "options", "folding", "cycles"),
    [
        # Depthwise: output pixels x channels / SIMD x taps.
        ((8, 8, 4), 4, (3, 3), {"groups": 4, "pads": (1, 1, 1, 1)}, (2, 2, 1), 64 * 2 * 9),
        ((8, 8, 4), 4, (3, 3), {"groups": 4, "pads": (1, 1, 1, 1), "stride": (2, 2)}, (4, 4, 1), 16 * 9),
        ((8, 8, 4), 4, (3, 3), {"groups": 4, "dilation": (3, 2)}, (1, 1, 1), 2 * 4 * 4 * 9),
        ((8, 8, 4), 4, (3, 3), {"groups": 4, "pads": (1, 1, 1, 1)}, (2, 2, 2, (3, 3)), 64 * 2),
        ((8, 8, 4), 4, (3, 3), {"groups": 4, "pads": (1, 1, 1, 1)}, (2, 2, 1, (1, 3)), 64 * 2 * 3),
        ((8, 8, 4), 4, (1, 2), {"groups": 4, "pads": (0, 0, 0, 1)}, (4, 4, 1), 64 * 4),
        ((8, 8, 4), 4, (8, 8), {"groups": 4}, (2, 2, 1), 63 * 2 + 2 * 2 - 1),
        ((8, 8, 4), 4, (1, 1), {"groups": 4}, (2, 2, 1), 64 * 2 * 2),
        # Groups: output pixels x outputs / PE x words of a group's window.
        ((8, 8, 8), 12, (3, 3), {"groups": 4, "pads": (1, 1, 1, 1)}, (3, 2, 1), 64 * 4 * 9),
        ((8, 8, 8), 12, (3, 3), {"groups": 4, "pads": (1, 1, 1, 1)}, (1, 1, 1), 64 * 12 * 18),
        ((8, 8, 4), 8, (3, 3), {"groups": 4, "pads": (1, 1, 1, 1)}, (2, 1, 1), 64 * 4 * 9),
        ((8, 8, 8), 8, (1, 1), {"groups": 2}, (4, 4, 1), 64 * 2 * 4),
    ],
)
def test_cycles_in_groups(shape, outputs, kernel, options, folding, cycles):
    layer = conv(rng(), tensor(shape), outputs, kernel, **options)
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
    "depthwise": lambda: conv(rng(), tensor((6, 6, 6)), 6, (3, 3), groups=6),
    "depthwise of the whole map": lambda: conv(rng(), tensor((4, 3, 12)), 12, (4, 3), groups=12),
    "groups": lambda: conv(rng(), tensor((6, 6, 8)), 12, (3, 3), groups=2),
    "two outputs per channel": lambda: conv(rng(), tensor((6, 6, 4)), 8, (3, 3), groups=4),
}


def every(layer):
    """All legal foldings, those of several taps per cycle included."""
    return [wider for folding in foldings(layer) for wider in unrolled(layer, folding)]


@pytest.mark.parametrize("name", LAYERS)
def test_no_folding_beats_its_multipliers(name):
    layer = LAYERS[name]()
    for folding in every(layer):
        assert folding.cycles(layer) * folding.macs_per_cycle(layer) >= layer.macs


@pytest.mark.parametrize("name", LAYERS)
def test_lanes_are_the_fewest_that_keep_up(name):
    layer = LAYERS[name]()
    for chosen in foldings_with_fewest_lanes(layer):
        chosen.validate(layer)
        widest = replace(chosen, lanes=chosen.pe).cycles(layer)
        slack = 16 / 15 if geometry_of(layer).direct else 1
        assert chosen.cycles(layer) <= widest * slack
        assert output_lanes(layer, chosen.pe, chosen.simd, chosen.unroll) == chosen.lanes


@pytest.mark.parametrize("name", LAYERS)
def test_every_array_is_offered_once(name):
    layer = LAYERS[name]()
    offered = [replace(folding, lanes=1) for folding in foldings_with_fewest_lanes(layer)]
    assert len(set(offered)) == len(offered)
    assert set(offered) == {replace(folding, lanes=1) for folding in every(layer)}


def test_every_lane_of_what_has_no_array_is_offered():
    source = tensor((4, 4, 6))
    assert foldings_with_fewest_lanes(pool(rng(), source, PoolKind.MAX, (2, 2), (2, 2))) == [
        Folding(lanes, lanes, lanes) for lanes in (1, 2, 3, 6)
    ]
    assert foldings_with_fewest_lanes(table(rng(), source)) == [Folding(lanes, lanes, lanes) for lanes in (1, 2, 3, 6)]


@pytest.mark.parametrize("name", LAYERS)
def test_more_multipliers_are_never_slower(name):
    layer = LAYERS[name]()
    sizes = [((f.pe, f.simd, *f.unroll), f.cycles(layer), f.lanes == f.pe) for f in every(layer)]
    for size, cycles, _ in sizes:
        for wider, fewer, drained in sizes:
            if drained and not any(w % s for w, s in zip(wider, size, strict=True)):
                assert fewer <= cycles


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
    with pytest.raises(ValueError, match="depthwise convolution must have pe == simd"):
        Folding(2, 1, 1).validate(LAYERS["depthwise"]())
    for unroll in ((2, 1), (1, 2), (0, 1), (6, 3)):
        with pytest.raises(ValueError, match="unroll must divide a kernel that reads a line buffer"):
            Folding(1, 1, 1, unroll).validate(layer)
    for name in ("dense", "pointwise", "depthwise of the whole map"):
        with pytest.raises(ValueError, match="unroll must divide a kernel that reads a line buffer"):
            Folding(1, 1, 1, (2, 1)).validate(LAYERS[name]())
    with pytest.raises(ValueError, match="unroll must divide a kernel that reads a line buffer"):
        Folding(1, 1, 1, (2, 2)).validate(pool(rng(), tensor((4, 4, 2)), PoolKind.MAX, (2, 2), (2, 2)))
    with pytest.raises(ValueError, match="PE must divide 6 channels of a group"):
        Folding(12, 1, 1).validate(LAYERS["groups"]())
