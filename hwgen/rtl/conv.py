"""The folded convolution engine: PE output channels x SIMD input channels per cycle."""

from __future__ import annotations

from math import prod

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..interval import Interval
from ..network import Conv, Tensor
from ..sizing.bounds import accumulators, negative_codes, tap_interval
from ..sizing.folding import Folding, geometry_of
from ..sizing.pipeline import FEEDER_LATENCY
from ..sizing.product import CHAIN, array_latency, recipe
from .direct import Direct
from .pe import PE
from .product import multiple
from .requant import Channel, Requantizer
from .results import Results
from .rom import SequentialRom
from .stream import join, pipeline_signal, pixel_stream
from .weights import rom_words
from .window import Window

__all__ = ["ConvEngine"]


class ConvEngine(wiring.Component):
    """A convolution or dense layer on ``folding.pe`` processing elements of ``folding.lanes_per_pe(layer)`` lanes.

    feeder (line buffer or direct) -> activation multiples -> PE array <- weight ROM, then capture, requantization,
    queue. Nothing between feeder and queue ever stalls; the feeder issues the last beat of a reduction only when its
    results have room.

    Every PE multiplies all lanes of a beat; groups of channels take turns, so that no lane multiplies by the zeros
    between them. Of a depthwise layer, where each input channel is a reduction of its own, PE ``k`` has channel ``k``.

    Throughput: one frame per ``folding.cycles(layer)`` cycles; every PE lane works in each of them.
    Latency: from the last pixel of a window to its first result, ``array_latency(codebook, lanes)`` + 18 cycles.

    Members
    -------
    i : In(pixel stream of ``folding.simd`` lanes)
    o : Out(pixel stream of ``folding.lanes`` lanes)
    """

    def __init__(self, layer: Conv, source: Tensor, folding: Folding):
        self._layer = layer
        self._source = source
        self._folding = folding
        self._geometry = geometry = geometry_of(layer)
        folding.validate(layer)
        self._pe_lanes = folding.lanes_per_pe(layer)
        bits = layer.codebook.bits * folding.macs_per_cycle(layer)
        self._weights = SequentialRom(rom_words(layer, folding), bits, late=self._turns())
        # From the beat to the accumulator's input.
        self._delay = self._weights.latency + array_latency(layer.codebook, self._pe_lanes) - 1
        reduction, results = geometry.reduction(folding.simd, folding.unroll), folding.results(layer)
        accs = accumulators(layer, source.interval)
        self._acc = Interval.hull(accs)
        self._results = Results(
            self._acc,
            folding.pe,
            folding.lanes,
            self._requantizer(accs),
            period=1 if geometry.direct else reduction,
            latency=self._delay + FEEDER_LATENCY + 2,
        )
        self._feeder, self._ring = self._make_feeder(reduction, results)
        super().__init__(
            {
                "i": In(pixel_stream(source.interval, folding.simd)),
                "o": Out(pixel_stream(layer.output.interval, folding.lanes)),
            }
        )

    @property
    def frames_held(self) -> int:
        """Frames that may have come in without having left."""
        values_in, values_out = prod(self._source.shape), prod(self._layer.output.shape)
        buffered, queued = self._feeder.depth * self._folding.simd, self._results.depth * self._folding.lanes
        return 2 + buffered // values_in + queued // values_out

    def _turns(self) -> list[int]:
        """By how many cycles the weights of each lane of each PE come later than those of a chain's first lane."""
        return [lane % CHAIN for _ in range(self._folding.pe) for lane in range(self._pe_lanes)]

    def _make_feeder(self, reduction: int, results: int) -> tuple[Direct | Window, int]:
        """What reads ``results`` reductions of ``reduction`` words per pixel, and how many interleave in a PE."""
        geometry, simd, interval = self._geometry, self._folding.simd, self._source.interval
        if geometry.direct:
            feeder = Direct(interval, simd, length=reduction, groups=results, channelwise=geometry.channelwise)
            return feeder, results if reduction > 1 else 1
        repeat = results // geometry.turns(simd)
        pad = self._layer.pad_value.tolist()
        return Window(interval, geometry, simd, repeat=repeat, pad=pad, unroll=self._folding.unroll), 1

    def _requantizer(self, accs):
        requant = self._layer.requant
        channels = [
            # One is missing in the accumulator for every negative weight (see product.py).
            Channel(mul, add + mul * negative, acc)
            for mul, add, negative, acc in zip(
                requant.mul.tolist(), requant.add.tolist(), negative_codes(self._layer), accs, strict=True
            )
        ]
        return Requantizer(channels, requant.shift, requant.lo, requant.hi, lanes=self._folding.lanes)

    def elaborate(self, platform):
        m = Module()
        layer, folding = self._layer, self._folding
        book, lanes = layer.codebook, folding.taps * folding.simd
        taps = tap_interval(layer, self._source.interval)

        m.submodules.feeder = feeder = self._feeder
        join(m, wiring.flipped(self.i), feeder.i)
        beat = feeder.o

        m.submodules.weights = weights = self._weights
        m.d.comb += weights.advance.eq(beat.valid)

        # Activations wait for their weights and for their turn in a chain, the last register being that of every
        # multiple the codebook needs.
        multiples = pipeline_signal(PE.multiples_layout(book, taps, lanes), name="multiples")
        for lane in range(lanes):
            x = beat.data[lane]
            place = lane // folding.simd if layer.depthwise else lane
            for stage in range(weights.latency - 1 + place % CHAIN):
                later = pipeline_signal(x.shape(), name=f"x{lane}_d{stage + 1}")
                m.d.sync += later.eq(x)
                x = later
            for base in recipe(book).bases:
                m.d.sync += multiples[lane][f"x{base}"].eq(multiple(x, base))

        # The beat's flags travel beside the data: to the codes, then to the accumulator's input.
        more = Signal()
        m.d.comb += more.eq(~beat.first)
        valid, more, last = (self._delayed(m, flag, self._delay) for flag in (beat.valid, more, beat.last))

        width = book.bits * self._pe_lanes
        pes = []
        for index in range(folding.pe):
            pe = PE(book, taps, self._pe_lanes, self._acc, groups=self._ring)
            m.submodules[f"pe{index}"] = pe
            m.d.comb += [
                Value.cast(pe.multiples).eq(Cat(Value.cast(multiples[lane]) for lane in self._lanes_of(index))),
                pe.codes.eq(weights.word[index * width : (index + 1) * width]),
                pe.valid.eq(valid),
                pe.more.eq(more),
            ]
            pes.append(pe)

        m.submodules.results = results = self._results
        m.d.comb += [feeder.room.eq(results.room), results.claim.eq(feeder.claim)]
        m.d.sync += results.push.eq(valid & last)
        for index, pe in enumerate(pes):
            m.d.comb += results.accs[index].eq(pe.acc)
        wiring.connect(m, results.o, wiring.flipped(self.o))
        return m

    def _lanes_of(self, pe: int) -> range:
        """The lanes of a beat that ``pe`` multiplies: of a depthwise layer its own channel of every tap."""
        simd, taps = self._folding.simd, self._folding.taps
        return range(pe, simd * taps, simd) if self._layer.depthwise else range(simd * taps)

    @staticmethod
    def _delayed(m, signal, cycles: int):
        for stage in range(cycles):
            later = Signal.like(signal, name=f"{signal.name}_d{stage + 1}")
            m.d.sync += later.eq(signal)
            signal = later
        return signal
