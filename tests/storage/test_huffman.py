"""Huffman codes: the bound of the entropy, optimal under a limit, canonical, and lossless."""

import heapq
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen import HwgenError
from hwgen.storage.bits import BitReader, fields, pack
from hwgen.storage.huffman import MAX_LENGTH, HuffmanCode, dictionary_bits, entropy

COUNTS = st.lists(st.one_of(st.integers(0, 5), st.integers(0, 1000)), min_size=1, max_size=40)


def unlimited(counts) -> int:
    """Total bits of Huffman's own algorithm: merge the two lightest until one is left."""
    heap = [int(count) for count in counts if count]
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        total += merged
        heapq.heappush(heap, merged)
    return total


def best_by_trial(counts, max_length) -> int:
    """Least total bits of all lengths that satisfy Kraft's inequality."""
    return min(
        sum(n * length for n, length in zip(counts, lengths, strict=True))
        for lengths in product(range(1, max_length + 1), repeat=len(counts))
        if sum(2**-length for length in lengths) <= 1
    )


@given(COUNTS.filter(any))
def test_mean_length_is_within_a_bit_of_the_entropy(counts):
    code = HuffmanCode.of_counts(counts)
    mean, bound = code.total_bits(counts) / sum(counts), entropy(counts)
    assert bound <= mean + 1e-9
    assert mean < bound + 1


@given(COUNTS)
def test_without_a_binding_limit_it_is_huffmans_code(counts):
    """40 symbols of at most 1000: no word of Huffman's code is longer than the default limit's 16 bits."""
    assert HuffmanCode.of_counts(counts).total_bits(counts) == unlimited(counts)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 60), min_size=2, max_size=6), st.integers(1, 5))
def test_optimal_under_the_limit(counts, max_length):
    if len(counts) > 1 << max_length:
        with pytest.raises(ValueError, match="more than"):
            HuffmanCode.of_counts(counts, max_length)
        return
    code = HuffmanCode.of_counts(counts, max_length)
    assert code.longest <= max_length
    assert code.total_bits(counts) == best_by_trial(counts, max_length)


def test_a_limit_that_binds():
    """Fibonacci counts: Huffman's words grow by a bit per symbol."""
    counts = [1, 1]
    while len(counts) < 20:
        counts.append(counts[-1] + counts[-2])
    totals = []
    for limit in range(5, MAX_LENGTH + 1):
        code = HuffmanCode.of_counts(counts, limit)
        assert code.longest == limit
        totals.append(code.total_bits(counts))
    assert totals == sorted(set(totals), reverse=True)
    assert totals[-1] > unlimited(counts)


def test_canonical_words():
    code = HuffmanCode((2, None, 1, 3, 3))
    assert code.words == (0b10, None, 0b0, 0b110, 0b111)
    symbols, lengths = code.table
    assert symbols.tolist() == [2, 2, 2, 2, 0, 0, 3, 4]
    assert lengths.tolist() == [1, 1, 1, 1, 2, 2, 3, 3]
    assert code.encode([3, 2, 0]).tolist() == [1, 1, 0, 0, 1, 0]


def test_equal_counts_give_words_of_equal_length():
    assert HuffmanCode.of_counts([7] * 256).lengths == (8,) * 256
    assert HuffmanCode.of_counts([7] * 256, 8).words == tuple(range(256))


def test_counts_are_those_of_the_symbols():
    symbols = [[3, 0, 3], [3, 2, 2]]
    assert HuffmanCode.of_symbols(symbols) == HuffmanCode.of_counts([1, 0, 2, 3])
    assert HuffmanCode.of_symbols(symbols).lengths == (2, None, 2, 1)


@given(st.lists(st.integers(0, 30), max_size=200), st.integers(5, 16))
def test_symbols_come_back(symbols, limit):
    code = HuffmanCode.of_symbols(symbols, limit)
    bits = code.encode(symbols)
    counts = np.bincount(np.array(symbols, int), minlength=len(code.lengths))
    assert bits.size == code.total_bits(counts)
    reader = BitReader(pack(np.concatenate((code.dictionary(limit), bits))))
    again = HuffmanCode.read(reader, len(code.lengths), limit)
    assert again == code
    half = len(symbols) // 2
    assert [*again.decode(reader, half), *again.decode(reader, len(symbols) - half)] == symbols
    reader.finish()


def test_one_symbol_takes_no_bits():
    code = HuffmanCode.of_counts([0, 0, 9])
    assert (code.lengths, code.longest, code.total_bits([0, 0, 9])) == ((None, None, 0), 0, 0)
    assert code.encode([2, 2, 2]).size == 0
    assert code.decode(BitReader(pack(code.encode([2, 2]))), 4).tolist() == [2, 2, 2, 2]


def test_no_symbol():
    code = HuffmanCode.of_counts([])
    assert (code.lengths, code.longest, code.total_bits([]), entropy([])) == ((), 0, 0, 0.0)
    assert code.encode([]).size == code.decode(BitReader(pack(code.encode([]))), 0).size == 0
    with pytest.raises(HwgenError, match="dictionary is empty"):
        code.decode(BitReader(np.zeros(1, np.uint64)), 1)


def test_entropy():
    assert entropy([5, 5, 0, 5, 5]) == 2
    assert entropy([2, 1, 1]) == 1.5
    assert entropy([3]) == 0


@pytest.mark.parametrize("symbols", [[1], [-1], [3]])
def test_symbols_without_a_codeword(symbols):
    with pytest.raises(ValueError, match="codeword"):
        HuffmanCode.of_counts([1, 0, 1]).encode(symbols)


@pytest.mark.parametrize("counts", [[1, 1, 1], [1, 1]])
def test_counts_of_other_symbols(counts):
    with pytest.raises(ValueError, match="codeword"):
        HuffmanCode.of_counts([1, 0, 1]).total_bits(counts)


@pytest.mark.parametrize("counts", [[-1, 2], [[1, 2]]])
def test_counts_that_are_none(counts):
    with pytest.raises(ValueError, match="counts"):
        HuffmanCode.of_counts(counts)


@pytest.mark.parametrize("limit", [0, MAX_LENGTH + 1])
def test_limits_that_are_none(limit):
    with pytest.raises(ValueError, match="max_length"):
        HuffmanCode.of_counts([1, 2], limit)
    with pytest.raises(ValueError, match="max_length"):
        dictionary_bits(2, limit)


@pytest.mark.parametrize("lengths", [(1,), (1, 2), (1, 1, 1), (0, 1), (17, 1), (-1, 1)])
def test_lengths_that_are_no_complete_code(lengths):
    with pytest.raises(ValueError, match=r"complete prefix code|0 to 16 bits"):
        HuffmanCode(lengths)


@pytest.mark.parametrize(("stored", "text"), [([2, 0, 0], "not a prefix code"), ([9, 9, 2], "more than 7 bits")])
def test_a_corrupt_dictionary(stored, text):
    with pytest.raises(HwgenError, match=text):
        HuffmanCode.read(BitReader(pack(fields(stored, 4))), 3, 7)


def test_a_stream_that_ends_inside_a_word():
    code = HuffmanCode((1, 2, 2))
    words = pack(np.ones(64, np.uint8))
    assert code.decode(BitReader(words), 32).tolist() == [2] * 32
    reader = BitReader(words)
    reader.skip(1)
    with pytest.raises(HwgenError, match="ends before"):
        code.decode(reader, 32)
    with pytest.raises(HwgenError, match="ends before"):
        code.decode(BitReader(words), 1 << 40)
