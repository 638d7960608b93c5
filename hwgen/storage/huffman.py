"""Canonical, length-limited Huffman codes of the symbols 0, 1, 2, ...

The lengths come from package-merge (Larmore and Hirschberg, "A fast algorithm for optimal length-limited Huffman
codes", 1990): no prefix code with words of at most ``max_length`` bits has a smaller mean length. Where the limit does
not bind that is Huffman's code, so with the entropy H of the symbols ``H <= mean length < H + 1``. A code is canonical:
its words follow from their lengths alone, so a dictionary holds nothing but lengths.

A symbol that is the only one takes no bits at all; how many there are is known from elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hwgen.errors import HwgenError

from .bits import BitReader, Bits, fields

__all__ = ["MAX_LENGTH", "HuffmanCode", "dictionary_bits", "entropy"]

MAX_LENGTH = 16
"""The longest codeword by default, and the largest limit: a decoder's table has two to this power entries."""

IntArray = npt.NDArray[np.int64]


def entropy(counts: npt.ArrayLike) -> float:
    """Bits per symbol that no code of single symbols goes below; 0 where nothing occurs. counts: (S,) >= 0."""
    occurring = _histogram(counts)
    occurring = occurring[occurring > 0]
    share = occurring / max(occurring.sum(), 1)
    return float(share @ -np.log2(share))


def dictionary_bits(symbols: int, max_length: int = MAX_LENGTH) -> int:
    """Bits of the dictionary of a code: a length for each of ``symbols`` symbols, whether it occurs or not."""
    return symbols * _length_bits(max_length)


@dataclass(frozen=True)
class HuffmanCode:
    """A complete canonical prefix code.

    lengths: bits of the codeword of each symbol, None for one that does not occur. ``ValueError`` unless they are those
    of a complete code, ``sum(2**-length) == 1``, of at most :data:`MAX_LENGTH` bits.
    """

    lengths: tuple[int | None, ...]

    def __post_init__(self) -> None:
        present = [length for length in self.lengths if length is not None]
        if any(not 0 <= length <= MAX_LENGTH for length in present):
            raise ValueError(f"codewords must have 0 to {MAX_LENGTH} bits")
        if present and sum(1 << (MAX_LENGTH - length) for length in present) != 1 << MAX_LENGTH:
            raise ValueError("lengths must be those of a complete prefix code")

    @classmethod
    def of_counts(cls, counts: npt.ArrayLike, max_length: int = MAX_LENGTH) -> HuffmanCode:
        """The best code with words of at most ``max_length`` bits for symbols that occur ``counts`` (S,) times.

        Raises ``ValueError`` for more different symbols than ``2**max_length``, or a limit beyond :data:`MAX_LENGTH`.
        """
        histogram = _histogram(counts)
        occurring = np.flatnonzero(histogram)
        _length_bits(max_length)
        if occurring.size > 1 << max_length:
            raise ValueError(f"{occurring.size} symbols need codewords of more than {max_length} bits")
        lengths: list[int | None] = [None] * histogram.size
        for symbol, length in zip(occurring, _package_merge(histogram[occurring], max_length), strict=True):
            lengths[symbol] = int(length)
        return cls(tuple(lengths))

    @classmethod
    def of_symbols(cls, symbols: npt.ArrayLike, max_length: int = MAX_LENGTH) -> HuffmanCode:
        """The best code for ``symbols``, non-negative integers of any shape."""
        return cls.of_counts(np.bincount(np.asarray(symbols, np.int64).ravel()), max_length)

    @classmethod
    def read(cls, reader: BitReader, symbols: int, max_length: int = MAX_LENGTH) -> HuffmanCode:
        """The code of ``symbols`` symbols whose :meth:`dictionary` comes next. :class:`HwgenError` if none does."""
        lengths = [length - 1 if length else None for length in reader.read(symbols, _length_bits(max_length)).tolist()]
        if any(length is not None and length > max_length for length in lengths):
            raise HwgenError(f"weight stream is corrupt: a codeword has more than {max_length} bits; write it again")
        try:
            return cls(tuple(lengths))
        except ValueError:
            raise HwgenError("weight stream is corrupt: its dictionary is not a prefix code; write it again") from None

    @property
    def longest(self) -> int:
        """Bits of the longest codeword."""
        return max((length for length in self.lengths if length is not None), default=0)

    @cached_property
    def words(self) -> tuple[int | None, ...]:
        """The codeword of each symbol: ascending with length, and with the symbol among those of one length."""
        words: list[int | None] = [None] * len(self.lengths)
        word = previous = 0
        for length, symbol in self._ordered:
            word <<= length - previous
            words[symbol] = word
            word, previous = word + 1, length
        return tuple(words)

    def total_bits(self, counts: npt.ArrayLike) -> int:
        """Bits of symbols that occur ``counts`` (S,) times. ``ValueError`` if one of them has no codeword."""
        histogram = _histogram(counts)
        if histogram.size != len(self.lengths) or any(
            n for n, length in zip(histogram, self.lengths, strict=True) if length is None
        ):
            raise ValueError("every symbol that occurs must have a codeword")
        return sum(int(n) * (length or 0) for n, length in zip(histogram, self.lengths, strict=True))

    def encode(self, symbols: npt.ArrayLike) -> Bits:
        """The codewords of ``symbols`` (N,) one after the other. ``ValueError`` if one of them has no codeword."""
        symbol = np.asarray(symbols, np.int64)
        coded = np.array([length is not None for length in self.lengths], bool)
        if symbol.size and (symbol.min() < 0 or symbol.max() >= coded.size or not coded[symbol].all()):
            raise ValueError("every symbol must have a codeword")
        words, lengths = (np.array([value or 0 for value in of], np.int64) for of in (self.words, self.lengths))
        return fields(words[symbol], lengths[symbol])

    def decode(self, reader: BitReader, count: int) -> IntArray:
        """The next ``count`` symbols: (count,). :class:`HwgenError` if the stream ends before."""
        if not count:
            return np.zeros(0, np.int64)
        if not self._ordered:
            raise HwgenError("weight stream is corrupt: its dictionary is empty; write it again")
        symbols, lengths = self.table
        ahead = reader.peek(count * self.longest)
        padded = np.pad(ahead, (0, self.longest))
        window = np.zeros(ahead.size + 1, np.int64)  # one more: a lone symbol has no bits ahead
        for bit in range(self.longest):
            window[:-1] = window[:-1] << 1 | padded[bit : bit + ahead.size]
        # The length of the word that would begin at each bit is looked up at once; only the chain of words is a loop.
        step = lengths[window].tolist()
        starts, position = [], 0
        for _ in range(count):
            starts.append(position)
            position += step[position]
            if position > ahead.size:
                break
        reader.skip(position)
        return symbols[window[starts]]

    @cached_property
    def table(self) -> tuple[IntArray, IntArray]:
        """A decoder's memory: symbol and length of the word that the next :attr:`longest` bits begin with.

        Both (2**longest,), addressed by those bits. Empty for a code without symbols.
        """
        repeats = [1 << (self.longest - length) for length, _ in self._ordered]
        lengths, symbols = np.array(self._ordered, np.int64).reshape(-1, 2).T
        return np.repeat(symbols, repeats), np.repeat(lengths, repeats)

    def dictionary(self, max_length: int = MAX_LENGTH) -> Bits:
        """One field for each symbol: 0 for one that does not occur, else the bits of its codeword plus 1."""
        return fields([0 if length is None else length + 1 for length in self.lengths], _length_bits(max_length))

    @cached_property
    def _ordered(self) -> list[tuple[int, int]]:
        """Length and symbol of every codeword, in the order of the codewords."""
        return sorted((length, symbol) for symbol, length in enumerate(self.lengths) if length is not None)


