"""Codebooks: exact levels, codes that round-trip, the fewest terms, and the quality that the literature promises."""

from itertools import pairwise, product
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.codes import CODES, Codebook, Term, codebook, explicit, minifloat, signed_terms
from hwgen.errors import HwgenError

MAGNITUDES = {
    "e2m1": [0, 1, 2, 3, 4, 6, 8, 12],
    "pot3": [0, 1, 2, 4],
    "pot4": [0, 1, 2, 4, 8, 16, 32, 64],
    "pot5": [0, *(1 << k for k in range(15))],
    "int4": [0, 1, 2, 3, 4, 5, 6, 7],
    "e3m1": [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192],
    "e2m2": [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28],
    "apot4": [0, 1, 2, 3, 4, 6, 8, 10],
    "ternary": [0, 1],
}
BITS = {"e2m1": 4, "pot3": 3, "pot4": 4, "pot5": 5, "int4": 4, "e3m1": 5, "e2m2": 5, "apot4": 4, "ternary": 2}
TERMS = {"e2m1": 2, "pot3": 1, "pot4": 1, "pot5": 1, "int4": 2, "e3m1": 2, "e2m2": 2, "apot4": 2, "ternary": 1}

# SQNR in dB for Gaussian and Laplace weights at the real scale of least squared error, measured once
# with 200,000 random samples and recomputed below.
SQNR = {
    "e2m1": (18.96, 17.33),
    "pot3": (13.21, 11.47),
    "pot4": (14.22, 14.18),
    "pot5": (14.22, 14.20),
    "int4": (18.87, 15.58),
    "e3m1": (19.72, 19.72),
    "e2m2": (24.87, 23.03),
    "apot4": (19.15, 16.88),
}

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
    assert set(CODES) == set(MAGNITUDES)
    assert all(book.name == name for name, book in CODES.items())


@pytest.mark.parametrize("name", CODES)
def test_exact_levels(name):
    book = codebook(name)
    magnitudes = MAGNITUDES[name]
    assert book.sorted_levels.tolist() == sorted({sign * m for m in magnitudes for sign in (1, -1)})
    assert book.bits == BITS[name]
    assert book.max_level == magnitudes[-1]
    assert book.max_terms == TERMS[name]
    if name != "ternary":
        # Sign and magnitude: the top bit is the sign, the rest counts up.
        assert book.levels == (*magnitudes, *(-m for m in magnitudes))


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
def test_zero_is_code_zero_and_negative_zero_is_refused(name):
    book = codebook(name)
    assert book.encode(0) == 0
    illegal = [code for code in range(1 << book.bits) if not book.is_canonical(code)]
    assert illegal == ([3] if name == "ternary" else [1 << (book.bits - 1)])
    for code in (*illegal, 1 << book.bits, -1):
        assert not book.is_canonical(code)
        with pytest.raises(ValueError, match=f"^codes must be codes of {name} other than negative zero$"):
            book.decode(np.array([0, code]))


@pytest.mark.parametrize("name", CODES)
def test_values_between_levels_are_not_encoded(name):
    book = codebook(name)
    for value in range(-book.max_level - 2, book.max_level + 3):
        if value not in book.levels:
            with pytest.raises(ValueError, match=f"^values must be levels of {name}$"):
                book.encode([0, value])


def test_shapes_are_kept():
    book = codebook("e2m1")
    levels = np.resize(book.sorted_levels, (2, 3, 4))
    assert (
        book.encode(levels).shape == book.decode(book.encode(levels)).shape == book.nearest(levels).shape == (2, 3, 4)
    )
    assert book.encode(np.zeros((0, 2))).shape == (0, 2)
    assert book.decode(np.zeros((0, 2), np.uint8)).shape == (0, 2)


@pytest.mark.parametrize("name", CODES)
def test_nearest_against_brute_force(name):
    book = codebook(name)
    edge = book.max_level + 2
    values = np.concatenate([np.linspace(-edge, edge, 4001), book.sorted_levels])
    distances = np.abs(values[:, None] - book.sorted_levels)
    # argmin takes the first, which is the lower level at a tie.
    np.testing.assert_array_equal(book.nearest(values), book.sorted_levels[distances.argmin(axis=1)])


def test_nearest_takes_the_lower_level_at_a_tie():
    book = codebook("pot3")
    np.testing.assert_array_equal(book.nearest([1.5, 3, -1.5, -3, 0.5, -0.5]), [1, 2, -2, -4, 0, -1])


def _quantiles(distribution, count=20_000):
    """Evenly spaced quantiles: the distribution itself, without the luck of a draw."""
    p = (np.arange(count) + 0.5) / count
    if distribution == "normal":
        return np.array([NormalDist().inv_cdf(q) for q in p])
    return np.sign(p - 0.5) * -np.log1p(-2 * np.abs(p - 0.5))


def _sqnr(book, weights):
    """SQNR in dB at the best of a fine grid of real scales."""
    noise = min(
        ((scale * book.nearest(weights / scale) - weights) ** 2).sum()
        for scale in np.geomspace(0.3, 40, 200) * weights.std() / book.max_level
    )
    return 10 * np.log10((weights**2).sum() / noise)


@pytest.mark.parametrize("name", SQNR)
@pytest.mark.parametrize(("distribution", "column"), [("normal", 0), ("laplace", 1)])
def test_sqnr(name, distribution, column):
    # The table was drawn from 200,000 samples: with heavy tails it varies by about a tenth of a decibel.
    assert _sqnr(codebook(name), _quantiles(distribution)) == pytest.approx(SQNR[name][column], abs=0.15)


@pytest.mark.parametrize(("exponent", "mantissa"), [(1, 0), (1, 3), (2, 1), (3, 2), (4, 1)])
def test_minifloats_by_their_definition(exponent, mantissa):
    book = minifloat(exponent, mantissa)
    assert book.name == f"e{exponent}m{mantissa}"
    assert book.bits == exponent + mantissa + 1
    for code in range(1 << (exponent + mantissa)):
        e, f = code >> mantissa, code & ((1 << mantissa) - 1)
        value = f * 2.0**-mantissa if e == 0 else (1 + f * 2.0**-mantissa) * 2.0 ** (e - 1)
        assert book.levels[code] == value * 2**mantissa


@pytest.mark.parametrize("text", ["e2m1", " E2M1 ", "E2m1"])
def test_names_in_any_case(text):
    assert codebook(text) is CODES["e2m1"]


def test_other_minifloats_and_lists():
    assert codebook("e1m3").levels == minifloat(1, 3).levels
    assert sorted(codebook("0,1,-1,3,-3").levels) == [-3, -1, 0, 1, 3]
    assert codebook("5").levels == (0, 5)


@pytest.mark.parametrize("text", ["", "e0m3", "e9m9", "e5m0", "e4m4", "nonsense", "1,x", "0", "0,0", "1.5"])
def test_unknown_names_list_the_known(text):
    with pytest.raises(HwgenError, match=r"is not known; choose one of e2m1, pot3, pot4, .*or list integer levels"):
        codebook(text)


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


@pytest.mark.parametrize(
    ("bits", "levels", "message"),
    [
        (2, (1, 0), "code 0 must be level 0"),
        (2, (), "code 0 must be level 0"),
        (1, (0, 1, 2), "3 levels must fit 1 bits"),
        (2, (0, 0), "at least one level other than zero"),
    ],
)
def test_codebooks_that_cannot_be(bits, levels, message):
    with pytest.raises(ValueError, match=message):
        Codebook("bad", bits, levels)
