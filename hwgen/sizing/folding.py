"""Folding: how many multiply-accumulates of a layer happen at once, and how many cycles a frame then takes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod

from ..network import Conv, Layer, Pool
from . import streaming
from .geometry import Geometry

__all__ = ["Folding", "divisors", "foldings", "geometry_of", "output_lanes"]


def divisors(number: int) -> list[int]:
    """All positive divisors, ascending."""
    return [d for d in range(1, number + 1) if number % d == 0]


def geometry_of(layer: Conv | Pool) -> Geometry:
    """The window that ``layer`` slides over its input."""
    channelwise = isinstance(layer, Pool) or layer.depthwise
    groups = 1 if isinstance(layer, Pool) or layer.depthwise else layer.groups
    return Geometry(layer.input_shape, layer.kernel, layer.stride, layer.pads, channelwise, layer.dilation, groups)


@dataclass(frozen=True)
class Folding:
    """``pe`` output channels times ``simd`` input channels per cycle; results leave ``lanes`` at a time.

    Of a convolution in groups both are channels of one group. A depthwise one has ``pe == simd`` channels per cycle,
    one input channel for each output channel. For all that has no PE array, ``pe == simd == lanes``.

    unroll: kernel rows and columns per cycle, where a line buffer can read several taps at once. A *block* of taps lies
    together: its row ``i`` is kernel row ``block * rows + i``. The beat that holds the block has the channels of its
    first tap in the low lanes, then those of the next in the row: lane ``(i * columns + j) * simd + channel``.
    """

    pe: int
    simd: int
    lanes: int
    unroll: tuple[int, int] = (1, 1)

    @staticmethod
    def of(layer: Layer, pe: int, simd: int, unroll: tuple[int, int] = (1, 1)) -> Folding:
        """With the fewest output lanes that keep up with the array."""
        return Folding(pe, simd, output_lanes(layer, pe, simd, unroll), unroll)

    @property
    def taps(self) -> int:
        """Kernel positions per cycle."""
        return prod(self.unroll)

    def validate(self, layer: Layer) -> None:
        """``ValueError`` unless the folding divides the layer's channels and kernel and matches its kind."""
        if self.unroll not in _unrolls(layer):
            raise ValueError(f"{layer.name}: unroll must divide a kernel that reads a line buffer, not {self}")
        if not isinstance(layer, Conv | Pool):
            if not self.pe == self.simd == self.lanes:
                raise ValueError(f"{layer.name}: it must have pe == simd == lanes, not {self}")
            streaming.validate_lanes(layer, self.lanes)
            return
        geometry_of(layer).words_per_pixel(self.simd)
        if isinstance(layer, Pool):
            if not self.pe == self.simd == self.lanes:
                raise ValueError(f"{layer.name}: pooling must have pe == simd == lanes, not {self}")
            return
        if layer.depthwise and self.pe != self.simd:
            raise ValueError(f"{layer.name}: a depthwise convolution must have pe == simd, not {self}")
        channels = layer.codes.shape[0] // (1 if layer.depthwise else layer.groups)
        if channels % self.pe or self.pe % self.lanes:
            where = f"{channels} channels" if channels == layer.codes.shape[0] else f"{channels} channels of a group"
            raise ValueError(f"{layer.name}: PE must divide {where} and lanes PE, not {self}")

    def cycles(self, layer: Layer) -> int:
        """Cycles per frame in steady state, when input and output keep up."""
        if not isinstance(layer, Conv | Pool):
            return streaming.cycles(layer, self.lanes)
        geometry = geometry_of(layer)
        reduction = geometry.reduction(self.simd, self.unroll)
        results = self.results(layer)
        pixels = geometry.output[0] * geometry.output[1]
        drain = self.pe // self.lanes
        if geometry.direct:
            # The results end one after the other, ``drain`` cycles apart; the last one drains while the next begins.
            return pixels * ((results - 1) * drain + max(drain, (reduction - 1) * results + 1))
        words_in = geometry.shape[0] * geometry.shape[1] * geometry.words_per_pixel(self.simd)
        return max(pixels * results * max(reduction, drain), words_in)

    def results(self, layer: Conv | Pool) -> int:
        """Reductions per output pixel, each of which makes ``pe`` channels."""
        return layer.output.shape[2] // self.pe

    def lanes_per_pe(self, layer: Conv) -> int:
        """Products of each PE per cycle: of one input channel of a depthwise convolution, else of ``simd``, per tap."""
        return (1 if layer.depthwise else self.simd) * self.taps

    def macs_per_cycle(self, layer: Conv) -> int:
        """Multiply-accumulates per cycle."""
        return self.pe * self.lanes_per_pe(layer)


def output_lanes(layer: Layer, pe: int, simd: int, unroll: tuple[int, int] = (1, 1)) -> int:
    """The fewest lanes, a divisor of ``pe``, with which the results leave no later than the next ones are made.

    A direct layer makes all its results in a row at the end of its reduction: the drain of all but the last then adds
    to the cycles of the reduction; up to a sixteenth is accepted.
    """
    if not isinstance(layer, Conv):
        return simd
    geometry = geometry_of(layer)
    reduction = geometry.reduction(simd, unroll)
    results = layer.codes.shape[0] // pe
    accepted = reduction * results // 16

    def keeps_up(lanes: int) -> bool:
        drain = pe // lanes
        return drain <= reduction and (not geometry.direct or (results - 1) * (drain - 1) <= accepted)

    return next(lanes for lanes in divisors(pe) if lanes == pe or keeps_up(lanes))


def foldings(layer: Layer) -> list[Folding]:
    """Every legal ``pe``, ``simd`` and ``unroll``, ascending, each with the fewest output lanes that keep up."""
    if not isinstance(layer, Conv | Pool):
        return [Folding(lanes, lanes, lanes) for lanes in streaming.legal_lanes(layer)]
    channels = layer.input_shape[2]
    if isinstance(layer, Pool) or layer.depthwise:
        arrays = [(simd, simd) for simd in divisors(channels)]
    else:
        arrays = list(product(divisors(layer.codes.shape[0] // layer.groups), divisors(channels // layer.groups)))
    return [Folding.of(layer, pe, simd, unroll) for pe, simd in arrays for unroll in _unrolls(layer)]


def _unrolls(layer: Layer) -> list[tuple[int, int]]:
    """Kernel rows and columns that ``layer`` may read per cycle. A pool takes a tap at a time: where its windows do
    not overlap that is as fast as the pixels come."""
    if not isinstance(layer, Conv) or geometry_of(layer).direct:
        return [(1, 1)]
    return list(product(divisors(layer.kernel[0]), divisors(layer.kernel[1])))
