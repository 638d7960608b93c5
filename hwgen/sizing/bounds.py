"""Exact bounds of accumulators, from the actual weights and the input's interval: the source of every width."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..interval import Interval
from ..network import Add, Conv, Pool

__all__ = ["accumulators", "addition", "negative_codes", "tap_interval", "window_sum"]


def tap_interval(layer: Conv | Pool, source: Interval) -> Interval:
    """Values that a tap of ``layer`` can read, padding and zero included, given the interval of its source tensor."""
    pads = layer.pad_value.tolist() if isinstance(layer, Conv) and any(layer.pads) else []
    return source | Interval.hull((0, *pads))


def negative_codes(layer: Conv) -> list[int]:
    """Negative levels per output channel: what ones'-complement products lack of the true sum."""
    levels = layer.codebook.decode(layer.codes).reshape(layer.codes.shape[0], -1)
    return [int(count) for count in (levels < 0).sum(axis=1)]


def accumulators(layer: Conv, source: Interval) -> list[Interval]:
    """Per output channel, the interval of every partial sum of ones'-complement products, in any order of the taps.

    A negative level adds ``-|level|*x - 1``; the missing one is not here but in the bias. With groups, the taps are
    those of the channel's own group.
    """
    taps = tap_interval(layer, source)
    levels = layer.codebook.decode(layer.codes).reshape(layer.codes.shape[0], -1)
    positive = np.where(levels > 0, levels, 0).sum(axis=1)
    negative = np.where(levels < 0, -levels, 0).sum(axis=1)
    return [
        Interval(int(up) * taps.lo - int(down) * taps.hi - count, int(up) * taps.hi - int(down) * taps.lo)
        for up, down, count in zip(positive, negative, negative_codes(layer), strict=True)
    ]


def window_sum(layer: Pool, source: Interval) -> Interval:
    """The interval of every partial sum of a pooling window, whatever it is divided by and however far it is spread."""
    taps = tap_interval(layer, source)
    return taps * (layer.kernel[0] * layer.kernel[1])


def addition(layer: Add, sources: Sequence[Interval]) -> Interval:
    """The interval of every partial sum of ``mul * x``, in any order, given those of the tensors in ``layer.sources``.

    Exact addends: a negative factor subtracts, and ``layer.add`` comes on top of it.
    """
    zero = Interval(0, 0)
    total = zero
    for mul, interval in zip(layer.mul, sources, strict=True):
        total = total + (interval * mul | zero)
    return total
