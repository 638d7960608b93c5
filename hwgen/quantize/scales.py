"""Weight codes: per output channel the scale with the least squared error, out of the scales that hardware can undo.

The scale of channel ``o`` is ``ratio * mul[o] / 2**shift`` with ``ratio = s_out / s_in``: exactly what the
requantization of that channel multiplies back. So the search runs over the discrete grid of
:mod:`hwgen.quantize.requant` and nothing is approximated afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log2

import numpy as np
import numpy.typing as npt

from ..codes import Codebook
from ..network import MANTISSAS
from .mse import SortedValues
from .requant import KMAX, MAX_SHIFT, exponent_grid, nearest_factor, place

__all__ = ["CodedWeights", "code_weights", "on_grid", "smallest_ratio", "with_levels"]

OCTAVES_BELOW = 4
"""How far below a channel's no-clipping scale the search goes: 16 times smaller clips nearly every weight."""

SPREAD_TOLERANCE = 0.01
"""A narrower spread of ``k`` is taken when it costs at most this share of the error: 0.04 dB for one barrel shifter
level less."""


@dataclass(frozen=True)
class CodedWeights:
    """One layer's weights as codes: weight = weight_scale * level, on the grid of requantization factors.

    codes: (O, kh, kw, I / groups) uint8 of ``codebook``; weight_scale: (O,) float64, ``ratio * mul / 2**shift``; mul:
    (O,) int64. note: what the user should know about this layer, a clause without its name; the same words for the
    same thing, so that layers can be listed together. gain_db: by how much the noise that a method leaves at the output
    is below that of plain rounding, where the method knows.
    """

    codes: npt.NDArray[np.uint8]
    codebook: Codebook
    weight_scale: npt.NDArray[np.float64]
    mul: npt.NDArray[np.int64]
    shift: int
    note: str = ""
    gain_db: float | None = None


def _top_scale(peak: float, codebook: Codebook) -> float:
    """The largest scale worth a try: an octave above the one at which the largest weight meets the largest level."""
    return 2 * peak / codebook.max_level


def smallest_ratio(weight: npt.NDArray[np.float64], codebook: Codebook) -> float:
    """The smallest ``s_out / s_in`` for which every channel's scale is on the grid with a right shift of 1 or more.

    A smaller one would mean output units hundreds of times finer than one step of the accumulator.
    """
    return _top_scale(float(np.abs(weight).max()), codebook) / (MANTISSAS[0] * 2.0 ** (KMAX - 1))


def _window(cost: npt.NDArray[np.float64], weight: npt.NDArray[np.float64], lowest: int) -> tuple[int, int]:
    """The octaves ``(first, count)`` that a layer's channels share. cost: (O, E), best error of each octave.

    At most ``KMAX + 1`` octaves, and fewer where ``k`` has to start above 0; the narrowest window within tolerance.
    """
    octaves = cost.shape[1]
    totals: dict[tuple[int, int], float] = {}
    for count in range(1, min(KMAX + 1, octaves) + 1):
        for first in range(octaves - count + 1):
            # The last octave's shift must be able to stay at 1 or more with k at KMAX for the octave on top.
            if KMAX - (count - 1) - (lowest + first) >= 1:
                totals[first, count] = float((cost[:, first : first + count].min(axis=1) * weight).sum())
    least = min(totals.values())
    good = [window for window, total in totals.items() if total <= least * (1 + SPREAD_TOLERANCE)]
    return min(good, key=lambda window: (window[1], totals[window], -window[0]))


