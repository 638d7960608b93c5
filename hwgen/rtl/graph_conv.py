"""The graph engine: a convolution or dense layer whose weights are wired in, as an adder graph."""

from __future__ import annotations

from math import prod

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..interval import Interval
from ..network import Conv, Tensor
from ..sizing.bounds import tap_interval
from ..sizing.graph_engine import GraphFolding, plan_of
from .adder_graph import ParallelGraph
from .delay import delayed
from .relay import Relay
from .requant import Channel, Requantizer
from .results import Results
from .serial_graph import SerialGraph
from .stream import join, pixel_stream
from .taps import Taps

__all__ = ["GraphConvEngine"]


class GraphConvEngine(wiring.Component):
    """A convolution or dense layer on an adder graph that computes all channels of a pixel at once.

    feeder (delay lines) -> adder graph, then capture, requantization, queue. Nothing between feeder and queue ever
    stalls; the feeder begins a window only when its results have room.

    Throughput: one frame per ``plan_of(...).cycles`` cycles. Latency: from the last pixel of a window to its first
    result ``plan_of(...).latency`` cycles.

    Members
    -------
    i : In(pixel stream of all channels)
    o : Out(pixel stream of ``folding.lanes`` lanes)
    """

    def __init__(self, layer: Conv, source: Tensor, folding: GraphFolding):
        self._layer = layer
        self._source = source
        self._folding = folding
        self._plan = plan = plan_of(layer, source.interval, folding)
        self._results = Results(
            Interval.hull(plan.graph.sums),
            layer.output.shape[2],
            folding.lanes,
            self._requantizer(),
            period=plan.slot,
            latency=plan.array_latency,
        )
        super().__init__(
            {
                "i": In(pixel_stream(source.interval, plan.channels)),
                "o": Out(pixel_stream(layer.output.interval, folding.lanes)),
            }
        )

    @property
    def frames_held(self) -> int:
        """Frames that may have come in without having left."""
        pixels_in, values_out = prod(self._source.shape[:2]), prod(self._layer.output.shape)
        buffered = Relay.DEPTH + (self._plan.raster.geometry.extent[0] + 1) * self._plan.raster.columns
        return 2 + buffered // pixels_in + self._results.depth * self._folding.lanes // values_out

    def _requantizer(self) -> Requantizer:
        requant, graph = self._layer.requant, self._plan.graph
        channels = [
            Channel(mul, add + mul * missing, acc)
            for mul, add, missing, acc in zip(
                requant.mul.tolist(), requant.add.tolist(), graph.missing, graph.sums, strict=True
            )
        ]
        return Requantizer(channels, requant.shift, requant.lo, requant.hi, lanes=self._folding.lanes)

    def elaborate(self, platform):
        m = Module()
        plan, layer = self._plan, self._layer
        m.submodules.feeder = feeder = Taps(
            self._source.interval,
            tap_interval(layer, self._source.interval),
            plan.raster,
            digit=plan.digit,
            data=plan.data,
            slot=plan.slot,
            extended=plan.extended,
            block_rows=plan.block_rows,
            pad=layer.pad_value.tolist(),
        )
        if plan.data == 1:
            # A pixel is taken when its window has room, which hangs on the queue; the stream before must not.
            m.submodules.relay = relay = Relay(self.i.payload.shape())
            join(m, wiring.flipped(self.i), relay.i)
            join(m, relay.o, feeder.i)
        else:
            join(m, wiring.flipped(self.i), feeder.i)
        m.submodules.results = results = self._results
        m.d.comb += [feeder.room.eq(results.room), results.claim.eq(feeder.claim)]

        graph: ParallelGraph | SerialGraph
        if self._folding.digit is None:
            graph = ParallelGraph(plan.graph, levels=self._folding.levels)
            m.d.comb += results.push.eq(delayed(m, feeder.start, 1 + graph.latency))
        else:
            graph = SerialGraph(plan.graph, digit=plan.digit)
            m.d.comb += [graph.start.eq(feeder.start), results.push.eq(graph.push)]
        m.submodules.graph = graph
        m.d.comb += [
            Value.cast(graph.x).eq(Value.cast(feeder.taps)),
            Value.cast(results.accs).eq(Value.cast(graph.sums)),
        ]
        wiring.connect(m, results.o, wiring.flipped(self.o))
        return m
