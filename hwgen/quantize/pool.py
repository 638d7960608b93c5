"""A float pool to an integer one."""

from __future__ import annotations

from collections import Counter
from math import ceil, log2

import numpy as np

from ..floatnet import FloatPool, PoolKind
from ..interval import Interval
from ..network import MANTISSAS, Pool, Requant, Tensor
from .formats import Format
from .requant import KMAX, MAX_SHIFT, check_reach, clip_limits, nearest_factor

__all__ = ["EXACT", "average_scale", "divisor_counts", "quantize_pool"]

EXACT = 1e-12
"""Relative error of a requantization factor that is only the rounding of a float."""

DOWNWARD = 1.1
"""How far below the wanted scale an average may go: no neighbours on the grid of scales are further apart than the
square of this, so that the nearest one is always reached. The rest of the octave lies above: no clipping."""


def divisor_counts(layer: FloatPool) -> dict[int, int]:
    """How many output pixels each divisor belongs to, by divisor, ascending."""
    if layer.divisors is None:
        return {layer.kernel[0] * layer.kernel[1]: layer.output_shape[0] * layer.output_shape[1]}
    rows, columns = (Counter(part) for part in layer.divisors)
    counts: Counter[int] = Counter()
    for row, many in rows.items():
        for column, times in columns.items():
            counts[row * column] += many * times
    return dict(sorted(counts.items()))


def _error(value: float) -> float:
    """Relative error of the factor nearest to ``value``."""
    mantissa, exponent = nearest_factor(value)
    return abs(mantissa * 2.0**exponent / value - 1)


def average_scale(wanted: float, source_scale: float, counts: dict[int, int]) -> float:
    """The output scale near ``wanted`` with which the factors ``s_in / (divisor * s_out)`` are best.

    There are six scales per octave with which the most frequent divisor is exact. Of those from just below ``wanted``
    to an octave higher, the one with the least mean squared error of all the others' factors; the nearest, by ratio, of
    several. 4, 6 and 9 (a padded 3x3 window) are all exact with one of the six.
    """
    for divisor in counts:
        if _error(source_scale / (divisor * wanted)) > EXACT:
            break
    else:
        return wanted
    most = max(counts, key=lambda divisor: (counts[divisor], divisor))
    base = source_scale / most
    found = []
    for mantissa in MANTISSAS:
        # The smallest base / (mantissa * 2**e) that is at least wanted / DOWNWARD.
        scale = base / mantissa * 2.0 ** ceil(log2(wanted / DOWNWARD * mantissa / base))
        noise = sum(many * _error(source_scale / (divisor * scale)) ** 2 for divisor, many in counts.items())
        found.append((round(noise / sum(counts.values()), 9), abs(log2(scale / wanted)), scale))
    return min(found)[2]


def quantize_pool(layer: FloatPool, source: Tensor, target: Format) -> Pool:
    """The integer pool of ``layer``, reading ``source``.

    A maximum keeps the scale and the interval of its input (its ``clip`` must already be in the layer before). An
    average gets a scale near that of ``target`` which suits its divisors, and an output inside ``target``'s interval
    and clip.
    """
    if layer.kind is PoolKind.MAX:
        requant, output = None, Tensor(layer.name, layer.output_shape, source.interval, source.scale)
    else:
        counts = divisor_counts(layer)
        # A right shift of 1 .. MAX_SHIFT, and KMAX bits for a left shift, bound the scale from both sides.
        finest = source.scale / (min(counts) * MANTISSAS[0] * 2.0 ** (KMAX - 1))
        coarsest = source.scale * 2.0 ** (MAX_SHIFT - 1) / (max(counts) * MANTISSAS[-1])
        scale = average_scale(min(max(target.scale, finest), coarsest), source.scale, counts)
        lo, hi = clip_limits(target.real if layer.fixed is not None else layer.clip, scale, target.interval)
        requant = _requant(source.scale / scale, list(counts), layer.divisors is None and source.shape[2], lo, hi)
        largest = layer.kernel[0] * layer.kernel[1] * max(abs(source.interval.lo), abs(source.interval.hi))
        check_reach(layer.name, np.full(requant.mul.size, largest, np.int64), requant)
        output = Tensor(layer.name, layer.output_shape, Interval(lo, hi), scale)
    return Pool(
        name=layer.name,
        source=source.name,
        input_shape=source.shape,
        kind=layer.kind,
        kernel=layer.kernel,
        stride=layer.stride,
        pads=layer.pads,
        requant=requant,
        output=output,
        dilation=layer.dilation,
        divisors=layer.divisors,
    )


def _requant(ratio: float, divisors: list[int], channels: int, lo: int, hi: int) -> Requant:
    """One entry per divisor, or ``channels`` (if not 0) times that of the only one. ratio: ``s_in / s_out``."""
    factors = [nearest_factor(ratio / divisor) for divisor in divisors]
    # As little of a left shift as leaves a right shift of 1 or more: an average has no bias to round finely.
    shift = max(1, -min(exponent for _, exponent in factors))
    mul = np.array([mantissa << exponent + shift for mantissa, exponent in factors], np.int64)
    if channels:
        mul = mul.repeat(channels)
    return Requant(mul, np.full(mul.size, (1 << shift) >> 1, np.int64), shift, lo, hi)
