"""An adder graph, bit-parallel: a vector in and its product with a constant matrix out, in every cycle."""

from __future__ import annotations

from amaranth.hdl import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..interval import Interval
from ..sizing.adder_graph import Adder, AdderGraph
from ..sizing.graph_schedule import parallel_stages
from .stream import lanes_of, pipeline_signal, shape_of

__all__ = ["ParallelGraph"]


class ParallelGraph(wiring.Component):
    """``sums = x @ matrix``, one vector per cycle, by shifts (wires) and additions of exact width.

    A pipeline that never stalls, with a register behind every ``levels`` additions. A value that is wanted later than
    it is there waits in a chain of registers, which all who want it share.

    Throughput: one product per cycle. Latency: ``ceil(graph.depth / levels)`` cycles.

    Members
    -------
    x : In(one lane per input)
    sums : Out(one lane per output, of the hull of ``graph.sums``); less than the product by ``graph.missing``
    """

    def __init__(self, graph: AdderGraph, *, levels: int = 1):
        self._graph = graph
        self._stages = parallel_stages(graph, levels)
        self.latency = self._stages.latency
        self.interval = Interval.hull(graph.sums)
        super().__init__(
            {
                "x": In(lanes_of(graph.interval, graph.inputs)),
                "sums": Out(data.ArrayLayout(shape_of(self.interval), len(graph.outputs))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        graph, stages = self._graph, self._stages
        # Of every node its value in the stage that makes it, then one register later, then two ...
        values = [[self.x[lane]] for lane in range(graph.inputs)]

        def value(node: int, stage: int):
            chain = values[node]
            while len(chain) <= stage - stages.stage[node]:
                later = pipeline_signal(chain[0].shape(), name=f"node{node}_d{len(chain)}")
                m.d.sync += later.eq(chain[-1])
                chain.append(later)
            return chain[stage - stages.stage[node]]

        for node, adder in enumerate(graph.adders, graph.inputs):
            stage = stages.stage[node]
            # Kept: of several additions in a row Yosys would make one of many operands, which costs more LUTs.
            total = Signal(shape_of(graph.intervals[node]), name=f"node{node}", attrs={"keep": 1})
            m.d.comb += total.eq(self._add(adder, value(adder.left, stage), value(adder.right, stage)))
            values.append([total])

        for number, (output, lane) in enumerate(zip(graph.outputs, self.sums, strict=True)):
            if output.node is not None:
                shifted = Signal(lane.shape(), name=f"shifted{number}")  # as wide as its inverse
                m.d.comb += shifted.eq(value(output.node, stages.latency + 1) << output.shift)
                m.d.comb += lane.eq(~shifted if output.inverted else shifted)
        return m

    @staticmethod
    def _add(adder: Adder, left, right):
        """The low bits of ``left``, below all of ``right``, are wires."""
        if not adder.shift:
            return left - right if adder.subtract else left + right
        sign = left[-1].replicate(adder.shift) if left.shape().signed else Const(0, adder.shift)
        high = left >> adder.shift
        return Cat(Cat(left, sign)[: adder.shift], high - right if adder.subtract else high + right)
