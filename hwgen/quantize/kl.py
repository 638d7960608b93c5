"""Activation scales by Kullback-Leibler divergence, as coarse and fine weight splitting calibrates (arXiv 2312.10588).

The histogram of the values is compared with what a scale leaves of it: clipped values pile up in the last bin (p), and
all bins that become one integer share their counts evenly (q). In contrast to the squared error a value beyond the clip
counts once however far it lies beyond, so that rare outliers are given up.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..interval import Interval
from .activations import CANDIDATES

__all__ = ["divergence", "kl_scale"]

BINS = 2048
"""Bins from 0 to the peak: 16 for an integer of 7 bits and a sign without clipping."""


def divergence(p: npt.ArrayLike, q: npt.ArrayLike) -> float:
    """``sum(p * (log(p * sum q) - log(q * sum p))) / sum p`` in nats, over the bins in which both are positive.

    The sums run over the same bins, so that neither histogram needs to be normalised: the result is that of p / sum p
    and q / sum q, at least 0, and 0 only where they are proportional. Infinite when no bin is positive in both.
    """
    first, second = np.asarray(p, np.float64), np.asarray(q, np.float64)
    both = (first > 0) & (second > 0)
    if not both.any():
        return float("inf")
    first, second = first[both], second[both]
    shares, models = first / first.sum(), second / second.sum()
    return float((shares * np.log(shares / models)).sum())


def kl_scale(values: npt.ArrayLike, interval: Interval, peak: float) -> float:
    """The scale at which integers of ``interval`` keep the most of the distribution of ``values``; see the module.

    Arguments and meaning are those of :func:`hwgen.quantize.activations.best_scale`: ``peak`` is the largest value to
    represent, the candidates go from no clipping down to 1/32 of it, and 1.0 comes back when every value is zero.
    Positive and negative values count alike. Zeros are left out: every scale represents them exactly, and the half of
    all values that a ReLU makes 0 would otherwise ask for the finest.
    """
    if peak <= 0:
        return 1.0
    flat = np.asarray(values, np.float64).ravel()
    magnitudes = flat[flat > 0] if interval.lo >= 0 else np.abs(flat[flat != 0])
    counts = np.histogram(np.minimum(magnitudes / peak, 1.0), BINS, (0, 1))[0].astype(np.float64)
    centres = (np.arange(BINS) + 0.5) / BINS
    relative = np.geomspace(1, 1 / 32, CANDIDATES)
    losses = np.array([_loss(counts, np.floor(centres * (interval.hi / r) + 0.5), interval.hi) for r in relative])
    # Of several perfect scales, which sparse histograms have, the first and largest.
    return float(peak / interval.hi * relative[np.argmin(losses)])


def _loss(counts: npt.NDArray[np.float64], integers: npt.NDArray[np.float64], hi: int) -> float:
    """The divergence of ``counts`` when bin b becomes ``integers[b]``, ascending, clipped to ``hi``."""
    inside = int(np.searchsorted(integers, hi, side="right"))
    p, levels = counts[:inside].copy(), integers[:inside].astype(np.int64)
    occupied = np.flatnonzero(p)
    if not occupied.size:
        return float("inf")
    # Only occupied bins share, and the last of them takes what is clipped: an empty one would not count at all.
    shares = np.bincount(levels, p) / np.maximum(np.bincount(levels, p > 0), 1)
    q = np.where(p > 0, shares[levels], 0.0)
    p[occupied[-1]] += counts[inside:].sum()
    return divergence(p, q)
