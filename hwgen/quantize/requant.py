"""Requantization factors: the discrete grid they come from, and the integers that make up a ``Requant``.

A factor is ``(mantissa << k) / 2**shift`` with a mantissa out of ``MANTISSAS``, ``k`` per output channel and ``shift``
common to the layer. Written as ``mantissa * 2**e`` with ``e = k - shift``, the grid has six points per octave, at most
17 % apart. A weight scale taken from ``s_out / s_in`` times this grid leaves nothing to approximate.
"""

from __future__ import annotations

from math import floor, isfinite, log2

import numpy as np
import numpy.typing as npt

from ..errors import HwgenError
from ..interval import Interval
from ..network import MANTISSAS, Requant

__all__ = [
    "ACC_BITS", "KMAX", "MAX_SHIFT", "MIN_SHIFT", "add_of", "check_bits", "check_reach", "clip_limits", "exponent_grid",
    "nearest_factor", "place", "round_half_up",
]  # fmt: skip

KMAX = 7
"""The largest left shift ``k`` of a mantissa. The spread of ``k`` in a layer is a barrel shifter in the hardware."""

MIN_SHIFT = 4
"""The right shift that is kept where possible: a bias is then rounded to at most 1/32 of an output unit."""

MAX_SHIFT = 30
"""The largest right shift. Channels whose factors would be smaller still cannot move the output by one unit."""

ACC_BITS = 47
"""``abs(acc * mul) + abs(add)`` stays below ``2**ACC_BITS``. It leaves the hardware's 48-bit worst case room, and the
float twin of the reference 6 bits below the 53 of a float64."""


def round_half_up(values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """``floor(v + 1/2)``, the one rounding of this project, as int64."""
    return np.floor(np.asarray(values, np.float64) + 0.5).astype(np.int64)


def exponent_grid(lo: int, hi: int) -> npt.NDArray[np.float64]:
    """``mantissa * 2**e`` for every e in lo..hi: (hi - lo + 1, len(MANTISSAS)) float64, exact."""
    return np.array(MANTISSAS, np.float64) * 2.0 ** np.arange(lo, hi + 1)[:, None]


def nearest_factor(value: float) -> tuple[int, int]:
    """``(mantissa, e)`` of the point ``mantissa * 2**e`` of the grid that is nearest to ``value`` > 0 by ratio."""
    octave = floor(log2(value)) - 3
    candidates = [(mantissa, e) for e in (octave - 1, octave, octave + 1) for mantissa in MANTISSAS]
    return min(candidates, key=lambda point: abs(log2(point[0] / value) + point[1]))


def place(lowest: int, spread: int) -> tuple[int, int]:
    """Where to put exponents ``lowest .. lowest + spread``: ``(k of the lowest, shift)``, ``shift = k - lowest``.

    ``k`` starts at 0, or higher where that keeps ``shift`` at :data:`MIN_SHIFT`, as far as :data:`KMAX` allows.
    """
    k = min(max(0, MIN_SHIFT + lowest), KMAX - spread)
    if not 1 <= k - lowest <= MAX_SHIFT:
        raise ValueError(f"exponents must leave a shift of 1..{MAX_SHIFT}, not {k - lowest}")
    return k, k - lowest


def add_of(bias: npt.ArrayLike, scale: float, shift: int) -> npt.NDArray[np.int64]:
    """``add`` for a real ``bias`` (O,) and an output unit of ``scale``, the rounding half included.

    Saturates at ``2**(ACC_BITS + 1)``, which :func:`check_reach` then reports.
    """
    limit = 2.0 ** (ACC_BITS + 1)
    return round_half_up(np.clip(np.asarray(bias) / scale * 2.0**shift, -limit, limit)) + ((1 << shift) >> 1)


def clip_limits(clip: tuple[float, float], scale: float, interval: Interval) -> tuple[int, int]:
    """The integers ``lo, hi`` of an activation that clips to real ``clip``, inside ``interval``."""
    low, high = (
        floor(min(max(limit / scale + 0.5, -(2.0**40)), 2.0**40)) if isfinite(limit) else default
        for limit, default in zip(clip, (interval.lo, interval.hi), strict=True)
    )
    lo = min(max(low, interval.lo), interval.hi)
    return lo, max(lo, min(high, interval.hi))


def check_reach(name: str, reach: npt.NDArray[np.int64], requant: Requant) -> None:
    """Raise :class:`HwgenError` when ``abs(acc) * mul + abs(add)`` can reach ``2**ACC_BITS``.

    reach: the largest ``abs(acc)`` of each channel, (O,).
    """
    worst = max(
        acc * mul + abs(add)
        for acc, mul, add in zip(reach.tolist(), requant.mul.tolist(), requant.add.tolist(), strict=True)
    )
    check_bits(name, worst)


def check_bits(name: str, worst: int) -> None:
    """Raise :class:`HwgenError` when ``worst``, the largest magnitude before a shift, reaches ``2**ACC_BITS``."""
    if worst >= 1 << ACC_BITS:
        raise HwgenError(
            f"layer {name!r}: requantization needs {worst.bit_length()} bits, more than {ACC_BITS}; "
            "its biases, or the levels of the code, are too large beside its output"
        )
