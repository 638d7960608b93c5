"""The folded convolution engine: PE output channels x SIMD input channels per cycle."""

from __future__ import annotations

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..bounds import accumulators, hull, negative_codes, tap_interval
from ..network import Conv, Tensor
from ..plan.folding import Folding, geometry_of
from .direct import Direct
from .pe import PE
from .product import multiple, split
from .requant import Channel, Requantizer
from .results import Results
from .rom import SequentialRom
from .stream import join, pipeline_signal, pixel_stream
from .weights import rom_words
from .window import Window

__all__ = ["ConvEngine"]


class ConvEngine(wiring.Component):
    """A convolution or dense layer on ``folding.pe`` processing elements of ``folding.simd`` lanes.

    feeder (line buffer or direct) -> activation multiples -> PE array <- weight ROM, then capture, requantization,
    queue. Nothing between feeder and queue ever stalls; the feeder issues the last beat of a reduction only when its
    results have room.

    Throughput: one frame per ``folding.cycles(layer)`` cycles; every PE lane works in each of them.
    Latency: from the last pixel of a window to its first result, ``PE.latency(simd)`` + 14 cycles.

    Members
    -------
    i : In(pixel stream of ``folding.simd`` lanes)
    o : Out(pixel stream of ``folding.lanes`` lanes)
    """

    def __init__(self, layer: Conv, source: Tensor, folding: Folding):
        self._layer = layer
        self._source = source
        self._folding = folding
        self._geometry = geometry_of(layer)
        folding.validate(layer)
        super().__init__(
            {
                "i": In(pixel_stream(source.interval, folding.simd)),
                "o": Out(pixel_stream(layer.output.interval, folding.lanes)),
            }
        )

    def _feeder(self):
        layer, folding, geometry = self._layer, self._folding, self._geometry
        groups = layer.codes.shape[0] // folding.pe
        interval = self._source.interval
        if geometry.direct:
            length = geometry.reduction(folding.simd)
            return Direct(interval, folding.simd, length=length, groups=groups), groups
        return Window(interval, geometry, folding.simd, repeat=groups, pad=layer.pad_value.tolist()), 1

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
        book, simd = layer.codebook, folding.simd
        taps = tap_interval(layer, self._source.interval)
        accs = accumulators(layer, self._source.interval)

        feeder, ring = self._feeder()
        m.submodules.feeder = feeder
        join(m, wiring.flipped(self.i), feeder.i)
        beat = feeder.o

        lanes = book.bits * simd
        words = rom_words(layer, self._geometry, folding.pe, simd)
        m.submodules.weights = weights = SequentialRom(words, lanes * folding.pe)
        m.d.comb += weights.advance.eq(beat.valid)

        # Activations wait for their weights, the last register being that of every multiple the codebook needs.
        multiples = pipeline_signal(PE.multiples_layout(book, taps, simd), name="multiples")
        for lane in range(simd):
            x = beat.data[lane]
            for stage in range(weights.latency - 1):
                later = pipeline_signal(x.shape(), name=f"x{lane}_d{stage + 1}")
                m.d.sync += later.eq(x)
                x = later
            for base in split(book).bases:
                m.d.sync += multiples[lane][f"x{base}"].eq(multiple(x, base))

        # The beat's flags travel beside the data: to the codes, then to the accumulator's input.
        delay = weights.latency + PE.latency(simd) - 1
        valid, first, last = (self._delayed(m, flag, delay) for flag in (beat.valid, beat.first, beat.last))

        acc = hull(accs)
        pes = []
        for index in range(folding.pe):
            pe = PE(book, taps, simd, acc, groups=ring)
            m.submodules[f"pe{index}"] = pe
            m.d.comb += [
                pe.multiples.eq(multiples),
                pe.codes.eq(weights.word[index * lanes : (index + 1) * lanes]),
                pe.valid.eq(valid),
                pe.first.eq(first),
            ]
            pes.append(pe)

        m.submodules.results = results = Results(
            acc,
            folding.pe,
            folding.lanes,
            self._requantizer(accs),
            period=1 if self._geometry.direct else self._geometry.reduction(simd),
            latency=delay + 4,
        )
        m.d.comb += [feeder.room.eq(results.room), results.claim.eq(feeder.claim)]
        m.d.sync += results.push.eq(valid & last)
        for index, pe in enumerate(pes):
            m.d.comb += results.accs[index].eq(pe.acc)
        wiring.connect(m, results.o, wiring.flipped(self.o))
        return m

    @staticmethod
    def _delayed(m, signal, cycles: int):
        for stage in range(cycles):
            later = Signal.like(signal, name=f"{signal.name}_d{stage + 1}")
            m.d.sync += later.eq(signal)
            signal = later
        return signal
