"""Weight codes in the order in which the engine reads them."""

from __future__ import annotations

import numpy as np

from ..network import Conv
from ..sizing.folding import Folding, geometry_of
from ..sizing.product import recipe

__all__ = ["rom_words"]


def rom_words(layer: Conv, folding: Folding) -> list[int]:
    """The weight ROM: one word per beat, for every PE a code per lane, lane 0 of PE 0 in the low bits.

    Codes are as ``sizing.product.Recipe.stored`` has them.
    ``folding.pe`` output channels at a time make a set: windowed layers read (set, kernel row, kernel column, word of
    the reduction), direct ones (row, column, word, set); of an unrolled kernel these are rows and columns of blocks.
    The lanes of a PE are in the order that :class:`Folding` gives: (row in the block, column, channel).
    """
    outputs, rows, columns, inputs = layer.codes.shape
    pe, (down, across) = folding.pe, folding.unroll
    simd = folding.lanes_per_pe(layer) // folding.taps
    stored = np.array(recipe(layer.codebook).stored)[layer.codes]
    codes = stored.reshape(outputs // pe, pe, rows // down, down, columns // across, across, inputs // simd, simd)
    order = (2, 4, 6, 0, 1, 3, 5, 7) if geometry_of(layer).direct else (0, 2, 4, 6, 1, 3, 5, 7)
    words = codes.transpose(order).reshape(-1, folding.macs_per_cycle(layer))
    bits = (words[..., None] >> np.arange(layer.codebook.bits)) & 1
    packed = np.packbits(bits.reshape(len(words), -1), axis=1, bitorder="little")
    return [int.from_bytes(word.tobytes(), "little") for word in packed]
