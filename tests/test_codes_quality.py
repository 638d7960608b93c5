"""Codebooks: rounding to a level, its largest error, and the quality that the literature promises."""

from math import sqrt

import numpy as np
import pytest

from hwgen.codes import CODES, Codebook, Rounding, codebook, explicit
from hwgen.quantize.mse import SortedValues


def ideal(bits: int, steps: int) -> Codebook:
    """Zero and powers of ``2**(1 / steps)``, not built of shifts: accurate to one part in 2**30."""
    magnitudes = [round(2 ** (30 + k / steps)) for k in range((1 << bits - 1) - 1)]
    return explicit([sign * magnitude for magnitude in magnitudes for sign in (1, -1)], f"ideal{steps}")


# name: the levels' largest ratio, and the largest relative errors in percent of quantizers.md (A11) where it has them.
BASES = {
    "base 2": (CODES["pot5"], 2, 33.3, 41.4),
    "base sqrt2": (ideal(5, 2), sqrt(2), 17.2, 18.9),
    "base 2^(1/4)": (ideal(5, 4), 2**0.25, 8.64, 9.05),
    "dyadic": (CODES["dyadic5"], 1.5, 20.0, 22.5),
    "sqrt2 ~ 45/32": (CODES["sqrt2_5"], 64 / 45, 17.4, 19.3),
    "2^(1/4) ~ 19/16": (CODES["root4_5"], 23 / 19, 9.52, 10.02),
    "base 4": (CODES["radix4_4"], 4, 60.0, 100.0),
    "base 2, no zero": (CODES["pot4-nozero"], 2, 33.3, 41.4),
}


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("name", BASES)
def test_largest_relative_error(name, rounding):
    """``(r - 1) / (r + 1)`` and ``sqrt(r) - 1`` for levels in a ratio of ``r``, and a value comes close to it."""
    book, ratio, linear, logarithmic = BASES[name]
    positive = book.sorted_levels[book.sorted_levels > 0]
    values = np.geomspace(positive[0], positive[-1], 400_001)
    error = np.abs(book.nearest(values, rounding) / values - 1).max()
    bound = (ratio - 1) / (ratio + 1) if rounding is Rounding.LINEAR else sqrt(ratio) - 1
    assert 0.999 * bound < error <= bound * (1 + 1e-6)
    assert 100 * error == pytest.approx(linear if rounding is Rounding.LINEAR else logarithmic, abs=0.06)
    np.testing.assert_array_equal(book.nearest(-values, rounding), -book.nearest(values, rounding))


BOOKS = {
    **CODES,
    "lopsided": explicit([1, -3, 5, 7, 20], "lopsided"),
    "lopsided, no zero": explicit([1, -3, 5, -70], "lopsided, no zero", zero_free=True),
    "one level": explicit([-6], "one level", zero_free=True),
}


@pytest.mark.parametrize("name", BOOKS)
def test_linear_is_nearest_in_value(name):
    book = BOOKS[name]
    edge = book.max_level + 2
    values = np.concatenate([np.linspace(-edge, edge, 4001), book.sorted_levels])
    distances = np.abs(values[:, None] - book.sorted_levels)
    # argmin takes the first, which is the lower level at a tie.
    np.testing.assert_array_equal(book.nearest(values), book.sorted_levels[distances.argmin(axis=1)])


@pytest.mark.parametrize("name", BOOKS)
def test_logarithmic_is_nearest_in_the_logarithm(name):
    """Of the levels of a value's sign, unless linear rounding makes it zero or changes its sign."""
    book = BOOKS[name]
    random = np.random.default_rng(0).uniform(-1, 1, 4000)
    values = np.copysign(np.geomspace(0.01, 2 * book.max_level, 4000), random)
    rounded, linear = book.nearest(values, Rounding.LOGARITHMIC), book.nearest(values)
    same = np.sign(linear) == np.sign(values)
    np.testing.assert_array_equal(rounded[~same], linear[~same])
    for value, level in zip(values[same], rounded[same], strict=True):
        side = book.sorted_levels[np.sign(book.sorted_levels) == np.sign(value)]
        assert level == side[np.abs(np.log(side / value)).argmin()]


