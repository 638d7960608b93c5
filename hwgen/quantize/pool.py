"""A float pool to an integer one."""

from __future__ import annotations

from math import ceil, log2

import numpy as np

from ..floatnet import FloatPool, PoolKind
from ..interval import Interval
from ..network import MANTISSAS, Pool, Requant, Tensor
from .requant import KMAX, MAX_SHIFT, check_reach, clip_limits

__all__ = ["average_factor", "quantize_pool"]


def average_factor(scale: float, source_scale: float, window: int) -> tuple[float, int, int]:
    """``(s_out, mul, shift)`` of an average over ``window`` pixels, with ``s_out`` as near ``scale`` as is exact.

    ``sum * s_in / window == s_out * (sum * mul / 2**shift)`` needs ``s_out = s_in * 2**shift / (window * mul)``. There
    are six such scales per octave; the nearest (by ratio) is at most 8 % away. The finest has a shift of 1.
    """
    wanted = source_scale / (window * scale)
    shift = min(max(ceil(log2(MANTISSAS[-1] / wanted)), 2 - KMAX), MAX_SHIFT - 1)
    candidates = [(mantissa, s) for mantissa in MANTISSAS for s in (shift - 1, shift, shift + 1)]
    mantissa, shift = min(candidates, key=lambda c: abs(log2(c[0] / 2.0 ** c[1] / wanted)))
    # A shift below 1 moves into the factor, which has room for KMAX more bits.
    lift = max(0, 1 - shift)
    mul, shift = mantissa << lift, shift + lift
    return source_scale * 2.0**shift / (window * mul), mul, shift


def quantize_pool(layer: FloatPool, source: Tensor, interval: Interval, scale: float) -> Pool:
    """The integer pool of ``layer``, reading ``source``.

    A maximum keeps the scale and the interval of its input (its ``clip`` must already be in the layer before). An
    average gets the exact scale nearest to ``scale``, and an output inside ``interval``.
    """
    channels = source.shape[2]
    if layer.kind is PoolKind.MAX:
        requant, output = None, Tensor(layer.name, layer.output_shape, source.interval, source.scale)
    else:
        window = layer.kernel[0] * layer.kernel[1]
        scale, mul, shift = average_factor(scale, source.scale, window)
        lo, hi = clip_limits(layer.clip, scale, interval)
        half = np.full(channels, (1 << shift) >> 1, np.int64)
        requant = Requant(np.full(channels, mul, np.int64), half, shift, lo, hi)
        largest = window * max(abs(source.interval.lo), abs(source.interval.hi))
        check_reach(layer.name, np.full(channels, largest, np.int64), requant)
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
    )
