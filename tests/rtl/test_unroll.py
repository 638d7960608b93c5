"""Convolutions of several kernel positions per cycle: equal to the reference, at the rate that the folding promises."""

import numpy as np
import pytest

import hwgen.rtl.conv
import hwgen.rtl.window
from hwgen.plan import Folding
from hwgen.rtl.conv import ConvEngine
from hwgen.rtl.window import Window
from hwgen.sizing.folding import geometry_of

from ..graphs import residual
from ..networks import BYTE, SIGNED, conv, frames, tensor
from .drive import assert_exact, run_engine
from .mutants import mutate
from .test_branches import check as check_branches

ALL = (1, 1, 1, 1)

LAYERS = {
    # name: (shape, outputs, kernel, options, [(PE, SIMD, lanes, unroll)])
    "one channel": ((5, 6, 1), 4, (3, 3), {"pads": ALL}, [(4, 1, 4, (3, 3)), (2, 1, 1, (3, 1)), (1, 1, 1, (1, 3))]),
    "three channels, strided": (
        (6, 6, 3),
        4,
        (3, 3),
        {"stride": (2, 2), "pads": (0, 0, 1, 1)},
        [(4, 3, 4, (3, 3)), (2, 1, 2, (3, 3)), (4, 3, 2, (1, 3))],
    ),
    "blocks": ((6, 8, 2), 4, (4, 6), {}, [(2, 1, 1, (2, 3)), (4, 2, 2, (2, 2)), (1, 2, 1, (4, 3))]),
    "pads of every side": (
        (4, 5, 2),
        2,
        (4, 4),
        {"pads": (3, 1, 2, 2)},
        [(1, 1, 1, (2, 2)), (2, 2, 2, (2, 4)), (2, 1, 1, (4, 1))],
    ),
    "past the edge in one step": ((4, 4, 2), 2, (3, 3), {"stride": (3, 3), "pads": (0, 0, 2, 2)}, [(2, 2, 2, (3, 3))]),
    "dilated": (
        (7, 6, 2),
        2,
        (2, 3),
        {"dilation": (3, 2), "pads": (2, 3, 1, 2), "stride": (1, 2)},
        [(2, 2, 2, (2, 3)), (1, 1, 1, (2, 1))],
    ),
    "groups": ((4, 5, 6), 6, (2, 3), {"groups": 3, "pads": (1, 0, 0, 2)}, [(2, 2, 2, (2, 3)), (1, 1, 1, (1, 3))]),
    "depthwise": (
        (5, 4, 6),
        6,
        (3, 3),
        {"groups": 6, "pads": ALL},
        [(6, 6, 6, (3, 3)), (3, 3, 1, (3, 1)), (2, 2, 2, (1, 3))],
    ),
    "depthwise, strided": (
        (6, 7, 4),
        4,
        (3, 3),
        {"groups": 4, "stride": (2, 2), "pads": (0, 0, 1, 1)},
        [(4, 4, 4, (3, 3)), (2, 2, 2, (3, 3)), (1, 1, 1, (3, 1))],
    ),
    "depthwise, dilated": (
        (6, 6, 4),
        4,
        (2, 2),
        {"groups": 4, "dilation": (3, 2), "pads": (2, 1, 3, 0)},
        [(2, 2, 2, (2, 2)), (4, 4, 2, (1, 2))],
    ),
}
CASES = [(name, folding) for name, layer in LAYERS.items() for folding in layer[4]]


def make(name, *, interval=BYTE):
    shape, outputs, kernel, options, _ = LAYERS[name]
    source = tensor(shape, interval)
    return conv(np.random.default_rng(0), source, outputs, kernel, **options), source


@pytest.mark.parametrize("stalls", [{}, {"stall_in": 0.3, "stall_out": 0.5, "seed": 1}], ids=["free", "stalled"])
@pytest.mark.parametrize(("name", "folding"), CASES, ids=str)
def test_equals_reference(name, folding, stalls):
    layer, source = make(name, interval=SIGNED if "groups" in name else BYTE)
    assert_exact(layer, source, Folding(*folding), frames(np.random.default_rng(1), source, 3), **stalls)


