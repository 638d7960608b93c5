"""The densities, and the clips that are best for them."""

import numpy as np
import pytest
from scipy import special

from hwgen.codes import CODES
from hwgen.network import MANTISSAS
from hwgen.quantize.methods.saturation import DENSITIES, optimal_clip, scales_at

MAGNITUDES = {
    "gauss": np.sqrt(2 / np.pi),
    "laplace": np.sqrt(0.5),
    "uniform": np.sqrt(3) / 2,
    "logistic": 2 * np.log(2) * np.sqrt(3) / np.pi,
    "triangular": np.sqrt(6) / 3,
}


@pytest.mark.parametrize("name", DENSITIES)
def test_densities_have_their_moments(name):
    density = DENSITIES[name]
    assert density.shares.sum() == pytest.approx(1)
    assert density.shares @ np.square(density.values) == pytest.approx(1)
    assert density.magnitude == pytest.approx(MAGNITUDES.get(name, density.magnitude), rel=1e-4)
    assert MAGNITUDES["laplace"] < density.magnitude + 1e-6 < MAGNITUDES["uniform"] + 1e-5


def test_the_share_and_the_peak_of_a_gaussian():
    gauss = DENSITIES["gauss"]
    assert gauss.beyond(1.3).shares.sum() == pytest.approx(special.erfc(1.3 / np.sqrt(2)), rel=1e-3)
    assert gauss.peak(1000) == pytest.approx(special.ndtri(1 - 0.5 / 1000), rel=1e-3)


@pytest.mark.parametrize(
    ("code", "decibels"),
    [("pot3", 13.21), ("pot4", 14.22), ("int4", 18.87), ("e2m1", 18.96), ("e2m2", 24.87), ("int3", 13.27)],
)
def test_noise_at_the_best_clip_is_that_of_the_literature(code, decibels):
    """SQNR of Gaussian weights as ``quantizers.md`` measured it on samples."""
    clip, noise = optimal_clip(CODES[code].sorted_levels, DENSITIES["gauss"])
    assert -10 * np.log10(noise) == pytest.approx(decibels, abs=0.05)
    around = DENSITIES["gauss"].noise(CODES[code].sorted_levels, clip * np.array([0.97, 1.03]))
    assert (around > noise).all()


@pytest.mark.parametrize("code", ["e2m1", "pot3-nozero"])
def test_scales_are_the_nearest_of_the_grid(code):
    book, ratio = CODES[code], 0.013
    clips = np.array([0.7, 0.0, 0.11, 0.05])
    scale, mul, shift = scales_at(clips, book, ratio)
    assert (scale == ratio * mul / 2.0**shift).all()
    assert set(mul.tolist()) <= {mantissa << k for mantissa in MANTISSAS for k in range(8)}
    alive = clips > 0
    assert np.abs(np.log(scale * book.max_level / np.where(alive, clips, 1))[alive]).max() < np.log(1.09)
    if book.zero_free:
        assert (mul[1], mul.max()) == (MANTISSAS[0], 14 << 7)  # as far below the others as the grid goes
    else:
        assert scale[1] == scale[alive].min()


def test_weights_that_cannot_be_zero_are_as_small_as_can_be():
    scale, _, _ = scales_at(np.zeros(3), CODES["pot3-nozero"], 1.0)
    assert (scale == MANTISSAS[0] / 2.0**30).all()
