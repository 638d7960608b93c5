"""What a layer costs: a model small enough to read, in four-input LUTs and block RAMs.

LUTs of an engine are sums over its parts, each ``count * bits * factor``; the factors were fitted by hand to Yosys
results (``benchmarks/cost_model.py`` prints model against synthesis). Block RAMs are counted exactly from the shapes
that the memories have in the two families.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..bounds import accumulators, hull, tap_interval, window_sum
from ..floatnet import PoolKind
from ..interval import Interval
from ..network import Conv, Layer, Tensor
from ..rtl.product import product_interval, split
from ..rtl.storage import in_block_ram
from ..rtl.window import buffer_words
from .folding import Folding, geometry_of

__all__ = ["SHELL", "Cost", "block_rams", "layer_cost"]


@dataclass(frozen=True)
class Cost:
    """LUT4s and block RAMs."""

    lut: int
    bram: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.lut + other.lut, self.bram + other.bram)


SHAPES = {
    "ice40": ((16, 256), (8, 512), (4, 1024), (2, 2048)),
    "ecp5": ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)),
}
"""(bits, words) that one block RAM can be."""

SHELL = Cost(420, 1)
"""Framing, counters and the board's serial port around the layers; the frame buffer comes on top."""


def block_rams(family: str, bits: int, words: int) -> int:
    """Block RAMs for ``words`` words of ``bits`` bits, in the best of the family's shapes."""
    return min(-(-bits // width) * -(-words // depth) for width, depth in SHAPES[family])


def memory(family: str, bits: int, words: int) -> Cost:
    """A synchronous memory, in block RAM or (when tiny) in LUTs."""
    if in_block_ram(bits, words):
        return Cost(0, block_rams(family, bits, words))
    return Cost(bits * words // 8 + bits, 0)


def _requantizer(acc: Interval, words: int, lanes: int, shifts: int) -> Cost:
    """Two-term product, octaves, bias, clip; the constants take a LUT per bit and 16 channels."""
    width = acc.bits + 4
    return Cost(lanes * (width * 2 + width * max(1, shifts) + width + 24 + 8 + -(-words // 16) * 30), 0)


def _feeder(layer: Layer, simd: int, source: Tensor, family: str) -> Cost:
    geometry = geometry_of(layer)
    if geometry.direct:
        return Cost(60, 0)
    words = buffer_words(geometry, simd)
    control = 110 + 9 * words.bit_length() + (40 + 2 * source.interval.bits * simd if any(geometry.pads) else 0)
    return Cost(control, 0) + memory(family, simd * source.interval.bits, words)


def layer_cost(layer: Layer, source: Tensor, folding: Folding, family: str) -> Cost:
    """LUTs and block RAMs of ``layer`` on ``folding``, input buffer, weights and output queue included."""
    total = _feeder(layer, folding.simd, source, family)
    total += memory(family, folding.lanes * layer.output.interval.bits, 16)
    geometry = geometry_of(layer)
    if not isinstance(layer, Conv):
        maximum = layer.kind is PoolKind.MAX
        acc = source.interval if maximum else window_sum(layer, source.interval)
        total += Cost(round(folding.simd * acc.bits * (2.0 if maximum else 1.5)), 0)
        return total if maximum else total + _requantizer(acc, 1, folding.simd, 1)

    book, taps = layer.codebook, tap_interval(layer, source.interval)
    parts = split(book)
    product = product_interval(book, taps).bits
    base = (taps * max(parts.bases)).bits
    # Base multiplexer, shift multiplexer with sign, one adder of the tree.
    mac = base * (len(parts.bases) + 1) * 0.42 + product * (len(parts.shifts) + 1) * 0.55 + product + 2
    acc = hull(accumulators(layer, source.interval))
    per_pe = acc.bits * (1 if folding.pe == folding.lanes else 2)
    multiples = sum(taps.bits + 2 for b in parts.bases if b & (b - 1))
    lut = folding.pe * (folding.simd * mac + per_pe) + folding.simd * multiples
    octaves = len({int(mul).bit_length() for mul in layer.requant.mul})
    outputs = layer.codes.shape[0]
    total += Cost(round(lut), 0) + _requantizer(acc, outputs // folding.lanes, folding.lanes, octaves.bit_length())
    words = layer.codes.size // folding.macs_per_cycle
    groups = outputs // folding.pe
    assert words == groups * geometry.reduction(folding.simd)
    weights = memory(family, folding.macs_per_cycle * book.bits, words)
    # A weight memory deeper than one block RAM needs its outputs selected; the accumulators' ring is flip-flops.
    return total + weights + Cost(30, 0)
