"""Faults planted in the graph engine, each of which an ordinary check catches; the design as it is passes them all."""

from dataclasses import replace

import numpy as np
import pytest

import hwgen.rtl.delay_line
import hwgen.rtl.serial_graph
import hwgen.sizing.adder_graph
from hwgen.interval import Interval
from hwgen.rtl.adder_graph import ParallelGraph
from hwgen.rtl.delay_line import BlockDelayLine
from hwgen.rtl.graph_conv import GraphConvEngine
from hwgen.rtl.serial_graph import SerialGraph
from hwgen.rtl.taps import Taps
from hwgen.sizing.adder_graph import AdderGraph, _Builder, solve
from hwgen.sizing.graph_engine import GraphFolding, plan_of
from hwgen.sizing.raster import Raster

from ..networks import BYTE, SIGNED, conv, frames, tensor
from . import test_adder_graph
from .mutants import mutate
from .test_graph_conv import assert_graph_exact


@pytest.fixture(autouse=True)
def solved_anew():
    """Graphs are made once in a process; a faulty one must not outlive its test."""
    hwgen.sizing.adder_graph._solve.cache_clear()
    yield
    hwgen.sizing.adder_graph._solve.cache_clear()


def graphs():
    """Subtractions at every shift, a negative output, shifted outputs, shifts wider than an input."""
    mixed = np.array([[7, -1, 3, -8], [-5, -3, 12, 0], [9, -6, -1, 0]])
    even, wide = np.array([[4, 12], [8, 20]]), np.array([[1], [8]])
    for matrix, interval in ((mixed, BYTE), (mixed, SIGNED), (even, SIGNED), (wide, Interval(-2, 1))):
        graph = solve(matrix, interval)
        x = test_adder_graph.vectors(graph)
        want = (x @ matrix - graph.missing).tolist()
        assert test_adder_graph.run_parallel(graph, x) == want
        assert test_adder_graph.run_parallel(graph, x, levels=2) == want
        assert test_adder_graph.run_serial(graph, x) == want
        assert test_adder_graph.run_serial(graph, x, digit=3, gaps=True) == want


def windowed():
    """A padded, strided convolution with negative-only weights in one channel, in both forms, under stalls."""
    rng = np.random.default_rng(0)
    source = tensor((5, 4, 2), SIGNED)
    layer = conv(rng, source, 4, (3, 3), pads=(1, 1, 1, 1), stride=(1, 2), output=Interval.of_bits(12, signed=True))
    levels = layer.codebook.decode(layer.codes)
    levels[1] = 0
    levels[1, 0, 0] = -4
    layer = replace(layer, codes=layer.codebook.encode(levels))
    x = frames(rng, source, 3)
    for folding in (GraphFolding(None, 2), GraphFolding(1, 1), GraphFolding(2, 4)):
        ends = assert_graph_exact(layer, source, folding, x)
        assert set(np.diff(ends)[1:]) == {plan_of(layer, source.interval, folding).cycles}
        assert_graph_exact(layer, source, folding, x, stall_in=0.2, stall_out=0.9, seed=1)


def rows():
    """Rows long enough for a memory, of unsigned pixels."""
    rng = np.random.default_rng(0)
    source = tensor((3, 18, 4))
    layer = conv(rng, source, 2, (2, 2))
    for folding in (GraphFolding(None, 2), GraphFolding(1, 1)):
        assert_graph_exact(layer, source, folding, frames(rng, source, 3), stall_in=0.2)


CHECKS = {check.__name__: check for check in (graphs, windowed, rows)}

