"""Weight codes in the order in which the engine reads them."""

from __future__ import annotations

import numpy as np

from ..geometry import Geometry
from ..network import Conv

__all__ = ["rom_words"]


def rom_words(layer: Conv, geometry: Geometry, pe: int, simd: int) -> list[int]:
    """The weight ROM: one word per beat, ``pe * simd`` codes, lane 0 of PE 0 in the low bits.

    Windowed layers read (group, kernel row, kernel column, word of the pixel), direct ones (row, column, word, group).
    """
    outputs, rows, columns, inputs = layer.codes.shape
    codes = layer.codes.reshape(outputs // pe, pe, rows, columns, inputs // simd, simd)
    order = (2, 3, 4, 0, 1, 5) if geometry.direct else (0, 2, 3, 4, 1, 5)
    words = codes.transpose(order).reshape(-1, pe * simd)
    bits = (words[..., None] >> np.arange(layer.codebook.bits, dtype=np.uint8)) & 1
    packed = np.packbits(bits.reshape(len(words), -1), axis=1, bitorder="little")
    return [int.from_bytes(word.tobytes(), "little") for word in packed]
