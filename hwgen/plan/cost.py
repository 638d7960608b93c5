"""What a layer costs: a model small enough to read, in four-input LUTs and block RAMs.

LUTs are a sum of *features*, each a count of bits that some part of the engine works on, times a coefficient per
family. The coefficients are a non-negative least-squares fit to synthesized engines; ``benchmarks/cost_model.py``
remakes the data, the fit and its error. Block RAMs are counted from the shapes that a family's block RAM can have.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ..floatnet import PoolKind
from ..interval import Interval
from ..network import Conv, Pool, Tensor
from ..sizing.bounds import accumulators, tap_interval, window_sum
from ..sizing.folding import Folding, geometry_of
from ..sizing.line_buffer import buffer_words
from ..sizing.memories import BANK_WORDS, in_block_ram
from ..sizing.split import product_interval, split

__all__ = ["COEFFICIENTS", "SHELL", "Cost", "block_rams", "layer_cost", "lut_features", "memory_rams"]


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

COEFFICIENTS: dict[str, dict[str, float]] = {
    "ecp5": {
        "accumulator": 2.75,
        "base_mux": 0.588,
        "control": 5.04,
        "maximum": 4.93,
        "multiples": 3.24,
        "padding": 151,
        "pool_sum": 1.57,
        "requantizer": 2.09,
        "ring": 1.19,
        "shift_mux": 1,
        "tree": 0.668,
        "window": 10.3,
    },
    "ice40": {
        "accumulator": 3.15,
        "base_mux": 0.206,
        "control": 14,
        "maximum": 11.2,
        "multiples": 6.33,
        "padding": 242,
        "pool_sum": 7.34,
        "requantizer": 1.7,
        "ring": 1.57,
        "shift_mux": 1.09,
        "tree": 1.8,
        "window": 0,
    },
}
"""LUT4s per unit of each feature of :func:`lut_features`; made by ``benchmarks/cost_model.py --fit``."""

SHELL = {"ice40": Cost(321, 0), "ecp5": Cost(325, 0)}
"""Framing and the board's serial port around the layers, measured by ``benchmarks/cost_model.py``; the frame buffer and
what changes the number of lanes between layers come on top."""


def block_rams(family: str, bits: int, words: int) -> int:
    """Block RAMs for ``words`` words of ``bits`` bits, in the best of the family's shapes."""
    return min(-(-bits // width) * -(-words // depth) for width, depth in SHAPES[family])


def memory_rams(family: str, bits: int, words: int) -> int:
    """Block RAMs of a synchronous memory; none when it is small enough for LUTs."""
    return block_rams(family, bits, words) if in_block_ram(bits, words) else 0


def lut_features(layer: Conv | Pool, source: Tensor, folding: Folding) -> dict[str, float]:
    """What the LUTs of an engine are spent on, in bits.

    control: counters and the address of the weights. window, padding: address of the line buffer; 1 with any padding.
    multiples, base_mux, shift_mux: shared multiples of activations; inputs of the multiplexers of all products.
    tree, accumulator, ring: adders behind them; accumulators of further results of a pixel.
    maximum, pool_sum: what pooling has instead. requantizer: it and the queue behind it.
    """
    geometry = geometry_of(layer)
    features = {"control": _counter_bits(layer, folding)}
    if not geometry.direct:
        features["window"] = buffer_words(geometry, folding.simd).bit_length()
        features["padding"] = int(any(geometry.pads))
    if isinstance(layer, Conv):
        acc = _accumulator(layer, source.interval)
        features |= _array(layer, source, folding, acc)
    elif layer.kind is PoolKind.MAX:
        acc = source.interval
        features["maximum"] = folding.simd * acc.bits
    else:
        acc = window_sum(layer, source.interval)
        features["pool_sum"] = folding.simd * acc.bits
    if layer.requant is not None:
        mul = layer.requant.mul.tolist()
        octaves = {value.bit_length() for value in mul}
        features["requantizer"] = folding.lanes * (acc * max(mul)).bits * (1 + len(octaves))
    return {name: float(value) for name, value in features.items()}


@lru_cache(maxsize=256)
def _accumulator(layer: Conv, source: Interval) -> Interval:
    """Of all output channels; every folding of a layer asks for it, and it takes all weights."""
    return Interval.hull(accumulators(layer, source))


def _counter_bits(layer: Conv | Pool, folding: Folding) -> int:
    """Of the loops over a frame, and of the address of the weights."""
    geometry = geometry_of(layer)
    reduction, results = geometry.reduction(folding.simd), folding.results(layer)
    sizes: list[int] = []
    if isinstance(layer, Conv):
        sizes += [layer.codes.size // folding.macs_per_cycle(layer)]
    elif layer.divisors is not None:
        sizes += [*geometry.output, results]
    if geometry.direct:
        sizes += [reduction, results]
    else:
        sizes += [*geometry.output, results, *geometry.kernel, reduction // (geometry.kernel[0] * geometry.kernel[1])]
    return sum((size - 1).bit_length() for size in sizes)


def _array(layer: Conv, source: Tensor, folding: Folding, acc: Interval) -> dict[str, int]:
    book, taps = layer.codebook, tap_interval(layer, source.interval)
    parts = split(book)
    product, base = product_interval(book, taps).bits, (taps * max(parts.bases)).bits
    macs = folding.macs_per_cycle(layer)
    # A product sees no more different codes than there are words of weights.
    words = layer.codes.size // macs
    geometry = geometry_of(layer)
    ring = folding.results(layer) if geometry.direct and geometry.reduction(folding.simd) > 1 else 1
    return {
        "multiples": folding.simd * sum(taps.bits + 2 for value in parts.bases if value & (value - 1)),
        "base_mux": macs * base * min(words, len(parts.bases) - book.zero_free),
        "shift_mux": macs * product * min(words, len(parts.shifts)),
        "tree": folding.pe * (folding.lanes_per_pe(layer) - 1) * (product + 2),
        "accumulator": folding.pe * acc.bits,
        "ring": folding.pe * acc.bits * (ring - 1),
    }


def layer_cost(layer: Conv | Pool, source: Tensor, folding: Folding, family: str) -> Cost:
    """LUTs and block RAMs of ``layer`` on ``folding``, input buffer, weights and output queue included."""
    geometry = geometry_of(layer)
    coefficients = COEFFICIENTS[family]
    luts = sum(coefficients[name] * value for name, value in lut_features(layer, source, folding).items())
    rams = 0
    # iCE40 has no RAM in LUTs: buffer and queue take block RAM, unless a queue has only a few words.
    if not geometry.direct:
        count = block_rams if family == "ice40" else memory_rams
        rams += count(family, source.interval.bits * folding.simd, buffer_words(geometry, folding.simd))
    if family == "ice40" and layer.requant is not None:
        rams += block_rams(family, folding.lanes * layer.output.interval.bits, 16)
    if isinstance(layer, Conv):
        macs = folding.macs_per_cycle(layer)
        bits, words = macs * layer.codebook.bits, layer.codes.size // macs
        banks = -(-words // BANK_WORDS)
        rams += banks * memory_rams(family, bits, BANK_WORDS if banks > 1 else words)
    return Cost(round(luts), rams)
