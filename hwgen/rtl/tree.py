"""The adder tree."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import *

from ..interval import Interval
from .stream import pipeline_signal, shape_of

__all__ = ["adder_tree", "tree_latency"]


def tree_latency(inputs: int) -> int:
    """Cycles through a tree of ``inputs`` terms: ``ceil(log2(inputs))``."""
    return (inputs - 1).bit_length()


def adder_tree(m: Module, terms: Sequence, interval: Interval):
    """The sum of ``terms``, each within ``interval``, with a register after every addition.

    A balanced tree, every node just as wide as the sum of its leaves' intervals. Latency ``tree_latency(len(terms))``,
    throughput one sum per cycle.
    """
    level = [(term, 1) for term in terms]
    depth = 0
    while len(level) > 1:
        nodes = []
        for index in range(0, len(level), 2):
            pair = level[index : index + 2]
            leaves = sum(count for _, count in pair)
            node = pipeline_signal(shape_of(interval * leaves), name=f"tree{depth}_{index // 2}")
            m.d.sync += node.eq(pair[0][0] + pair[1][0] if len(pair) == 2 else pair[0][0])
            nodes.append((node, leaves))
        level = nodes
        depth += 1
    return level[0][0]
