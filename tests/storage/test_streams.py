"""HAM and sHAM: lossless, exact products on the fly, sizes by formula, and damage that is an error or other codes."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen import HwgenError
from hwgen.codes import CODES, Codebook, explicit
from hwgen.storage import Ham, Sham, ham_bits, sham_bits
from hwgen.storage.bits import fields, pack
from hwgen.storage.huffman import HuffmanCode

FORMATS = (Ham, Sham)
BOOKS = (*CODES.values(), explicit(range(-99, 150), "many"), explicit([5], "one"))


def random_codes(rng: np.random.Generator, book: Codebook, shape: tuple[int, int], zeros: float) -> np.ndarray:
    """Codes of levels with a skewed distribution, a share ``zeros`` of them code 0 (mostly level 0) beyond those."""
    level = rng.choice(book.sorted_levels, shape, p=rng.dirichlet(np.full(book.sorted_levels.size, 0.3)))
    return np.where(rng.random(shape) < zeros, 0, book.encode(level)).astype(np.uint8)


def counts_of(codes: np.ndarray, book: Codebook) -> np.ndarray:
    return np.bincount(codes.ravel(), minlength=len(book.levels))


MATRICES = st.tuples(
    st.integers(0, 2**32),
    st.sampled_from(BOOKS),
    st.tuples(st.integers(0, 40), st.integers(0, 20)),
    st.sampled_from((0.0, 0.5, 0.95, 1.0)),
)


@pytest.mark.parametrize("kind", FORMATS)
@given(MATRICES, st.integers(8, 16))
def test_lossless_also_through_bytes(kind, drawn, limit):
    seed, book, shape, zeros = drawn
    codes = random_codes(np.random.default_rng(seed), book, shape, zeros)
    stream = kind.encode(codes, book, limit)
    data = stream.to_bytes()
    again = kind.from_bytes(data, shape, book, limit)
    for read in (stream, again):
        decoded = read.decode()
        assert decoded.dtype == np.uint8
        assert np.array_equal(decoded, codes)
    assert np.array_equal(again.words, stream.words)
    assert kind.encode(codes, book, limit).to_bytes() == data


@pytest.mark.parametrize("kind", FORMATS)
@given(MATRICES)
def test_the_product_on_the_fly_is_the_dense_one(kind, drawn):
    seed, book, shape, zeros = drawn
    rng = np.random.default_rng(seed)
    codes = random_codes(rng, book, shape, zeros)
    stream = kind.encode(codes, book)
    for x in (
        rng.integers(-128, 128, shape[0]),
        rng.integers(0, 256, (3, 2, shape[0])).astype(np.uint8),
        rng.integers(1 << 47, 1 << 48, shape[0]).astype(np.uint64),  # beyond what float64 holds
    ):
        assert np.array_equal(stream.dot(x), x.astype(np.int64) @ book.decode(codes))


@given(MATRICES, st.integers(8, 16))
def test_sizes_are_those_of_the_formulas(drawn, limit):
    seed, book, shape, zeros = drawn
    codes = random_codes(np.random.default_rng(seed), book, shape, zeros)
    counts = counts_of(codes, book)
    for stream, formula in (
        (Ham.encode(codes, book, limit), ham_bits(counts, limit)),
        (Sham.encode(codes, book, limit), sham_bits(counts, book, shape, limit)),
    ):
        assert stream.bits == 8 * len(stream.to_bytes()) == formula


def test_sizes_by_hand():
    """Four weights of 8 are 1, the others -1, 2 and twice 0: words of 1, 3, 3 and 2 bits; without 0: 1, 2 and 2."""
    book = CODES["pot3"]
    codes = book.encode(np.array([[1, 0, 1, 1], [-1, 2, 1, 0]]))
    dictionary = 8 * 5
    assert HuffmanCode.of_counts(counts_of(codes, book)).lengths == (2, 1, 3, None, None, 3, None, None)
    assert Ham.encode(codes, book).bits == ham_bits(counts_of(codes, book)) == 64
    assert dictionary + 4 * 1 + 2 * 3 + 2 * 2 <= 64
    pointers, indices, values = 5 * 4, 6 * 1, 4 * 1 + 2 * 2
    assert dictionary + pointers + indices + values == 74
    assert Sham.encode(codes, book).bits == sham_bits(counts_of(codes, book), book, (2, 4)) == 128


def test_the_bits_of_a_ham():
    """The dictionary, lengths plus 1 in 5 bits each; then column after column."""
    book = CODES["ternary"]
    words = Ham.encode(book.encode([[0, 1], [0, -1]]), book).words
    assert f"{int(words[0]):064b}" == "".join(["00010", "00011", "00011", "0", "0", "10", "11"]).ljust(64, "0")


def test_the_bits_of_a_sham():
    book = CODES["ternary"]
    words = Sham.encode(book.encode([[0, 1], [0, -1], [0, 0], [0, 0]]), book).words
    dictionary, pointers, indices, values = (
        ["00000", "00010", "00010"],
        ["0000", "0000", "0010"],
        ["00", "01"],
        ["0", "1"],
    )
    text = "".join(dictionary + pointers + indices + values)
    assert f"{int(words[0]):064b}" == text.ljust(64, "0")


def test_a_constant_matrix_takes_a_dictionary_only():
    book = CODES["e2m1"]
    codes = book.encode(np.full((300, 40), 6))
    assert Ham.encode(codes, book).bits == 128  # 16 levels of 5 bits
    assert Sham.encode(book.encode(np.zeros((300, 40))), book).bits == 704  # and 41 pointers of 14 bits


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=150)
@given(st.data())
def test_damage_is_an_error_or_other_codes(kind, data):
    """Never another exception, another shape, a code that the codebook lacks, or an endless loop."""
    book = data.draw(st.sampled_from((CODES["pot3"], CODES["e2m1"], CODES["ternary"], CODES["binary"])))
    codes = random_codes(np.random.default_rng(data.draw(st.integers(0, 99))), book, (9, 7), 0.4)
    damaged = bytearray(kind.encode(codes, book).to_bytes())
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(damaged) - 1)) :]
    else:
        for at in data.draw(st.lists(st.integers(0, 8 * len(damaged) - 1), min_size=1, max_size=6)):
            damaged[at // 8] ^= 0x80 >> at % 8
    with suppress(HwgenError):
        stream = kind.from_bytes(bytes(damaged), (9, 7), book)
        decoded = stream.decode()
        assert np.array_equal(stream.dot(np.eye(9, dtype=int)), book.decode(decoded))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_cut_off_stream_is_an_error(kind):
    book = CODES["pot4"]
    data = kind.encode(random_codes(np.random.default_rng(1), book, (30, 8), 0.2), book).to_bytes()
    for length in range(len(data)):
        with pytest.raises(HwgenError, match="cut off"):
            kind.from_bytes(data[:length], (30, 8), book).decode()
    with pytest.raises(HwgenError, match="follows the last weight"):
        kind.from_bytes(data + bytes(8), (30, 8), book).decode()


@pytest.mark.parametrize(
    ("levels", "lengths", "text"),
    [((0, 1, 0), (None, 1, 1), "codes that twice lacks"), ((0, 1, -1), (1, 1, None), "zero has a codeword")],
)
def test_codewords_that_cannot_be(levels, lengths, text):
    book = Codebook("twice", 2, levels)
    with pytest.raises(HwgenError, match=text):
        Sham(pack(HuffmanCode(lengths).dictionary()), (2, 2), book).decode()


def test_a_zero_free_code_leaves_nothing_out():
    book = CODES["binary"]
    bits = [HuffmanCode((1, 1)).dictionary(), fields([0, 1, 1], 3), fields([0], 1), fields([1], 1)]
    with pytest.raises(HwgenError, match="no zero to leave out"):
        Sham(pack(np.concatenate(bits)), (2, 2), book).decode()


@pytest.mark.parametrize(
    ("pointers", "indices", "text"),
    [
        ([1, 2, 2], [0, 1], "pointers"),
        ([0, 3, 2], [0, 1], "pointers"),
        ([0, 2, 2], [1, 0], "row indices"),
        ([0, 2, 2], [1, 1], "row indices"),
        ([0, 1, 2], [1, 3], "row indices"),
    ],
)
def test_positions_that_cannot_be(pointers, indices, text):
    """A matrix of 3 rows and 2 columns: pointers of 3 bits, indices of 2."""
    bits = [fields([0, 2, 2], 5), fields(pointers, 3), fields(indices, 2), fields([0, 1], 1)]
    with pytest.raises(HwgenError, match=text):
        Sham(pack(np.concatenate(bits)), (3, 2), CODES["ternary"]).decode()


@pytest.mark.parametrize("kind", FORMATS)
def test_wrong_arguments(kind):
    book = CODES["pot3"]
    for codes in (np.full((2, 2), 4), np.full((2, 2), 8), np.full((2, 2), -1)):
        with pytest.raises(ValueError, match="codes of pot3"):
            kind.encode(codes, book)
    with pytest.raises(ValueError, match="matrix"):
        kind.encode(np.zeros(4, np.uint8), book)
    with pytest.raises(ValueError, match="more than 2 bits"):
        kind.encode(book.encode([[0, 1, 2, 4, -1, -2, -4]]), book, 2)
    stream = kind.encode(np.zeros((3, 2), np.uint8), book)
    for x in (np.zeros(2, int), np.zeros(3), np.zeros((3, 2), int)):
        with pytest.raises(ValueError, match="x must be integers"):
            stream.dot(x)
