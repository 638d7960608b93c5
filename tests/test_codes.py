"""Codebooks: exact levels, codes that round-trip, the fewest terms."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.codes import CODES, Codebook, Term, codebook, explicit, minifloat, signed_terms
from hwgen.errors import HwgenError

# By hand, from the papers' definitions: bits, the most terms of a level, and the magnitudes.
POWERS = [1 << k for k in range(15)]
NAMED = {
    "e2m1": (4, 2, [0, 1, 2, 3, 4, 6, 8, 12]),
    "e3m1": (5, 2, [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192]),
    "e2m2": (5, 2, [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28]),
    "pot3": (3, 1, [0, 1, 2, 4]),
    "pot4": (4, 1, [0, 1, 2, 4, 8, 16, 32, 64]),
    "pot5": (5, 1, [0, *POWERS]),
    "int3": (3, 2, [0, 1, 2, 3]),
    "int4": (4, 2, [0, 1, 2, 3, 4, 5, 6, 7]),
    "int5": (5, 3, list(range(16))),
    "int8": (8, 4, list(range(128))),
    "apot3": (3, 1, [0, 1, 2, 4]),
    "apot4": (4, 2, [0, 1, 2, 3, 4, 6, 8, 10]),
    "apot5": (5, 2, [0, 1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 32, 33, 36, 48]),
    "sp2_4": (4, 2, [0, 1, 2, 4, 5, 6, 8]),
    "sp2_5": (4, 2, [0, 1, 2, 3, 4, 5, 6, 8]),
    "dyadic4": (4, 2, [0, 3, 4, 6, 8, 12, 16, 24]),
    "dyadic5": (5, 2, [0, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384]),
    "sqrt2_4": (4, 4, [0, 32, 45, 64, 90, 128, 180, 256]),
    "sqrt2_5": (5, 4, [0, 32, 45, 64, 90, 128, 180, 256, 360, 512, 720, 1024, 1440, 2048, 2880, 4096]),
    "root4_4": (4, 3, [0, 16, 19, 23, 27, 32, 38, 46]),
    "root4_5": (5, 3, [0, 16, 19, 23, 27, 32, 38, 46, 54, 64, 76, 92, 108, 128, 152, 184]),
    "radix4_3": (3, 1, [0, 1, 4, 16]),
    "radix4_4": (4, 1, [0, 1, 4, 16, 64, 256, 1024, 4096]),
    "ternary": (2, 1, [0, 1]),
    "binary": (1, 1, [1]),
    "pot3-nozero": (3, 1, [1, 2, 4, 8]),
    "pot4-nozero": (4, 1, [1, 2, 4, 8, 16, 32, 64, 128]),
    "e2m1-nozero": (4, 2, [2, 3, 4, 6, 8, 12, 16, 24]),
    "radix4_3-nozero": (3, 1, [1, 4, 16, 64]),
    "radix4_4-nozero": (4, 1, [1, 4, 16, 64, 256, 1024, 4096, 16384]),
}
ZERO_FREE = ["binary", "e2m1-nozero", "pot3-nozero", "pot4-nozero", "radix4_3-nozero", "radix4_4-nozero"]

# Every value of OCP MX v1.0 FP4 (E2M1), by code.
OCP_FP4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6]


def _weight(value):
    """The fewest signed powers of two by exhaustive search, else four (enough below 85 = 64 + 16 + 4 + 1)."""
    powers = [1 << shift for shift in range(8)]
    signed = [*powers, *(-power for power in powers)]
    for count in range(4):
        if any(sum(terms) == value for terms in product(signed, repeat=count)):
            return count
    return 4


@pytest.mark.parametrize("value", range(-70, 71))
def test_signed_terms_are_the_fewest(value):
    terms = signed_terms(value)
    assert sum(sign << shift for sign, shift in terms) == value
    assert len(terms) == _weight(value)


@settings(derandomize=True, deadline=None)
@given(st.integers(-(1 << 80), 1 << 80))
def test_signed_terms_are_canonical(value):
    terms = signed_terms(value)
    assert sum(sign * (1 << shift) for sign, shift in terms) == value
    shifts = [term.shift for term in terms]
    # Non-adjacent and high shift first: what makes the form canonical.
    assert all(high - low >= 2 for high, low in pairwise(shifts))
    assert all(term.sign in (1, -1) for term in terms)


def test_signed_terms_by_hand():
    assert signed_terms(0) == ()
    assert signed_terms(7) == (Term(1, 3), Term(-1, 0))
    assert signed_terms(-12) == (Term(-1, 4), Term(1, 2))


def test_the_named_codebooks_are_these():
    assert set(CODES) == {*NAMED, "shiftcnn"}
    assert all(book.name == name for name, book in CODES.items())
    assert sorted(name for name, book in CODES.items() if book.zero_free) == ZERO_FREE


@pytest.mark.parametrize("name", NAMED)
def test_exact_levels(name):
    book = codebook(name)
    bits, terms, magnitudes = NAMED[name]
    assert book.sorted_levels.tolist() == sorted({sign * m for m in magnitudes for sign in (1, -1)})
    assert (book.bits, book.max_terms, book.max_level) == (bits, terms, magnitudes[-1])
    if name != "ternary":
        # Sign and magnitude: the top bit is the sign, the rest counts up.
        half = 1 << bits - 1
        assert len(book.levels) == 2 * half
        assert book.levels[: len(magnitudes)] == tuple(magnitudes)
        assert book.levels[half:] == tuple(-level for level in book.levels[:half])


def test_shiftcnn_holds_what_the_greedy_rule_of_its_authors_makes():
    """shiftcnn_quantization.py of gudovskiy/ShiftCNN, N = 2, B = 4, in units of its smallest power."""
    rest = np.linspace(0, 1.5, 300_001)
    total = np.zeros_like(rest)
    for n in (1, 2):
        log = np.log2(np.abs(rest) + 1e-32)
        index = np.floor(log)
        index += log > index + np.log2(1.5)
        term = np.where(2 - n - index > 7, 0, np.sign(rest) * 2**index)
        total, rest = total + term, rest - term
    book = codebook("shiftcnn")
    assert (book.bits, book.max_terms, book.sorted_levels.size) == (7, 2, 103)
    assert np.unique(total * 128).tolist() == book.sorted_levels[book.sorted_levels >= 0].tolist()


@pytest.mark.parametrize(("dense", "sparse"), [("pot4", "radix4_3"), ("pot5", "radix4_4")])
def test_powers_of_four_and_twice_them_are_the_powers_of_two(dense, sparse):
    """The two grids of Sun et al.'s two-phase rounding."""
    half = CODES[sparse].sorted_levels
    union = set(half.tolist()) | set((2 * half).tolist())
    assert union <= set(CODES[dense].levels)
    assert {level for level in CODES[dense].levels if abs(level) <= 2 * half.max()} == union


