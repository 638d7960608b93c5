"""Bit streams: fields of any width one after the other, most significant bit first, in zero-padded 64-bit words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgen.errors import HwgenError

__all__ = ["WORD_BITS", "BitReader", "Bits", "Words", "fields", "from_bytes", "pack", "to_bytes", "whole_words"]

Bits = npt.NDArray[np.uint8]
"""(N,) zeros and ones in the order of the stream."""

Words = npt.NDArray[np.uint64]
"""(N,) words of a stream; its first bit is the most significant of the first word."""

WORD_BITS = 64


def whole_words(bits: int) -> int:
    """Bits of the words that hold ``bits`` bits."""
    return -(-bits // WORD_BITS) * WORD_BITS


def fields(values: npt.ArrayLike, widths: npt.ArrayLike) -> Bits:
    """``values`` (N,), unsigned, in ``widths`` bits each, (N,) or one for all: (sum of the widths,) bits.

    Raises ``ValueError`` for a value that is negative or does not fit its width.
    """
    value = np.asarray(values, np.int64)
    width = np.broadcast_to(np.asarray(widths, np.int64), value.shape)
    if (value < 0).any() or (value >> width).any():
        raise ValueError("values must be non-negative and fit their width")
    ends = np.cumsum(width)
    owner = np.repeat(np.arange(value.size), width)
    shift = ends[owner] - 1 - np.arange(owner.size)
    return (value[owner] >> shift & 1).astype(np.uint8)


def pack(bits: Bits) -> Words:
    """``bits`` in words, the last one filled up with zeros."""
    padded = np.pad(bits, (0, whole_words(bits.size) - bits.size))
    return np.packbits(padded).view(">u8").astype(np.uint64)


def to_bytes(words: Words) -> bytes:
    """``words`` as big-endian bytes, so that the bits keep their order."""
    return words.astype(">u8").tobytes()


def from_bytes(data: bytes) -> Words:
    """The words that :func:`to_bytes` wrote. Raises :class:`HwgenError` if there is a part of a word."""
    if len(data) % (WORD_BITS // 8):
        raise HwgenError(f"weight stream is cut off: its {len(data)} bytes are not a whole number of 64-bit words")
    return np.frombuffer(data, ">u8").astype(np.uint64)


class BitReader:
    """Reads a stream from its beginning. Whatever is wrong with the stream is a :class:`HwgenError`."""

    def __init__(self, words: Words) -> None:
        self._bits = np.unpackbits(words.astype(">u8").view(np.uint8))
        self._position = 0

    def peek(self, count: int) -> Bits:
        """The next ``count`` bits, or fewer where the stream ends."""
        return self._bits[self._position : self._position + count]

    def skip(self, count: int) -> None:
        """Go ``count`` bits on."""
        if count > self._bits.size - self._position:
            raise HwgenError("weight stream is cut off: it ends before the last weight; write it again")
        self._position += count

    def read(self, count: int, width: int) -> npt.NDArray[np.int64]:
        """The next ``count`` unsigned fields of ``width`` bits: (count,)."""
        bits = self.peek(count * width)
        self.skip(count * width)
        return bits.reshape(count, width).astype(np.int64) @ (1 << np.arange(width)[::-1])

    def finish(self) -> None:
        """Check that nothing is left but the zeros that fill the last word."""
        rest = self._bits[self._position :]
        if rest.size >= WORD_BITS or rest.any():
            raise HwgenError("weight stream is corrupt: something follows the last weight; write it again")