def _histogram(counts: npt.ArrayLike) -> IntArray:
    histogram = np.asarray(counts, np.int64)
    if histogram.ndim != 1 or (histogram < 0).any():
        raise ValueError("counts must be one non-negative integer per symbol")
    return histogram


def _length_bits(max_length: int) -> int:
    """Bits of a field of the dictionary."""
    if not 1 <= max_length <= MAX_LENGTH:
        raise ValueError(f"max_length must be 1 to {MAX_LENGTH}, not {max_length}")
    return (max_length + 1).bit_length()


def _package_merge(counts: IntArray, max_length: int) -> IntArray:
    """Lengths (S,) of the best prefix code for ``counts`` (S,) > 0 with words of at most ``max_length`` bits.

    The coin collector's view: each symbol is a coin of every denomination ``2**-1 .. 2**-max_length``, as heavy as its
    count; the lightest coins worth ``S - 1`` give each symbol a bit per coin. Coins of one denomination are paired into
    coins of the next. Equal weights: symbols before pairs, in their order, which also keeps the longest word short.
    """
    order = np.argsort(counts, kind="stable")
    coins = counts[order]
    pairs = np.zeros(0, np.int64)
    is_symbol = []
    for _ in range(max_length):
        weight = np.concatenate((coins, pairs))
        ascending = np.argsort(weight, kind="stable")
        is_symbol.append(ascending < coins.size)
        weight = weight[ascending]
        pairs = weight[0 : weight.size - 1 : 2] + weight[1::2]
    lengths = np.zeros(counts.size, np.int64)
    take = max(2 * counts.size - 2, 0)
    for symbol in reversed(is_symbol):
        single = int(symbol[:take].sum())
        lengths[order[:single]] += 1  # the lightest symbols, since those of one denomination are in order of weight
        take = 2 * (take - single)
    return lengths
