"""A matrix of codes as a stream of bits, in whatever format: decoding it, and the product with it on the fly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from hwgen.codes import Codebook
from hwgen.errors import HwgenError

from .bits import WORD_BITS, BitReader, Words, from_bytes, to_bytes
from .huffman import MAX_LENGTH, HuffmanCode

__all__ = ["Column", "MatrixStream", "checked"]

Column = tuple[slice | npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""The rows of a column that are stored, and their codes."""


@dataclass(frozen=True, eq=False)
class MatrixStream(ABC):
    """Codes (rows, columns) of ``codebook``, column-major, as ``words``; whole words, so ``bits`` is what it takes.

    max_length: the limit on codewords that the stream was written with. A stream has no header: ``shape``, ``codebook``
    and ``max_length`` must be known to read it, as they are of a network's layer. It has no checksum either: one that
    is cut off or cannot be read is a :class:`HwgenError` of whoever decodes, but damage may also decode to other codes.
    """

    words: Words
    shape: tuple[int, int]
    codebook: Codebook
    max_length: int = MAX_LENGTH

    @classmethod
    @abstractmethod
    def encode(cls, codes: npt.ArrayLike, codebook: Codebook, max_length: int = MAX_LENGTH) -> Self:
        """The stream of ``codes`` (rows, columns).

        Raises ``ValueError`` for codes that are not of ``codebook``, and for more of them than ``2**max_length``.
        """

    @abstractmethod
    def columns(self) -> Iterator[Column]:
        """Decode one column after the other; what is not among its rows is zero."""

    @property
    def bits(self) -> int:
        """Size of the stream, with its dictionary and the zeros that fill the last word."""
        return WORD_BITS * self.words.size

    def decode(self) -> npt.NDArray[np.uint8]:
        """The codes (rows, columns)."""
        codes = np.zeros(self.shape, np.uint8)
        for index, (rows, column) in enumerate(self.columns()):
            codes[rows, index] = column
        return codes

    def dot(self, x: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """``x @ levels`` of integers ``x`` (..., rows), exact: (..., columns). Holds one decoded column at a time."""
        values = np.asarray(x)
        if values.dtype.kind not in "iu" or values.shape[-1:] != self.shape[:1]:
            raise ValueError(f"x must be integers of shape (..., {self.shape[0]}), not {values.dtype} {values.shape}")
        values = values.astype(np.int64)
        levels = np.array(self.codebook.levels, np.int64)
        product = np.zeros((*values.shape[:-1], self.shape[1]), np.int64)
        for index, (rows, column) in enumerate(self.columns()):
            product[..., index] = values[..., rows] @ levels[column]
        return product

    def to_bytes(self) -> bytes:
        """The stream, ``bits / 8`` bytes."""
        return to_bytes(self.words)

    @classmethod
    def from_bytes(cls, data: bytes, shape: tuple[int, int], codebook: Codebook, max_length: int = MAX_LENGTH) -> Self:
        """What :meth:`to_bytes` wrote. Raises :class:`HwgenError` if it is not whole words."""
        return cls(from_bytes(data), shape, codebook, max_length)

    def _read_code(self, reader: BitReader) -> HuffmanCode:
        """The dictionary, which comes next."""
        code = HuffmanCode.read(reader, len(self.codebook.levels), self.max_length)
        if any(not self.codebook.is_canonical(c) for c, length in enumerate(code.lengths) if length is not None):
            raise HwgenError(
                f"weight stream is corrupt: it holds codes that {self.codebook.name} lacks; write it again"
            )
        return code


def checked(codes: npt.ArrayLike, codebook: Codebook) -> npt.NDArray[np.int64]:
    """``codes`` as a matrix of integers. ``ValueError`` if it is none, or if they are not codes of ``codebook``."""
    matrix = np.asarray(codes)
    if matrix.ndim != 2:
        raise ValueError(f"codes must be a matrix, not of shape {matrix.shape}")
    codebook.decode(matrix)
    return matrix.astype(np.int64)
