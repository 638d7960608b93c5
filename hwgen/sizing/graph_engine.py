"""Rate, latency and cost of a convolution as an adder graph: what ``rtl.graph_conv.GraphConvEngine`` builds."""

from __future__ import annotations

from dataclasses import dataclass

from ..interval import Interval
from ..network import Conv
from .adder_graph import AdderGraph, graph_of
from .bounds import tap_interval
from .folding import geometry_of
from .graph_schedule import parallel_stages, serial_times
from .memories import in_block_ram
from .pipeline import QUEUE_LATENCY, REQUANT_LATENCY
from .raster import Raster
from .streaming import MemoryShape

__all__ = ["SHORT_LINE", "GraphFolding", "GraphPlan", "plan_of", "supports"]

SHORT_LINE = 3
"""Delay lines of up to so many steps are registers, which are cheaper than the ports of a memory."""

RELAY_LATENCY = 1
"""Cycles through a ``rtl.relay.Relay``, which stands before a feeder that takes a pixel in one cycle."""


@dataclass(frozen=True)
class GraphFolding:
    """How an adder graph is run: ``digit`` bits of every number per cycle, or (None) whole numbers.

    Results leave ``lanes`` at a time. levels: additions between two registers, of whole numbers only.
    """

    digit: int | None
    lanes: int
    levels: int = 1

    def validate(self, layer: Conv) -> None:
        """``ValueError`` unless ``lanes`` divides the output channels, and digit and levels are at least 1."""
        outputs = layer.output.shape[2]
        if self.lanes < 1 or outputs % self.lanes:
            raise ValueError(f"{layer.name}: lanes must divide {outputs} channels, not {self}")
        if self.levels < 1 or (self.digit is not None and self.digit < 1):
            raise ValueError(f"{layer.name}: digit and levels must be at least 1, not {self}")


@dataclass(frozen=True)
class GraphPlan:
    """One layer's graph and raster, and how long each part of them takes.

    digit: bits of a tap per cycle. data: cycles in which a pixel comes in. slot: cycles of a pixel that ends a window.
    extended: whether taps are sign- or zero-extended in the rest of a slot. block_rows: whether rows are delayed in
    block RAM. array_latency: cycles from the beginning of such a slot to the sums. latency: from a pixel's being
    offered to the first result of the window that ends with it, when nothing waits.
    """

    graph: AdderGraph
    raster: Raster
    digit: int
    data: int
    slot: int
    extended: bool
    block_rows: bool
    array_latency: int
    latency: int

    @property
    def cycles(self) -> int:
        """Cycles per frame in steady state, when input and output keep up.

        ``slot`` for every result and ``data`` for every other pixel, padding included (see :class:`Raster`).
        """
        return self.raster.hits * self.slot + (self.raster.positions - self.raster.hits) * self.data

    @property
    def channels(self) -> int:
        return self.raster.geometry.shape[2]

    def memories(self) -> list[MemoryShape]:
        """The delay lines by rows and by columns; the former are block RAM or not, the latter are LUTs."""
        return _delay_lines(self.raster, self.digit, self.data)


def _delay_lines(raster: Raster, digit: int, data: int) -> list[MemoryShape]:
    rows, columns = raster.geometry.kernel
    down, across = raster.geometry.dilation
    pixel = raster.geometry.shape[2] * digit
    lines = [
        MemoryShape(pixel * (rows - 1), raster.columns * down * data),
        MemoryShape(pixel * rows * (columns - 1), across * data),
    ]
    return [line for line in lines if line.bits]


def _block_rows(raster: Raster, digit: int, data: int) -> bool:
    return raster.geometry.kernel[0] > 1 and in_block_ram(*_delay_lines(raster, digit, data)[0][:2])


def supports(layer: Conv) -> bool:
    """Whether the engine can compute ``layer``: not where padding is wider than the window."""
    try:
        Raster(geometry_of(layer))
    except ValueError:
        return False
    return True


def plan_of(layer: Conv, source: Interval, folding: GraphFolding) -> GraphPlan:
    """``layer`` on ``folding``, for a source of these values. Solves its graph, once in a process."""
    folding.validate(layer)
    taps = tap_interval(layer, source)
    graph, raster = graph_of(layer, taps), Raster(geometry_of(layer))
    drain = layer.output.shape[2] // folding.lanes
    behind = (drain > 1) + REQUANT_LATENCY + QUEUE_LATENCY
    if folding.digit is None:
        blocks = _block_rows(raster, taps.bits, 1)
        array = 1 + blocks + parallel_stages(graph, folding.levels).latency
        return GraphPlan(graph, raster, taps.bits, 1, drain, False, blocks, array, RELAY_LATENCY + array + behind)
    times = serial_times(graph, folding.digit)
    data = -(-taps.bits // folding.digit)
    slot = max(times.word, drain)
    blocks = _block_rows(raster, folding.digit, data)
    array = (slot > data) + blocks + times.latency + 1
    relay = RELAY_LATENCY if data == 1 else 0
    return GraphPlan(graph, raster, folding.digit, data, slot, slot > data, blocks, array, relay + array + behind)
