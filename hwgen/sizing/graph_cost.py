"""LUTs and block RAMs of a convolution as an adder graph, on ECP5.

What the graph and its memories take is counted; the feeder's inputs and the requantization have a factor, and what does
not depend on the layer is a constant, all three fitted to ``benchmarks/adder_graph.py``, which prints the error.
"""

from __future__ import annotations

from ..interval import Interval
from ..network import Conv
from .graph_engine import SHORT_LINE, GraphFolding, GraphPlan
from .graph_schedule import serial_masks, serial_times
from .pipeline import REQUANT_LATENCY, queue_depth

__all__ = ["block_rams", "graph_luts", "luts"]

INPUT = 0.86
"""LUTs for each bit of a pixel: padding, register slice, choice of the digit."""

REQUANTIZER = 2.75
"""For each bit of a lane's product, and each octave of the factors."""

FIXED_REQUANTIZER = 3.0
"""For each bit of a lane's product, where a lane has one channel and so constant factors."""

QUEUE_BITS, QUEUE_WORDS = 2048, 32
"""A queue of more bits and more words is a block RAM."""

CONTROL = 171
"""Counters, credits, pointers."""

BLOCKS = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
"""(bits, words) that one block RAM can be."""


def luts(layer: Conv, plan: GraphPlan, folding: GraphFolding) -> int:
    """LUT4 of the whole engine: a carry cell counts as two, 16 x 4 bits of memory as six."""
    sums, outputs = Interval.hull(plan.graph.sums), layer.output.shape[2]
    words = outputs // folding.lanes
    factors = layer.requant.mul.tolist()
    octaves = len({factor.bit_length() for factor in factors})
    total = graph_luts(plan, folding)
    total += sum(_lut_ram(line.bits, line.words) for line in plan.memories()[plan.block_rows :])
    queue = _queue(layer, plan, folding)
    total += 0 if _in_block(*queue) else _lut_ram(*queue)
    total += outputs * sums.bits if words > 1 else 0  # the register that is loaded at once and emptied in words
    variable = INPUT * plan.channels * plan.graph.interval.bits
    product = folding.lanes * (sums * max(factors)).bits
    variable += product * (REQUANTIZER * (1 + octaves) if words > 1 else FIXED_REQUANTIZER)
    return round(total + variable + CONTROL)


def graph_luts(plan: GraphPlan, folding: GraphFolding) -> int:
    """Of the additions: a carry chain each, or two LUTs for every bit of a digit and one for every mask."""
    graph = plan.graph
    if folding.digit is not None:
        masks = serial_masks(graph, serial_times(graph, folding.digit))
        return 2 * folding.digit * len(graph.adders) + len(masks)
    widths = [graph.intervals[node].bits - adder.shift for node, adder in enumerate(graph.adders, graph.inputs)]
    return sum(2 * (width // 2 + 1) if width > 4 else 2 * width for width in widths)


def block_rams(layer: Conv, plan: GraphPlan, folding: GraphFolding) -> int:
    """Those of the delay lines by rows, and of a large queue."""
    memories: list[tuple[int, int]] = [(line.bits, line.words) for line in plan.memories()[: plan.block_rows]]
    queue = _queue(layer, plan, folding)
    if _in_block(*queue):
        memories.append(queue)
    return sum(min(-(-bits // wide) * -(-words // deep) for wide, deep in BLOCKS) for bits, words in memories)


def _queue(layer: Conv, plan: GraphPlan, folding: GraphFolding) -> tuple[int, int]:
    """Bits and words of the queue of results."""
    words = layer.output.shape[2] // folding.lanes
    latency = plan.array_latency + (words > 1) + REQUANT_LATENCY
    return folding.lanes * layer.output.interval.bits, queue_depth(words, plan.slot, latency)


def _in_block(bits: int, words: int) -> bool:
    return bits * words > QUEUE_BITS and words > QUEUE_WORDS


def _lut_ram(bits: int, words: int) -> int:
    return 6 * -(-bits // 4) * -(-words // 16) if words > SHORT_LINE else 0
