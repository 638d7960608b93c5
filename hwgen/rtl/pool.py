"""Maximum and average pooling, over a window or the whole map."""

from __future__ import annotations

from itertools import pairwise
from math import prod

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..floatnet import PoolKind
from ..network import Pool, Tensor
from ..sizing.bounds import window_sum
from ..sizing.folding import Folding, geometry_of
from ..sizing.pipeline import FEEDER_LATENCY
from .direct import Direct
from .divisors import DivisorIndex
from .requant import Channel, Requantizer
from .results import Results
from .stream import join, pipeline_signal, pixel_stream, shape_of
from .window import Window

__all__ = ["PoolEngine"]


class PoolEngine(wiring.Component):
    """Pooling on ``folding.simd`` channels per cycle, one tap per cycle.

    An average is a sum and a requantization: that of the channel, all channels being alike, or where ``divisors`` say
    so that of the place on the map (``divisors.DivisorIndex``).

    Throughput: one frame per ``folding.cycles(layer)`` cycles. Latency: 5 cycles from the last tap of a window to its
    result, 5 more for an average.

    Members
    -------
    i, o : pixel streams of ``folding.simd`` lanes
    """

    def __init__(self, layer: Pool, source: Tensor, folding: Folding):
        self._layer = layer
        self._source = source
        self._lanes = lanes = folding.simd
        geometry = geometry_of(layer)
        folding.validate(layer)
        reduction, words = geometry.reduction(lanes), geometry.words_per_pixel(lanes)
        self._maximum = layer.kind is PoolKind.MAX
        self._total = source.interval if self._maximum else window_sum(layer, source.interval)
        self._divisors: DivisorIndex | None = None
        if layer.divisors is not None and len(layer.distinct_divisors) > 1:
            self._divisors = DivisorIndex(layer, words)
        self._requantizer = self._make_requantizer()
        self._results = Results(
            self._total,
            lanes,
            lanes,
            self._requantizer,
            period=1 if geometry.direct else reduction,
            latency=FEEDER_LATENCY + 2,
        )
        self._feeder: Direct | Window
        if geometry.direct:
            self._feeder = Direct(source.interval, lanes, length=reduction, groups=words, channelwise=True)
            self._ring = words if reduction > 1 else 1
        else:
            pad = source.interval.lo if self._maximum else 0
            self._feeder = Window(source.interval, geometry, lanes, pad=[pad] * geometry.shape[2])
            self._ring = 1
        super().__init__(
            {
                "i": In(pixel_stream(source.interval, self._lanes)),
                "o": Out(pixel_stream(layer.output.interval, self._lanes)),
            }
        )

    @property
    def frames_held(self) -> int:
        """Frames that may have come in without having left."""
        values_in, values_out = prod(self._source.shape), prod(self._layer.output.shape)
        return 2 + self._feeder.depth * self._lanes // values_in + self._results.depth * self._lanes // values_out

    def elaborate(self, platform):
        m = Module()
        m.submodules.feeder = feeder = self._feeder
        join(m, wiring.flipped(self.i), feeder.i)
        beat = feeder.o
        m.submodules.results = results = self._results
        push = Signal()
        m.d.comb += [feeder.room.eq(results.room), results.claim.eq(feeder.claim), results.push.eq(push)]
        m.d.sync += push.eq(beat.valid & beat.last)
        for lane in range(self._lanes):
            accs = [pipeline_signal(shape_of(self._total), name=f"acc{lane}_{index}") for index in range(self._ring)]
            with m.If(beat.valid):
                m.d.sync += accs[0].eq(self._combine(self._maximum, beat.first, accs[-1], beat.data[lane]))
                m.d.sync += [later.eq(earlier) for earlier, later in pairwise(accs)]
            m.d.comb += results.accs[lane].eq(accs[0])
        if self._divisors is not None and self._requantizer is not None:
            m.submodules.divisors = divisors = self._divisors
            m.d.comb += [divisors.step.eq(self._requantizer.valid), self._requantizer.index.eq(divisors.index)]
        wiring.connect(m, results.o, wiring.flipped(self.o))
        return m

    @staticmethod
    def _combine(maximum: bool, first, acc, x):
        if maximum:
            return Mux(first | (x > acc), x, acc)
        return Mux(first, 0, acc) + x

    def _make_requantizer(self) -> Requantizer | None:
        requant = self._layer.requant
        if requant is None:
            return None
        channels = [Channel(m, a, self._total) for m, a in zip(requant.mul.tolist(), requant.add.tolist(), strict=True)]
        if self._layer.divisors is not None:  # one for every divisor, the same for all lanes
            channels = [channel for channel in channels for _ in range(self._lanes)]
        chosen = self._divisors is not None
        return Requantizer(channels, requant.shift, requant.lo, requant.hi, lanes=self._lanes, chosen=chosen)
