"""SAWB: the clip in closed form, from two moments of the weights (Choi et al. 2019, SysML).

The best clip of a code, in units of the root mean square, is nearly a straight line in ``E|w|`` over the densities that
weights have: ``alpha = c1 * sqrt(E[w**2]) + c2 * E|w|``, with two coefficients per code. Published ones exist for
equally spaced levels; ``benchmarks/sawb.py`` fits those of every other named codebook, and :func:`fitted` does the same
for any set of levels. Where the best clip is no such line, as for codes with many octaves or bits to spare, the largest
magnitude is the clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...codes import CODES, Codebook
from ...floatnet import FloatNetwork
from ..scales import CodedWeights, with_levels
from .method import Method, choice
from .problem import Coder, Problem
from .saturation import DENSITIES, optimal_clip, scales_at

__all__ = ["PUBLISHED", "REFITTED", "Sawb", "clips_of", "coefficients", "fitted", "losses", "profits"]

SAMPLES = 1000
"""Weights of an output channel, about: the largest of so many is the clip that SAWB has to beat."""

PUBLISHED: dict[int, tuple[float, float]] = {
    3: (2.6, -1.71),
    4: (3.12, -2.064),
    8: (7.509, -6.892),
    15: (12.035, -12.03),
    16: (12.68, -12.80),
    32: (17.74, -18.64),
    127: (28.24, -30.81),
    256: (31.76, -35.04),
}
"""``(c1, c2)`` by the number of equally spaced levels, symmetric about zero: those of IBM's fms-model-optimizer."""

REFITTED: dict[str, tuple[float, float]] = {
    "e2m1": (12.268, -11.411),
    "e3m1": (39.223, -42.01),
    "pot3": (9.095, -8.826),
    "pot4": (30.264, -33.425),
    "int3": (7.009, -6.367),
    "int5": (17.169, -17.893),
    "apot3": (9.095, -8.826),
    "apot4": (14.799, -15.249),
    "apot5": (23.138, -24.34),
    "sp2_4": (11.971, -12.041),
    "sp2_5": (13.125, -13.274),
    "dyadic4": (11.322, -10.661),
    "dyadic5": (37.527, -40.86),
    "sqrt2_4": (14.503, -14.871),
    "sqrt2_5": (36.757, -40.443),
    "root4_4": (6.812, -6.042),
    "root4_5": (16.102, -16.374),
    "radix4_3": (9.965, -9.463),
    "shiftcnn": (37.695, -40.995),
    "binary": (0.001, 0.998),
    "pot3-nozero": (9.576, -9.337),
    "pot4-nozero": (31.483, -34.901),
    "e2m1-nozero": (9.92, -8.997),
}
"""``(c1, c2)`` of the named codebooks that gain by them and are not published: ``benchmarks/results/sawb.json``."""


@dataclass(frozen=True)
class Sawb(Method):
    """See the module's text.

    per: "channel" (default), each output channel's own moments, or "layer", as in the paper.
    """

    name: ClassVar[str] = "sawb"

    per: str = choice("channel", "layer")

    def coder(self, network: FloatNetwork, codebook: Codebook) -> Coder:
        return self.code

    def code(self, problem: Problem) -> CodedWeights:
        weight, book = problem.weight, problem.codebook
        alive = weight.reshape(len(weight), -1).any(axis=1)
        clips = clips_of(weight, book) if self.per == "channel" else clips_of(weight[None], book) * alive
        scale, mul, shift = scales_at(clips, book, problem.ratio)
        levels = book.nearest(weight / scale[:, None, None, None])
        note = "" if coefficients(book) else "clipped at the largest weight, as no SAWB coefficients fit the code"
        return with_levels(levels, book, problem.ratio, mul, shift, note)


def clips_of(weight: npt.NDArray[np.float64], codebook: Codebook) -> npt.NDArray[np.float64]:
    """``alpha`` of each row of ``weight`` (R, ...): (R,); 0 for a row of zeros, the largest magnitude without a line.

    No density with a single peak is flatter than the uniform one. Rows that are, of few weights mostly, would get an
    ``alpha`` near 0 or below from a falling line; it ends there, and at the largest magnitude of such a row. A negative
    ``alpha`` is the largest magnitude, too, and none is more than twice that, beyond which no scale is worth a try.
    """
    rows = np.abs(weight.reshape(len(weight), -1))
    peak = rows.max(axis=1)
    line = coefficients(codebook)
    if line is None:
        return peak
    rms, mean = np.sqrt(np.square(rows).mean(axis=1)), rows.mean(axis=1)
    c1, c2 = line
    flattest = DENSITIES["uniform"].magnitude * rms
    flat = (c2 < 0) & (mean > flattest)
    alpha = c1 * rms + c2 * np.where(flat, flattest, mean)
    return np.where(alpha > 0, np.minimum(alpha, np.where(flat, peak, 2 * peak)), peak)


def coefficients(codebook: Codebook) -> tuple[float, float] | None:
    """``(c1, c2)`` of ``codebook``: published, refitted or fitted now; None where the largest weight does better."""
    levels = codebook.sorted_levels
    if (np.diff(levels, n=2) == 0).all() and levels[0] == -levels[-1] and len(levels) in PUBLISHED:
        return PUBLISHED[len(levels)]
    if codebook.name in REFITTED and codebook == CODES[codebook.name]:
        return REFITTED[codebook.name]
    line = fitted(tuple(levels.tolist()))
    return line if profits(tuple(levels.tolist()), line) else None


@lru_cache
def fitted(levels: tuple[int, ...]) -> tuple[float, float]:
    """``(c1, c2)`` of ascending ``levels``: the least squares over the optimal clips of the six densities."""
    magnitudes = [density.magnitude for density in DENSITIES.values()]
    clips = [optimal_clip(levels, density)[0] for density in DENSITIES.values()]
    c2, c1 = np.polyfit(magnitudes, clips, 1)
    return float(c1), float(c2)


def profits(levels: tuple[int, ...], line: tuple[float, float]) -> bool:
    """Whether ``line`` clips better than the largest magnitude does, in the mean of :func:`losses`."""
    by_line, by_peak = losses(levels, line)
    return bool(by_line.mean() < by_peak.mean())


def losses(levels: tuple[int, ...], line: tuple[float, float]) -> tuple[npt.NDArray[np.float64], ...]:
    """dB that each of the six densities loses to its optimal clip: with ``line``, and with the largest magnitude."""
    found = []
    for density in DENSITIES.values():
        alpha = line[0] + line[1] * density.magnitude
        clips = np.array([alpha if alpha > 0 else density.peak(SAMPLES), density.peak(SAMPLES)])
        found.append(10 * np.log10(density.noise(levels, clips) / optimal_clip(levels, density)[1]))
    return tuple(np.array(found).T)