@pytest.mark.parametrize(("name", "folding"), CASES, ids=str)
def test_initiation_interval(name, folding):
    """Between two frames lie exactly as many cycles as the planner counts."""
    layer, source = make(name)
    chosen = Folding(*folding)
    _, ends = run_engine(layer, source, chosen, frames(np.random.default_rng(1), source, 6))
    assert np.diff(ends)[2:].mean() == chosen.cycles(layer)


@pytest.mark.parametrize(("name", "folding"), CASES, ids=str)
def test_lanes_are_busy(name, folding):
    """With as many lanes as keep up, every PE multiplies in every cycle, unless the map cannot come in that fast."""
    layer, _ = make(name)
    pe, simd, _, unroll = folding
    chosen = Folding.of(layer, pe, simd, unroll)
    geometry = geometry_of(layer)
    words_in = geometry.shape[0] * geometry.shape[1] * geometry.words_per_pixel(simd)
    utilisation = layer.macs / (chosen.cycles(layer) * chosen.macs_per_cycle(layer))
    assert utilisation == 1 or chosen.cycles(layer) == words_in


@pytest.mark.parametrize(("unroll", "skip"), [((3, 3), (1, 1)), ((3, 1), (1, 1)), ((1, 3), (1, 3)), ((3, 3), (3, 3))])
@pytest.mark.parametrize("pads", [ALL, (2, 0, 0, 2)], ids=str)
def test_branches_have_the_fifos_that_they_need(unroll, skip, pads):
    """A residual block keeps its rate and its frames with the FIFOs that the schedule gives it."""
    net = residual(np.random.default_rng(3), shape=(5, 6, 2), kernel=(3, 3), pads=pads)
    first, second, _ = net.layers
    chosen = [Folding.of(first, 2, 2, skip), Folding.of(second, 2, 2, unroll), Folding(2, 2, 2)]
    check_branches(net, chosen, seed=1)


MUTANTS = {
    # name: (owner, function, old, new)
    "a tap's row is one down": (Window, "elaborate", "row * geometry.dilation[0] * width", "row * width"),
    "a tap's column is next to it": (Window, "elaborate", "column * geometry.dilation[1])", "column)"),
    "a tap's row is in the map when the block's is": (
        Window, "_outside", "(row >= height - i * down)", "(row >= height)"
    ),
    "a tap's column is above the pads": (Window, "_outside", "(column < -j * across)", "(column < 0)"),
    "all taps are padded as one": (Window, "elaborate", "Mux(outside[tap]", "Mux(outside[0]"),
    "all taps read the first one's address": (
        Window, "elaborate", "read.addr.eq(reads[tap])", "read.addr.eq(reads[0])"
    ),
    "only the first tap is waited for": (
        hwgen.rtl.window, "awaited", "product(sorted(rows), sorted(columns))", "product([0], [0])"
    ),
    "a block whose last tap is outside the map is not waited for": (
        hwgen.rtl.window, "awaited", "product(sorted(rows), sorted(columns))", "product([max(rows)], [max(columns)])"
    ),
    "blocks overlap": (Window, "_loops", "geometry.dilation[1] * block_columns", "geometry.dilation[1]"),
    "lanes of a PE are in another order": (
        hwgen.rtl.conv, "rom_words", "(0, 2, 4, 6, 1, 3, 5, 7)", "(0, 2, 4, 6, 1, 5, 3, 7)"
    ),
    "PEs share a channel": (ConvEngine, "_lanes_of", "range(pe, simd * taps, simd)", "range(0, simd * taps, simd)"),
    "PEs take neighbouring lanes": (
        ConvEngine, "_lanes_of", "range(pe, simd * taps, simd)", "range(pe * taps, (pe + 1) * taps)"
    ),
}  # fmt: skip


def check():
    """Layers in which no two taps, sides or channels are alike; pixels come in no faster than they are used."""
    stalls = {"stall_in": 0.5, "seed": 3}
    for name in ("dilated", "pads of every side", "past the edge in one step", "depthwise, dilated"):
        layer, source = make(name)
        for folding in LAYERS[name][4]:
            assert_exact(layer, source, Folding(*folding), frames(np.random.default_rng(2), source, 3), **stalls)


def test_the_design_passes():
    check()


@pytest.mark.parametrize("name", MUTANTS)
def test_the_fault_is_caught(name, monkeypatch):
    mutate(monkeypatch, *MUTANTS[name])
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check()
