"""Folding: how many multiply-accumulates of a layer happen at once, and how many cycles a frame then takes."""

from __future__ import annotations

from dataclasses import dataclass

from . import streaming
from .geometry import Geometry
from .network import Conv, Layer, Pool

__all__ = ["Folding", "divisors", "geometry_of", "output_lanes"]


def divisors(number: int) -> list[int]:
    """All positive divisors, ascending."""
    return [d for d in range(1, number + 1) if number % d == 0]


def geometry_of(layer: Conv | Pool) -> Geometry:
    """The window that ``layer`` slides over its input."""
    return Geometry(layer.input_shape, layer.kernel, layer.stride, layer.pads, channelwise=isinstance(layer, Pool))


@dataclass(frozen=True)
class Folding:
    """``pe`` output channels times ``simd`` input channels per cycle; results leave ``lanes`` at a time.

    For all that has no PE array, ``pe == simd == lanes`` channels per cycle.
    """

    pe: int
    simd: int
    lanes: int

    @staticmethod
    def of(layer: Layer, pe: int, simd: int) -> Folding:
        """With the fewest output lanes that keep up with the array."""
        return Folding(pe, simd, output_lanes(layer, pe, simd))

    def validate(self, layer: Layer) -> None:
        """``ValueError`` unless the folding divides the layer's channels and matches its kind."""
        if not isinstance(layer, Conv | Pool):
            if not self.pe == self.simd == self.lanes:
                raise ValueError(f"{layer.name}: it must have pe == simd == lanes, not {self}")
            streaming.validate_lanes(layer, self.lanes)
            return
        geometry_of(layer).words_per_pixel(self.simd)
        if isinstance(layer, Pool):
            if not self.pe == self.simd == self.lanes:
                raise ValueError(f"{layer.name}: pooling must have pe == simd == lanes, not {self}")
        elif layer.codes.shape[0] % self.pe or self.pe % self.lanes:
            raise ValueError(f"{layer.name}: PE must divide {layer.codes.shape[0]} channels and lanes PE, not {self}")

    def cycles(self, layer: Layer) -> int:
        """Cycles per frame in steady state, when input and output keep up."""
        if not isinstance(layer, Conv | Pool):
            return streaming.cycles(layer, self.lanes)
        geometry = geometry_of(layer)
        reduction = geometry.reduction(self.simd)
        pixels = geometry.output[0] * geometry.output[1]
        words_in = geometry.shape[0] * geometry.shape[1] * geometry.words_per_pixel(self.simd)
        if isinstance(layer, Pool):
            beats = words_in if geometry.direct else pixels * reduction * geometry.words_per_pixel(self.simd)
            return max(beats, words_in)
        groups = layer.codes.shape[0] // self.pe
        drain = self.pe // self.lanes
        if geometry.direct:
            # The groups end one after the other, ``drain`` cycles apart; the last one drains while the next begins.
            return pixels * ((groups - 1) * drain + max(drain, (reduction - 1) * groups + 1))
        return max(pixels * groups * max(reduction, drain), words_in)

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates per cycle of a convolution."""
        return self.pe * self.simd


def output_lanes(layer: Layer, pe: int, simd: int) -> int:
    """The fewest lanes, a divisor of ``pe``, with which the results leave no later than the next ones are made.

    A direct layer makes all groups' results in a row at the end of its reduction: all but the last group's drain then
    adds to the cycles of the reduction; up to a sixteenth is accepted.
    """
    if not isinstance(layer, Conv):
        return simd
    geometry = geometry_of(layer)
    reduction = geometry.reduction(simd)
    groups = layer.codes.shape[0] // pe
    accepted = reduction * groups // 16

    def keeps_up(lanes: int) -> bool:
        drain = pe // lanes
        return drain <= reduction and (not geometry.direct or (groups - 1) * (drain - 1) <= accepted)

    return next(lanes for lanes in divisors(pe) if lanes == pe or keeps_up(lanes))
