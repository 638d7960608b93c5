"""What a layer costs: a model small enough to read, in four-input LUTs and block RAMs.

LUTs are a sum of *features*, each a count of bits that some part of the engine works on, times a coefficient per
family. The coefficients are a non-negative least-squares fit to synthesized engines; ``benchmarks/cost_model.py``
remakes the data, the fit and its error. Block RAMs are counted from the shapes that a family's block RAM can have.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..bounds import accumulators, hull, tap_interval, window_sum
from ..floatnet import PoolKind
from ..network import Conv, Layer, Tensor
from ..rtl.product import product_interval, split
from ..rtl.rom import BANK_WORDS
from ..rtl.storage import in_block_ram
from ..rtl.window import buffer_words
from .folding import Folding, geometry_of

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
        "accumulator": 4.13,
        "base_mux": 0.393,
        "capture": 0,
        "constants": 0,
        "direct": 0,
        "engine": 0,
        "maximum": 3.39,
        "multiples": 8.38,
        "octaves": 3.45,
        "padded_bits": 0,
        "padding": 109,
        "pool_sum": 6.2,
        "queue": 1.59,
        "requantizer": 0,
        "requantizer_constant": 0,
        "ring": 1.24,
        "shift_mux": 1.22,
        "small_memory": 0.342,
        "tree": 1.53,
        "window": 16.5,
    },
    "ice40": {
        "accumulator": 3.38,
        "base_mux": 0,
        "capture": 1.56,
        "constants": 0,
        "direct": 14.7,
        "engine": 144,
        "maximum": 10.7,
        "multiples": 10.9,
        "octaves": 3.97,
        "padded_bits": 0,
        "padding": 242,
        "pool_sum": 10.5,
        "queue": 0,
        "requantizer": 0,
        "requantizer_constant": 0,
        "ring": 1.62,
        "shift_mux": 1.01,
        "small_memory": 0.13,
        "tree": 3.04,
        "window": 2.41,
    },
}
"""LUT4s per unit of each feature of :func:`lut_features`; made by ``benchmarks/cost_model.py --fit``."""

SHELL = {"ice40": Cost(650, 1), "ecp5": Cost(520, 1)}
"""Framing, counters and the board's serial port around the layers; the frame buffer comes on top."""

_MUX = (0.0, 0.0, 1.0, 1.5, 2.0, 3.5, 4.0, 5.0, 5.0)
"""LUT4 per bit of a multiplexer with so many inputs."""


def _mux(inputs: int) -> float:
    return _MUX[inputs] if inputs < len(_MUX) else 0.7 * inputs


def block_rams(family: str, bits: int, words: int) -> int:
    """Block RAMs for ``words`` words of ``bits`` bits, in the best of the family's shapes."""
    return min(-(-bits // width) * -(-words // depth) for width, depth in SHAPES[family])


def memory_rams(family: str, bits: int, words: int) -> int:
    """Block RAMs of a synchronous memory; none when it is small enough for LUTs."""
    return block_rams(family, bits, words) if in_block_ram(bits, words) else 0


def lut_features(layer: Layer, source: Tensor, folding: Folding) -> dict[str, float]:
    """What the LUTs of an engine are spent on, as counts of bits (or of things, where they have no width)."""
    geometry = geometry_of(layer)
    features = {"engine": 1.0, "queue": float(folding.lanes * layer.output.interval.bits)}
    if geometry.direct:
        features["direct"] = 1
    else:
        words, bits = buffer_words(geometry, folding.simd), source.interval.bits * folding.simd
        features["window"] = words.bit_length()
        features["small_memory"] = 0 if in_block_ram(bits, words) else bits * words
        if any(geometry.pads):
            features["padding"] = 1
            features["padded_bits"] = bits

    if not isinstance(layer, Conv):
        maximum = layer.kind is PoolKind.MAX
        acc = source.interval if maximum else window_sum(layer, source.interval)
        features["maximum" if maximum else "pool_sum"] = folding.simd * acc.bits
        if not maximum:
            features["requantizer_constant"] = folding.simd * acc.bits
        return features

    book, taps = layer.codebook, tap_interval(layer, source.interval)
    parts = split(book)
    product, base = product_interval(book, taps).bits, (taps * max(parts.bases)).bits
    acc = hull(accumulators(layer, source.interval))
    groups = layer.codes.shape[0] // folding.pe if geometry.direct else 1
    octaves = len({int(mul).bit_length() for mul in layer.requant.mul})
    features |= {
        "base_mux": folding.macs_per_cycle * base * _mux(len(parts.bases) + 1),
        "shift_mux": folding.macs_per_cycle * product * (_mux(len(parts.shifts)) + 0.5),
        "tree": folding.pe * (folding.simd - 1) * (product + 2),
        "accumulator": folding.pe * acc.bits,
        "ring": folding.pe * acc.bits * (groups - 1),
        "capture": folding.pe * acc.bits if folding.pe > folding.lanes else 0,
        "multiples": folding.simd * sum(taps.bits + 2 for b in parts.bases if b & (b - 1)),
        "requantizer": folding.lanes * acc.bits,
        "octaves": folding.lanes * acc.bits * (octaves - 1),
        "constants": folding.lanes * (layer.codes.shape[0] / folding.lanes if layer.codes.shape[0] <= 32 else 0),
    }
    return features


def layer_cost(layer: Layer, source: Tensor, folding: Folding, family: str) -> Cost:
    """LUTs and block RAMs of ``layer`` on ``folding``, input buffer, weights and output queue included."""
    geometry = geometry_of(layer)
    coefficients = COEFFICIENTS[family]
    luts = sum(coefficients[name] * value for name, value in lut_features(layer, source, folding).items())
    rams = 0
    if not geometry.direct:
        bits = source.interval.bits * folding.simd
        rams += memory_rams(family, bits, buffer_words(geometry, folding.simd))
    if family == "ice40" and layer.requant is not None:
        rams += block_rams(family, folding.lanes * layer.output.interval.bits, 16)  # no LUT RAM: the queue takes one
    if isinstance(layer, Conv):
        bits = folding.macs_per_cycle * layer.codebook.bits
        words = layer.codes.size // folding.macs_per_cycle
        banks = -(-words // BANK_WORDS)
        rams += banks * memory_rams(family, bits, BANK_WORDS if banks > 1 else words)
    return Cost(round(luts), rams)
