"""The feeder without a buffer: words are reduced in the order in which they arrive."""

from __future__ import annotations

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..interval import Interval
from .odometer import Odometer
from .relay import Relay
from .stream import beat_signature, pipeline_signal, pixel_stream

__all__ = ["Direct"]


class Direct(wiring.Component):
    """Feeds reductions over ``length`` words (or pixels) as they come, for ``groups`` interleaved accumulators.

    * dense and 1x1 convolution: each word is used ``groups`` times, once for every group of output channels;
    * ``channelwise`` (global pooling, depthwise kernel of the map's size or 1x1): ``groups`` is the words per pixel,
      and each belongs to the next accumulator.

    Throughput: one beat per cycle while words arrive and ``room`` is set. Latency: 2 cycles.

    Members
    -------
    i : In(pixel stream)
    room : In(1)     the result of one more reduction has a place
    claim : Out(1)   the last beat of a reduction is being issued
    o : Out(beats)
    depth : int      words that it may hold
    """

    def __init__(self, interval: Interval, simd: int, *, length: int, groups: int, channelwise: bool = False):
        self._length = length
        self._groups = groups
        self._channelwise = channelwise
        self.interval = interval
        self.depth = Relay.DEPTH
        super().__init__(
            {
                "i": In(pixel_stream(interval, simd)),
                "room": In(1),
                "claim": Out(1),
                "o": Out(beat_signature(interval, simd)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # A word is taken when its last group is done, which hangs on the queue at the other end of the engine; the
        # stream before must not.
        m.submodules.relay = relay = Relay(self.i.payload.shape())
        wiring.connect(m, wiring.flipped(self.i), relay.i)
        source = relay.o
        m.submodules.odometer = odometer = Odometer([self._groups, self._length])
        next_word, ends_frame = odometer.carry[0], odometer.carry[1]
        begins = Signal(init=1)  # in the first of ``length`` words
        ends = Signal(init=self._length == 1)
        step = Signal()
        m.d.comb += [
            step.eq(source.valid & (self.room | ~ends)),
            odometer.step.eq(step),
            self.claim.eq(step & ends),
            source.ready.eq(step if self._channelwise else step & next_word),
        ]
        if self._length > 1:
            with m.If(step & next_word):
                m.d.sync += [begins.eq(ends_frame), ends.eq(odometer.index[1] == self._length - 2)]
        word = pipeline_signal(len(Value.cast(self.i.payload)), name="word")
        m.d.sync += [
            self.o.valid.eq(step),
            self.o.first.eq(begins),
            self.o.last.eq(ends),
            word.eq(Value.cast(source.payload)),
        ]
        m.d.comb += Value.cast(self.o.data).eq(word)
        return m