def test_e2m1_is_twice_ocp_fp4():
    assert [level / 2 for level in codebook("e2m1").levels] == OCP_FP4


@pytest.mark.parametrize("name", CODES)
def test_every_code_and_level_round_trips(name):
    book = codebook(name)
    codes = np.array([code for code in range(1 << book.bits) if book.is_canonical(code)], np.uint8)
    assert codes.size == book.sorted_levels.size
    np.testing.assert_array_equal(book.encode(book.decode(codes)), codes)
    np.testing.assert_array_equal(book.decode(book.encode(book.sorted_levels)), book.sorted_levels)
    assert book.encode(book.sorted_levels).dtype == np.uint8
    for code in codes:
        assert sum(sign << shift for sign, shift in book.terms(code)) == book.decode(code)


@pytest.mark.parametrize("name", CODES)
def test_zero_is_code_zero_and_codes_that_are_not_canonical_are_refused(name):
    book = codebook(name)
    illegal = [code for code in range(1 << book.bits) if not book.is_canonical(code)]
    if book.zero_free:
        assert not illegal
        with pytest.raises(ValueError, match=f"^values must be levels of {name}$"):
            book.encode(0)
    else:
        assert book.encode(0) == 0
    if name in NAMED and not book.zero_free:
        assert illegal == {"ternary": [3], "sp2_4": [7, 8, 15]}.get(name, [1 << (book.bits - 1)])
    first = int(book.encode(book.levels[0]))
    for code in (*illegal, 1 << book.bits, -1):
        assert not book.is_canonical(code)
        with pytest.raises(ValueError, match=rf"^codes must be codes of {name}, .* \(no negative zero\)$"):
            book.decode(np.array([first, code]))


@pytest.mark.parametrize("name", CODES)
def test_values_between_levels_are_not_encoded(name):
    book = codebook(name)
    for value in range(-book.max_level - 2, book.max_level + 3):
        if value not in book.levels:
            with pytest.raises(ValueError, match=f"^values must be levels of {name}$"):
                book.encode([book.levels[0], value])


