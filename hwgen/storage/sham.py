"""sHAM, the sparse one: compressed sparse columns (CSC), with Huffman codewords for the codes that are not zero."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
import numpy.typing as npt

from hwgen.codes import Codebook
from hwgen.errors import HwgenError

from .bits import BitReader, fields, pack, whole_words
from .huffman import MAX_LENGTH, HuffmanCode, dictionary_bits
from .stream import Column, MatrixStream, checked

__all__ = ["Sham", "sham_bits"]


def sham_bits(counts: npt.ArrayLike, codebook: Codebook, shape: tuple[int, int], max_length: int = MAX_LENGTH) -> int:
    """Size of the :class:`Sham` of a matrix (rows, columns) in which code ``c`` occurs ``counts[c]`` times.

    With ``length`` the codewords of the ``N`` codes that are not zero: ``levels * length field + (columns + 1) *
    pointer + N * index + sum(counts * length)``, in whole words of 64 bits; widths as in :class:`Sham`.
    """
    nonzero = np.where(np.array(codebook.levels) == 0, 0, np.asarray(counts, np.int64))
    code = HuffmanCode.of_counts(nonzero, max_length)
    positions = (shape[1] + 1) * _pointer_width(shape) + int(nonzero.sum()) * _index_width(shape)
    return whole_words(dictionary_bits(len(code.lengths), max_length) + positions + code.total_bits(nonzero))


class Sham(MatrixStream):
    """Dictionary, column pointers, row indices, then the codewords of the codes that are not zero.

    Pointers have the bits of ``rows * columns``, indices those of ``rows - 1``. Of a zero-free codebook all codes are
    stored, each with its index, so that a :class:`Ham` is never larger.
    """

    @classmethod
    def encode(cls, codes: npt.ArrayLike, codebook: Codebook, max_length: int = MAX_LENGTH) -> Self:
        matrix = checked(codes, codebook)
        stored = codebook.decode(matrix) != 0
        pointers = np.concatenate(([0], np.cumsum(np.count_nonzero(stored, axis=0))))
        column, row = np.nonzero(stored.T)
        symbols = matrix[row, column]
        code = HuffmanCode.of_counts(np.bincount(symbols, minlength=len(codebook.levels)), max_length)
        parts = (
            code.dictionary(max_length),
            fields(pointers, _pointer_width(matrix.shape)),
            fields(row, _index_width(matrix.shape)),
            code.encode(symbols),
        )
        return cls(pack(np.concatenate(parts)), matrix.shape, codebook, max_length)

    def columns(self) -> Iterator[Column]:
        reader = BitReader(self.words)
        code = self._read_code(reader)
        zero_free = self.codebook.zero_free
        if not zero_free and code.lengths[0] is not None:
            raise HwgenError("weight stream is corrupt: zero has a codeword; write it again")
        rows, columns = self.shape
        pointers = reader.read(columns + 1, _pointer_width(self.shape))
        if pointers[0] != 0 or (np.diff(pointers) < 0).any():
            raise HwgenError("weight stream is corrupt: its column pointers do not ascend; write it again")
        if zero_free and pointers[-1] != rows * columns:
            raise HwgenError(f"weight stream is corrupt: {self.codebook.name} has no zero to leave out; write it again")
        indices = reader.read(int(pointers[-1]), _index_width(self.shape))
        for start, stop in zip(pointers[:-1].tolist(), pointers[1:].tolist(), strict=True):
            index = indices[start:stop]
            if (np.diff(index) <= 0).any() or (index >= rows).any():
                raise HwgenError("weight stream is corrupt: row indices do not ascend; write it again")
            yield index, code.decode(reader, stop - start)
        reader.finish()


def _pointer_width(shape: tuple[int, int]) -> int:
    return (shape[0] * shape[1]).bit_length()


def _index_width(shape: tuple[int, int]) -> int:
    return max(shape[0] - 1, 0).bit_length()
