"""HAM, the Huffman address map: every code of a matrix, Huffman-coded, column after column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
import numpy.typing as npt

from hwgen.codes import Codebook

from .bits import BitReader, pack, whole_words
from .huffman import MAX_LENGTH, HuffmanCode, dictionary_bits
from .stream import Column, MatrixStream, checked

__all__ = ["Ham", "ham_bits"]


def ham_bits(counts: npt.ArrayLike, max_length: int = MAX_LENGTH) -> int:
    """Size of the :class:`Ham` of a matrix in which code ``c`` occurs ``counts[c]`` times; counts: (levels,).

    With ``length`` the codewords: ``levels * length field + sum(counts * length)``, in whole words of 64 bits.
    """
    code = HuffmanCode.of_counts(counts, max_length)
    return whole_words(dictionary_bits(len(code.lengths), max_length) + code.total_bits(counts))


class Ham(MatrixStream):
    """Dictionary, then the codewords of all codes."""

    @classmethod
    def encode(cls, codes: npt.ArrayLike, codebook: Codebook, max_length: int = MAX_LENGTH) -> Self:
        matrix = checked(codes, codebook)
        symbols = matrix.T.ravel()
        code = HuffmanCode.of_counts(np.bincount(symbols, minlength=len(codebook.levels)), max_length)
        words = pack(np.concatenate((code.dictionary(max_length), code.encode(symbols))))
        return cls(words, matrix.shape, codebook, max_length)

    def columns(self) -> Iterator[Column]:
        reader = BitReader(self.words)
        code = self._read_code(reader)
        rows, columns = self.shape
        for _ in range(columns):
            yield slice(None), code.decode(reader, rows)
        reader.finish()
