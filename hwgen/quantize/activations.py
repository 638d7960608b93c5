"""Activation scales: one interval and one scale per tensor, calibrated on data.

The scale is the one with the least squared error over the float network's own activations (Choukroun et al. 2019 do
the same for linear post-training quantization): a little clipping of rare large values buys resolution for all others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..floatnet import FloatInput, FloatNetwork
from ..interval import Interval
from .frames import Frames, count, every_output, frames_per_batch, part
from .mse import SortedValues

__all__ = ["FindScale", "Samples", "best_scale", "calibrate", "collect", "input_range"]

INPUT_BITS = 8
"""Bits of a network input: raw data comes in bytes. Activations inside may be narrower."""

SAMPLE_VALUES = 1 << 18
"""Values kept per tensor. The error of the best scale is flat; more samples do not move it."""

CANDIDATES = 64
"""Scales tried per round of the search, from the one without clipping down to 1/32 of it."""


@dataclass(frozen=True)
class Samples:
    """What calibration keeps of one tensor: a random subset of its values, and the exact extremes of all of them.

    NaN and infinity, which functions give outside their domain, are left out; without any other value it is all 0.
    """

    values: npt.NDArray[np.floating]
    lo: float
    hi: float

    @property
    def peak(self) -> float:
        """The largest magnitude."""
        return max(self.hi, -self.lo)


def collect(network: FloatNetwork, frames: Frames, progress: Callable[[int], None] | None = None) -> dict[str, Samples]:
    """Run the float network on raw ``frames`` and sample every layer's output, by layer name.

    Memory does not grow with their number. ``progress`` is called with the frames done. The choice is seeded.
    """
    rng = np.random.default_rng(0)
    batch, total = frames_per_batch(network), count(frames)
    kept: dict[str, list[npt.NDArray[np.floating]]] = {layer.name: [] for layer in network.layers}
    lows, highs = dict.fromkeys(kept, np.inf), dict.fromkeys(kept, -np.inf)
    for start in range(0, total, batch):
        end = min(start + batch, total)
        quota = -(-SAMPLE_VALUES * (end - start) // total)
        for name, output in every_output(network, part(frames, slice(start, end))).items():
            flat = output.reshape(-1)
            flat = flat if np.isfinite(flat).all() else flat[np.isfinite(flat)]
            if flat.size:
                lows[name], highs[name] = min(lows[name], float(flat.min())), max(highs[name], float(flat.max()))
                kept[name].append(flat if flat.size <= quota else flat[rng.integers(0, flat.size, quota)])
        if progress is not None:
            progress(end)
    nothing = Samples(np.zeros(1), 0.0, 0.0)
    return {
        name: Samples(np.concatenate(parts), lows[name], highs[name]) if parts else nothing
        for name, parts in kept.items()
    }


def best_scale(values: npt.ArrayLike, interval: Interval, peak: float) -> float:
    """The scale with which rounding ``values`` to integers in ``interval`` has the least squared error.

    ``peak``: the largest value to represent. Two rounds of a grid search from ``peak`` downwards; never worse than no
    clipping, which is the first candidate. Returns 1.0 when every value is zero.
    """
    if peak <= 0:
        return 1.0
    levels = np.arange(interval.lo, interval.hi + 1)
    data = SortedValues(values)
    grid = peak / interval.hi * np.geomspace(1, 1 / 32, CANDIDATES)
    best = int(np.argmin(data.squared_error(levels, grid)))
    fine = np.geomspace(grid[max(best - 1, 0)], grid[min(best + 1, CANDIDATES - 1)], CANDIDATES + 1)
    fine = np.concatenate(([grid[best]], fine))
    return float(fine[np.argmin(data.squared_error(levels, fine))])


def input_range(source: FloatInput, x: npt.NDArray[np.generic]) -> tuple[Interval, float]:
    """Interval and scale of a network's input, from raw calibration data, unless the model prescribes them.

    A prescribed format of more than 8 bits (8 bits with a zero point) does not fit the bytes of an input. Whole numbers
    that fit 8 bits (camera pixels, whatever their dtype) pass as they are, with scale 1. Anything else is calibrated to
    8 bits, signed if a negative value occurs.
    """
    if source.fixed is not None and source.fixed.interval.bits <= INPUT_BITS:
        return source.fixed.interval, source.fixed.scale
    lo, hi = float(x.min()), float(x.max())
    signed = lo < 0 or x.dtype == np.int8
    interval = Interval.of_bits(INPUT_BITS, signed=signed)
    whole = x.dtype.kind in "iub" or bool((x == np.floor(x)).all())
    if whole and lo >= interval.lo and hi <= interval.hi:
        return interval, 1.0
    rng = np.random.default_rng(0)
    flat = np.asarray(x).reshape(-1)
    values = flat if flat.size <= SAMPLE_VALUES else flat[rng.integers(0, flat.size, SAMPLE_VALUES)]
    return interval, best_scale(values, interval, max(hi, -lo))


FindScale = Callable[[npt.ArrayLike, Interval, float], float]
"""Chooses a scale for values, integers of an interval, and the largest value to represent: see :func:`best_scale`."""


def calibrate(samples: Samples, bits: int, *, signed: bool, find: FindScale = best_scale) -> tuple[Interval, float]:
    """Interval of ``bits`` bits and scale of a layer's output.

    ``signed`` says whether a negative value *can* occur, which calibration data alone cannot tell.
    """
    interval = Interval.of_bits(bits, signed=signed)
    return interval, find(samples.values, interval, samples.peak)
