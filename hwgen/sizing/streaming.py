"""Layers that only let words through, changed or moved: legal lanes, cycles and memory of Add, Concat, Table, Remap.

One number, ``lanes``, says all about their parallelism: the channels per word of every source and of the output.
"""

from __future__ import annotations

from math import gcd
from typing import NamedTuple

from ..interval import Interval
from ..network import Add, Concat, Remap, Table, Tensor
from .rowmap import RowMap, remap_lanes

__all__ = ["MemoryShape", "StreamingLayer", "cycles", "legal_lanes", "memories", "table_words", "validate_lanes"]

StreamingLayer = Add | Concat | Table | Remap


class MemoryShape(NamedTuple):
    """A memory of ``words`` words of ``bits`` bits, with ``ports`` read ports."""

    bits: int
    words: int
    ports: int = 1


def legal_lanes(layer: StreamingLayer) -> list[int]:
    """Every legal number of lanes, ascending: what divides the channels of every source and of the output.

    For a Remap also what leaves words whole, see :func:`~hwgen.sizing.rowmap.remap_lanes`.
    """
    if isinstance(layer, Remap):
        return remap_lanes(layer)
    parts = layer.input_shapes if isinstance(layer, Concat) else (layer.output.shape,)
    channels = gcd(*(shape[2] for shape in parts))
    return [lanes for lanes in range(1, channels + 1) if channels % lanes == 0]


def validate_lanes(layer: StreamingLayer, lanes: int) -> None:
    """``ValueError`` unless ``lanes`` is legal."""
    legal = legal_lanes(layer)
    if lanes not in legal:
        raise ValueError(f"{layer.name}: lanes must be one of {legal}, not {lanes!r}")


def cycles(layer: StreamingLayer, lanes: int) -> int:
    """Cycles per frame in steady state, when inputs and output keep up: one per output word, but see RowMap.cycles."""
    if isinstance(layer, Remap):
        return RowMap(layer, lanes).cycles
    height, width, channels = layer.output.shape
    return height * width * channels // lanes


def memories(layer: StreamingLayer, source: Tensor, lanes: int) -> list[MemoryShape]:
    """Memories of the engine apart from its output queue and from constants in LUTs; ``source`` is the (first) source.

    Add: the biases of every lane, when a pixel has more than one word. Table: a memory of all values that the bits of
    a source value can be, for all lanes or (tables per channel) for each. Remap: the ring of rows.
    """
    words = layer.output.shape[2] // lanes
    match layer:
        case Add():
            lines = [layer.add[lane::lanes].tolist() for lane in range(lanes)]
            return [MemoryShape(Interval.hull(line).bits, words) for line in lines if len(set(line)) > 1]
        case Concat():
            return []
        case Table():
            entries = 1 << source.interval.bits
            if len(layer.values) == 1:
                return [MemoryShape(layer.output.interval.bits, entries, lanes)]
            return [MemoryShape(layer.output.interval.bits, entries * _full(words))] * lanes
        case Remap():
            return [MemoryShape(source.interval.bits * lanes, RowMap(layer, lanes).buffer_words)]


def table_words(layer: Table, source: Interval, lane: int, lanes: int) -> list[int]:
    """The memory of one lane: addressed by the bits of a value and, above them, the number of the pixel's word.

    Addresses that no value of ``source`` has repeat the value of the nearest one.
    """
    rows = layer.values if len(layer.values) == 1 else layer.values[lane::lanes]
    size = 1 << source.bits
    values = [bits - size if source.signed and bits >= size // 2 else bits for bits in range(size)]
    index = [min(max(value, source.lo), source.hi) - source.lo for value in values]
    return [int(row[place]) for row in rows for place in index]


def _full(words: int) -> int:
    """``words`` as an address of whole bits counts them."""
    return 1 << (words - 1).bit_length()