def code_weights(
    weight: npt.NDArray[np.float64],
    codebook: Codebook,
    ratio: float,
    importance: npt.NDArray[np.float64] | None = None,
) -> CodedWeights:
    """Codes of ``weight`` (O, kh, kw, I) with ``ratio = s_out / s_in`` at least :func:`smallest_ratio`.

    importance: > 0, of the shape of ``weight``, the weight of each squared error; 1 by default. Of equally good scales
    the largest wins: smaller levels make narrower accumulators. A channel of zeros gets the smallest scale of its
    layer: a codebook without zero cannot hold it.
    """
    rows = [SortedValues(row, importance if importance is None else importance[o]) for o, row in enumerate(weight)]
    peaks = np.array([row.peak for row in rows])
    alive = peaks > 0
    if not alive.any():
        # Any legal factor does for zeros; this one gives a bias its resolution. Without zero it must be the smallest.
        shift = MAX_SHIFT if codebook.zero_free else 2 * KMAX
        return _coded(weight, codebook, ratio, np.full(len(rows), MANTISSAS[0], np.int64), shift)
    octave = [log2(_top_scale(peak, codebook) / ratio / MANTISSAS[0]) for peak in peaks[alive].tolist()]
    highest = max(min(ceil(max(octave)), KMAX - 1), -MAX_SHIFT)
    lowest = min(max(floor(min(octave)) - 1 - OCTAVES_BELOW, highest - 2 * KMAX, -MAX_SHIFT), highest)

    grid = exponent_grid(lowest, highest)
    errors = np.stack([row.squared_error(codebook.sorted_levels, ratio * grid.ravel()) for row in rows])
    errors = errors.reshape(len(rows), *grid.shape)
    # Each channel counts relative to its own energy, so that quiet channels are not sacrificed; nearly dead ones are.
    energy = np.array([row.energy for row in rows])
    share = (alive | codebook.zero_free) / np.maximum(energy, 1e-3 * energy.mean())
    first, count = _window(errors.min(axis=2), share, lowest)

    inside = errors[:, first : first + count].reshape(len(rows), -1)
    best = inside.shape[1] - 1 - np.argmin(inside[:, ::-1], axis=1)
    best[~alive] = 0
    k, shift = place(lowest + first, count - 1)
    mul = np.array(MANTISSAS)[best % len(MANTISSAS)] << (k + best // len(MANTISSAS))
    return _coded(weight, codebook, ratio, mul, shift)


def _coded(
    weight: npt.NDArray[np.float64], codebook: Codebook, ratio: float, mul: npt.NDArray[np.int64], shift: int
) -> CodedWeights:
    scale = ratio * mul / 2.0**shift
    return with_levels(codebook.nearest(weight / scale[:, None, None, None]), codebook, ratio, mul, shift)


def with_levels(
    levels: npt.NDArray[np.int64],
    codebook: Codebook,
    ratio: float,
    mul: npt.NDArray[np.int64],
    shift: int,
    note: str = "",
) -> CodedWeights:
    """``levels`` (O, kh, kw, I / groups) of ``codebook`` at the scales ``ratio * mul / 2**shift`` as codes."""
    scale = (ratio * mul / 2.0**shift).astype(np.float64)
    return CodedWeights(codebook.encode(levels), codebook, scale, mul, shift, note)


def on_grid(wanted: npt.NDArray[np.float64], ratio: float) -> tuple[npt.NDArray[np.int64], int]:
    """``(mul, shift)`` of the points ``ratio * mul / 2**shift`` of the grid nearest, by ratio, to ``wanted`` (O,).

    A scale of 0 or less, of a channel without weights, goes along with the others. One shift serves all channels: those
    too far below the largest, by more than ``KMAX`` octaves, get the smallest scale that there is.
    """
    alive = wanted > 0
    if not alive.any():
        return np.full(len(wanted), MANTISSAS[0], np.int64), 2 * KMAX
    points = [nearest_factor(value / ratio) for value in np.where(alive, wanted, wanted[alive].min()).tolist()]
    highest = max(min(max(e for _, e in points), KMAX - 1), -MAX_SHIFT)
    lowest = min(max(min(e for _, e in points), highest - KMAX, -MAX_SHIFT), highest)
    k, shift = place(lowest, highest - lowest)
    mul = [
        mantissa << k + e - lowest if lowest <= e <= highest else MANTISSAS[0 if e < lowest else -1] << k + end - lowest
        for mantissa, e in points
        for end in (lowest if e < lowest else highest,)
    ]
    return np.array(mul, np.int64), shift