def test_ties_go_to_the_lower_level():
    book = codebook("pot3")
    np.testing.assert_array_equal(book.nearest([1.5, 3, -1.5, -3, 0.5, -0.5]), [1, 2, -2, -4, 0, -1])
    # The geometric mean of 1 and 4 is 2; around zero both roundings agree.
    book = codebook("radix4_3")
    values, expected = [2, 8, -2, -8, 0.5, -0.5], [1, 4, -4, -16, 0, -1]
    np.testing.assert_array_equal(book.nearest(values, Rounding.LOGARITHMIC), expected)


@pytest.mark.parametrize("rounding", Rounding)
def test_zero_reaches_to_half_the_smallest_level(rounding):
    book = codebook("dyadic4")
    values = [1.49, 1.51, -1.49, -1.51, 0]
    np.testing.assert_array_equal(book.nearest(values, rounding), [0, 3, 0, -3, 0])


@pytest.mark.parametrize("rounding", Rounding)
def test_without_zero_the_sign_decides_and_zero_is_negative(rounding):
    for name in ("binary", "pot3-nozero", "e2m1-nozero"):
        book = codebook(name)
        least = int(np.abs(book.sorted_levels).min())
        np.testing.assert_array_equal(book.nearest([0, 1e-9, -1e-9], rounding), [-least, least, -least])


# quantizers.md, 1.1: SQNR in dB at the real scale of least squared error, 200,000 samples, Gauss and Laplace.
SQNR = {
    "int3": (13.27, 10.77),
    "pot3": (13.21, 11.47),
    "apot3": (13.21, 11.47),
    "pot3-nozero": (13.54, 11.76),
    "int4": (18.87, 15.58),
    "pot4": (14.22, 14.18),
    "apot4": (19.15, 16.88),
    "sp2_4": (17.18, 14.81),
    "sqrt2_4": (18.86, 16.49),
    "e2m1": (18.96, 17.33),
    "dyadic4": (18.54, 16.33),
    "e2m1-nozero": (18.35, 15.62),
    "pot5": (14.22, 14.20),
    "e3m1": (19.72, 19.72),
    "e2m2": (24.87, 23.03),
    "sqrt2_5": (20.06, 20.07),
    "root4_5": (23.92, 20.19),
    "int5": (24.28, 20.39),
    "apot5": (22.22, 21.70),
    "shiftcnn": (28.62, 28.51),
    "int8": (40.48, 35.59),
}
IDEAL = {"sqrt2_4": ideal(4, 2), "sqrt2_5": ideal(5, 2), "root4_5": ideal(5, 4)}
"""What the table was measured with; the shift-add forms come as close to it as the other codes do."""


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    return {"gauss": SortedValues(rng.normal(size=200_000)), "laplace": SortedValues(rng.laplace(size=200_000))}


def sqnr(book: Codebook, samples: SortedValues) -> float:
    """In dB at the best real scale: a grid of them, then a finer one around its best."""
    scales = np.geomspace(0.02, 1.5, 80) * samples.peak / book.max_level
    for _ in range(2):
        best = int(np.clip(samples.squared_error(book.sorted_levels, scales).argmin(), 1, len(scales) - 2))
        noise = samples.squared_error(book.sorted_levels, scales)[best]
        scales = np.geomspace(scales[best - 1], scales[best + 1], 80)
    return float(10 * np.log10(samples.energy / noise))


@pytest.mark.parametrize("name", SQNR)
@pytest.mark.parametrize(("distribution", "column"), [("gauss", 0), ("laplace", 1)])
def test_sqnr(name, distribution, column, samples):
    assert sqnr(codebook(name), samples[distribution]) == pytest.approx(SQNR[name][column], abs=0.15)
    if name in IDEAL:
        assert sqnr(IDEAL[name], samples[distribution]) == pytest.approx(SQNR[name][column], abs=0.15)