def test_shapes_are_kept():
    book = codebook("e2m1")
    levels = np.resize(book.sorted_levels, (2, 3, 4))
    assert (
        book.encode(levels).shape == book.decode(book.encode(levels)).shape == book.nearest(levels).shape == (2, 3, 4)
    )
    assert book.encode(np.zeros((0, 2))).shape == (0, 2)
    assert book.decode(np.zeros((0, 2), np.uint8)).shape == (0, 2)


@pytest.mark.parametrize(("exponent", "mantissa"), [(1, 0), (1, 3), (2, 1), (3, 2), (4, 1)])
def test_minifloats_by_their_definition(exponent, mantissa):
    book = minifloat(exponent, mantissa)
    assert book.name == f"e{exponent}m{mantissa}"
    assert book.bits == exponent + mantissa + 1
    for code in range(1 << (exponent + mantissa)):
        e, f = code >> mantissa, code & ((1 << mantissa) - 1)
        value = f * 2.0**-mantissa if e == 0 else (1 + f * 2.0**-mantissa) * 2.0 ** (e - 1)
        assert book.levels[code] == value * 2**mantissa
    normal = minifloat(exponent, mantissa, zero_free=True)
    assert (normal.name, normal.bits) == (f"e{exponent}m{mantissa}-nozero", book.bits)
    for code in range(1 << (exponent + mantissa)):
        e, f = code >> mantissa, code & ((1 << mantissa) - 1)
        assert normal.levels[code] == (2**mantissa + f) * 2**e


@pytest.mark.parametrize("text", ["e2m1", " E2M1 ", "E2m1"])
def test_names_in_any_case(text):
    assert codebook(text) is CODES["e2m1"]


def test_other_minifloats_and_lists():
    assert codebook("e1m3").levels == minifloat(1, 3).levels
    assert sorted(codebook("0,1,-1,3,-3").levels) == [-3, -1, 0, 1, 3]
    assert codebook("5").levels == (0, 5)
    assert codebook("e1m3-nozero").levels == minifloat(1, 3, zero_free=True).levels


@pytest.mark.parametrize(
    ("text", "levels", "bits"),
    [
        ("1,-1,2,-2,nozero", (1, 2, -1, -2), 2),
        ("nozero, -1, 1", (1, -1), 1),
        ("3,-5,1,NoZero", (-5, 1, 3), 2),
        ("-6,nozero", (-6,), 1),
    ],
)
def test_lists_without_zero(text, levels, bits):
    book = codebook(text)
    assert book.zero_free
    assert (book.levels, book.bits) == (levels, bits)


def test_zero_in_a_list_without_zero_is_one_sentence():
    with pytest.raises(HwgenError, match="code '0,1,nozero': 0 must not be among the levels of a code without zero"):
        codebook("0,1,nozero")


@pytest.mark.parametrize(
    "text",
    ["", "e0m3", "e9m9", "e5m0", "e4m4", "nonsense", "1,x", "0", "0,0", "1.5", "nozero", "1,x,nozero", "int4-nozero"],
)
def test_unknown_names_list_the_known(text):
    with pytest.raises(HwgenError, match="is not known; choose one of ") as raised:
        codebook(text)
    message = str(raised.value)
    assert message.startswith(f"code {text!r} ")
    assert message.endswith("or list integer levels: 0,1,-1,3, or 1,-1,3,nozero")
    known = message.split("choose one of ")[1].split("; or list")[0]
    assert [name.strip() for name in known.replace(";", ",").split(",")] == list(CODES)


def test_explicit_lists():
    symmetric = explicit([1, -1, 5, -5, 9, -9])
    assert symmetric.levels == (0, 1, 5, 9, 0, -1, -5, -9)
    lopsided = explicit([-3, 8, 2])
    assert (lopsided.levels, lopsided.bits) == ((0, -3, 2, 8), 2)
    for book in (symmetric, lopsided):
        np.testing.assert_array_equal(book.decode(book.encode(book.sorted_levels)), book.sorted_levels)
    assert explicit(range(-128, 128)).bits == 8
    with pytest.raises(HwgenError, match="a codebook may have at most 256 levels, not 257"):
        explicit(range(-128, 129))
    with pytest.raises(HwgenError, match="code 'explicit': a code must have at least one level other than zero"):
        explicit([0, 0])


@pytest.mark.parametrize(
    ("bits", "levels", "message"),
    [
        (2, (1, 0), "code 0 must be level 0 where zero is a level, not 1"),
        (2, (), "at least one level other than zero"),
        (1, (0, 1, 2), "3 levels must fit 1 bits"),
        (2, (0, 0), "at least one level other than zero"),
    ],
)
def test_codebooks_that_cannot_be(bits, levels, message):
    with pytest.raises(ValueError, match=message):
        Codebook("bad", bits, levels)
