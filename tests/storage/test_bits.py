"""Fields of any width in 64-bit words, there and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen import HwgenError
from hwgen.storage.bits import BitReader, fields, from_bytes, pack, to_bytes, whole_words


@given(st.lists(st.integers(0, 40).flatmap(lambda width: st.tuples(st.integers(0, (1 << width) - 1), st.just(width)))))
def test_fields_read_back(pairs):
    values, widths = [v for v, _ in pairs], [w for _, w in pairs]
    words = pack(fields(values, widths))
    assert 64 * words.size == whole_words(sum(widths))
    reader = BitReader(from_bytes(to_bytes(words)))
    assert [int(reader.read(1, width)[0]) for width in widths] == values
    reader.finish()


def test_the_first_bit_is_the_most_significant_of_the_first_word():
    words = pack(fields([1, 0b101, 0], [1, 3, 2]))
    assert words.tolist() == [0b110100 << 58]
    assert to_bytes(words) == bytes([0b11010000, 0, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(("bits", "expected"), [(0, 0), (1, 64), (64, 64), (65, 128)])
def test_whole_words(bits, expected):
    assert whole_words(bits) == expected == 64 * pack(np.ones(bits, np.uint8)).size


@pytest.mark.parametrize("value", [-1, 4])
def test_values_that_do_not_fit(value):
    with pytest.raises(ValueError, match="fit their width"):
        fields([0, value], 2)


def test_a_cut_off_stream():
    with pytest.raises(HwgenError, match="9 bytes"):
        from_bytes(bytes(9))
    reader = BitReader(from_bytes(bytes(8)))
    reader.skip(60)
    assert reader.peek(8).size == 4
    with pytest.raises(HwgenError, match="ends before"):
        reader.read(1, 5)
    with pytest.raises(HwgenError, match="ends before"):
        BitReader(from_bytes(bytes(8))).read(1 << 40, 60)


@pytest.mark.parametrize(("words", "position"), [([0, 0], 0), ([0, 0], 64), ([1], 63), ([1 << 63], 0)])
def test_finish_finds_what_is_left(words, position):
    reader = BitReader(np.array(words, np.uint64))
    reader.skip(position)
    with pytest.raises(HwgenError, match="follows the last weight"):
        reader.finish()