MUTANTS = {
    # name: (check, owner, function, old, new)
    "a sum forgets its sign": (
        "graphs", _Builder, "add", "x.negative != y.negative)\n", "False)\n"
    ),
    "a difference is the wrong way round": (
        "graphs", _Builder, "add", "return _Term(node, x.shift, x.negative)", "return _Term(node, x.shift, False)"
    ),
    "sums are as wide as their nodes": (
        "graphs", AdderGraph, "_sum", "* (1 << output.shift)", ""
    ),
    "low bits have no sign": (
        "graphs", ParallelGraph, "_add", "left[-1].replicate(adder.shift)", "Const(0, adder.shift)"
    ),
    "a value is taken a stage too early": (
        "graphs", ParallelGraph, "elaborate", "chain[stage - stages.stage[node]]", "chain[0]"
    ),
    "a parallel output is not inverted": (
        "graphs", ParallelGraph, "elaborate", "~shifted if output.inverted else shifted", "shifted"
    ),
    "a serial output is not inverted": (
        "graphs", SerialGraph, "elaborate", "~shifted if output.inverted else shifted", "shifted"
    ),
    "a carry lives on in the next word": (
        "graphs", SerialGraph, "_add", "carry & ~fresh", "carry"
    ),
    "a subtraction starts without a carry": (
        "graphs", SerialGraph, "_add", "~mask | more if subtract else mask & more", "mask & more"
    ),
    "a mask opens a digit late": (
        "graphs", SerialGraph, "_mask", "begins + digits)", "begins + digits + 1)"
    ),
    "a mask stays open": (
        "graphs", SerialGraph, "_mask", "mask & ~self._pulse(m, begins)", "mask"
    ),
    "part of a digit is not hidden": (
        "graphs", hwgen.rtl.serial_graph, "hidden_digits", "digits + (place < bits)", "digits"
    ),
    "sums are read a cycle late": (
        "graphs", SerialGraph, "elaborate", "self._pulse(m, self.latency + 1)", "self._pulse(m, self.latency + 2)"
    ),
    "a delay line is a step too long": (
        "rows", hwgen.rtl.delay_line, "_ring", "place == length - 2", "place == length - 1"
    ),
    "a delay line moves by itself": (
        "rows", BlockDelayLine, "elaborate", "write.en.eq(step)", "write.en.eq(1)"
    ),
    "a long line is written too early": (
        "rows", BlockDelayLine, "elaborate", "write.addr.eq(written)", "write.addr.eq(place)"
    ),
    "taps are extended by zeros": (
        "windowed", Taps, "elaborate", "held[lane][-1].replicate(self._digit)", "Const(0, self._digit)"
    ),
    "unsigned taps are extended by ones": (
        "rows", Taps, "elaborate", "else Const(0, self._digit)", "else Const(-1, self._digit)"
    ),
    "padding is zero": (
        "windowed", Taps, "_digit_of", "Const(self._pad[lane], shape)", "Const(0, shape)"
    ),
    "results come before the first frame": (
        "windowed", Taps, "_walk", "(begun | frame_ends) & next_row_hits", "next_row_hits"
    ),
    "a window begins without room": (
        "windowed", Taps, "_walk", "(~hit | self.room)", "1"
    ),
    "a pixel is taken with its first digit": (
        "rows", Taps, "_walk", "phase == digits - 1) & ~padding", "phase == 0) & ~padding"
    ),
    "padding takes a pixel": (
        "windowed", Taps, "_walk", "(phase == digits - 1) & ~padding", "(phase == digits - 1)"
    ),
    "every pixel takes a slot": (
        "windowed", Taps, "_walk", "Mux(hit, phase == slot - 1, phase == digits - 1)", "phase == slot - 1"
    ),
    "padding is counted from the first column": (
        "windowed", Raster, "_hits", "- 1 - self.geometry.pads[axis]", "- 1"
    ),
    "the bias does not know of inverted sums": (
        "windowed", GraphConvEngine, "_requantizer", "add + mul * missing", "add"
    ),
}  # fmt: skip


@pytest.mark.parametrize("check", CHECKS)
def test_the_design_passes(check):
    CHECKS[check]()


@pytest.mark.parametrize("name", MUTANTS)
def test_the_fault_is_caught(name, monkeypatch):
    check, *fault = MUTANTS[name]
    mutate(monkeypatch, *fault)
    with pytest.raises((AssertionError, IndexError, ValueError)):
        CHECKS[check]()
