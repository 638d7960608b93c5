"""What a layer costs: a model small enough to read, in four-input LUTs and block RAMs.

LUTs are a sum of *features*, each a count of bits that some part of the engine works on, times a coefficient per
family. The coefficients are a non-negative least-squares fit to synthesized engines; ``benchmarks/cost_model.py``
remakes the data, the fit and its error. Block RAMs are counted from the shapes that a family's block RAM can have.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod

from ..floatnet import PoolKind
from ..interval import Interval
from ..network import Conv, Pool, Tensor
from ..sizing.bounds import accumulators, tap_interval, window_sum
from ..sizing.folding import Folding, geometry_of
from ..sizing.geometry import Geometry
from ..sizing.line_buffer import awaited, buffer_words
from ..sizing.memories import BANK_WORDS, in_block_ram
from ..sizing.product import CHAIN, operand_luts, product_interval, recipe

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
        "accumulator": 2.33,
        "control": 7.52,
        "delays": 0,
        "maximum": 3.82,
        "multiples": 2.14,
        "padding": 94.8,
        "pool_sum": 1.6,
        "products": 1.03,
        "requantizer": 1.61,
        "ring": 0.823,
        "rom": 0.533,
        "window": 4.76,
    },
    "ice40": {
        "accumulator": 3.03,
        "control": 13.7,
        "delays": 3.46,
        "maximum": 10.2,
        "multiples": 3.27,
        "padding": 147,
        "pool_sum": 6.19,
        "products": 1.15,
        "requantizer": 1.96,
        "ring": 1.41,
        "rom": 0.716,
        "window": 0,
    },
}
"""LUT4s per unit of each feature of :func:`lut_features`; made by ``benchmarks/cost_model.py --fit``."""

SHELL = {"ice40": Cost(321, 0), "ecp5": Cost(310, 0)}
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
    multiples: of activations, shared. products: multiplexers of all products. delays: registers without logic, of
    activations for the lanes of a chain and of weights. rom: weights that are not in block RAM. adders, accumulator,
    ring: behind the products; accumulators of further results.
    maximum, pool_sum: what pooling has instead. requantizer: it and the queue behind it.
    """
    geometry = geometry_of(layer)
    features: dict[str, float] = {"control": _counter_bits(layer, folding)}
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
    reduction, results = geometry.reduction(folding.simd, folding.unroll), folding.results(layer)
    sizes: list[int] = []
    if isinstance(layer, Conv):
        sizes += [layer.codes.size // folding.macs_per_cycle(layer)]
    elif layer.divisors is not None:
        sizes += [*geometry.output, results]
    if geometry.direct:
        sizes += [reduction, results]
    else:
        blocks = [taps // unrolled for taps, unrolled in zip(geometry.kernel, folding.unroll, strict=True)]
        sizes += [*geometry.output, results, *blocks, reduction // prod(blocks)]
    return sum((size - 1).bit_length() for size in sizes)


def _array(layer: Conv, source: Tensor, folding: Folding, acc: Interval) -> dict[str, float]:
    book, taps = layer.codebook, tap_interval(layer, source.interval)
    how, lanes = recipe(book), folding.lanes_per_pe(layer)
    product = product_interval(book, taps).bits
    macs = folding.macs_per_cycle(layer)
    chains = [min(CHAIN, lanes - start) for start in range(0, lanes, CHAIN)]
    # Of a single word of weights every product is wired, and of two many are alike.
    seen = 1 - 0.5 ** (layer.codes.size // macs - 1)
    geometry = geometry_of(layer)
    ring = folding.results(layer) if geometry.direct and geometry.reduction(folding.simd) > 1 else 1
    shared = folding.simd * folding.taps
    return {
        "multiples": shared * sum(taps.bits + 2 for base in how.bases if base > 1),
        "products": seen * (macs * operand_luts(book, taps) + folding.pe * len(chains) * product)
        + folding.pe * (_chain_bits(chains, product) + _tree_bits(len(chains), product + 2)),
        "delays": sum(length * (length - 1) // 2 for length in chains) * (shared // lanes) * taps.bits
        + macs * book.bits,
        "rom": 0 if any(_weight_rams("ecp5", layer, folding)) else seen * macs * book.bits,
        "accumulator": folding.pe * acc.bits,
        "ring": folding.pe * acc.bits * (ring - 1),
    }


def _chain_bits(chains: list[int], product: int) -> int:
    """Of the adders in chains of so many lanes, with what the start of a carry chain takes."""
    return sum(product + (lanes - 1).bit_length() + 1 for length in chains for lanes in range(2, length + 1))


def _tree_bits(leaves: int, width: int) -> int:
    """The same of a tree over ``leaves`` sums of ``width`` bits."""
    total = 0
    while leaves > 1:
        width += 1
        total += leaves // 2 * (width + 1)
        leaves = -(-leaves // 2)
    return total


def _copies(geometry: Geometry, folding: Folding) -> int:
    """LUTs of all but the first tap of an unrolled block, counted and not fitted as there are none in the data.

    Each has an address, and some of them are compared with that of the writer.
    """
    if folding.taps == 1:
        return 0
    address = buffer_words(geometry, folding.simd).bit_length() + 1
    return (folding.taps + len(awaited(geometry, folding.unroll)) - 2) * address


def layer_cost(layer: Conv | Pool, source: Tensor, folding: Folding, family: str) -> Cost:
    """LUTs and block RAMs of ``layer`` on ``folding``, input buffer, weights and output queue included."""
    geometry = geometry_of(layer)
    coefficients = COEFFICIENTS[family]
    luts = sum(coefficients[name] * value for name, value in lut_features(layer, source, folding).items())
    luts += _copies(geometry, folding)
    rams = 0
    # iCE40 has no RAM in LUTs: buffer and queue take block RAM, unless a queue has only a few words.
    if not geometry.direct:
        count = block_rams if family == "ice40" else memory_rams
        words = buffer_words(geometry, folding.simd)
        rams += folding.taps * count(family, source.interval.bits * folding.simd, words)
    if family == "ice40" and layer.requant is not None:
        rams += block_rams(family, folding.lanes * layer.output.interval.bits, 16)
    if isinstance(layer, Conv):
        rams += sum(_weight_rams(family, layer, folding))
    return Cost(round(luts), rams)


def _weight_rams(family: str, layer: Conv, folding: Folding) -> list[int]:
    """Block RAMs of the weights of every place in a chain, which have a memory of their own."""
    words = layer.codes.size // folding.macs_per_cycle(layer)
    banks = -(-words // BANK_WORDS)
    lanes = folding.lanes_per_pe(layer)
    widths = [len(range(place, lanes, CHAIN)) * folding.pe * layer.codebook.bits for place in range(min(CHAIN, lanes))]
    return [banks * memory_rams(family, width, BANK_WORDS if banks > 1 else words) for width in widths]
