"""Weight codes in the order in which the engine reads them."""

from __future__ import annotations

import numpy as np

from ..network import Conv
from ..sizing.geometry import Geometry

__all__ = ["rom_words"]


def rom_words(layer: Conv, geometry: Geometry, pe: int, lanes: int) -> list[int]:
    """The weight ROM: one word per beat, ``pe`` PEs of ``lanes`` codes, lane 0 of PE 0 in the low bits.

    ``pe`` output channels at a time make a set: windowed layers read (set, kernel row, kernel column, word of the
    reduction), direct ones (row, column, word, set).
    """
    outputs, rows, columns, inputs = layer.codes.shape
    codes = layer.codes.reshape(outputs // pe, pe, rows, columns, inputs // lanes, lanes)
    order = (2, 3, 4, 0, 1, 5) if geometry.direct else (0, 2, 3, 4, 1, 5)
    words = codes.transpose(order).reshape(-1, pe * lanes)
    bits = (words[..., None] >> np.arange(layer.codebook.bits, dtype=np.uint8)) & 1
    packed = np.packbits(bits.reshape(len(words), -1), axis=1, bitorder="little")
    return [int.from_bytes(word.tobytes(), "little") for word in packed]
