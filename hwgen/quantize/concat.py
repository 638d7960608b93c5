"""A float concatenation to an integer one."""

from __future__ import annotations

from collections.abc import Sequence

from ..floatnet import FloatConcat
from ..interval import Interval
from ..network import Concat, Rescale, Tensor
from .factors import rescale_factor
from .formats import Format

__all__ = ["quantize_concat"]


def quantize_concat(layer: FloatConcat, sources: Sequence[Tensor], target: Format) -> Concat:
    """The integer concatenation of ``layer``, reading ``sources``, with an output inside ``target``.

    A source that already has the unit, and no value outside the interval or the clip, passes as it is. The output's
    interval is that of the values which can occur.
    """
    allowed = target.clipped(layer.clip).interval
    rules = tuple(_rescale(source, allowed, target.scale) for source in sources)
    parts = [
        source.interval if rule is None else Interval(rule.lo, rule.hi)
        for source, rule in zip(sources, rules, strict=True)
    ]
    interval = Interval(min(part.lo for part in parts), max(part.hi for part in parts))
    output = Tensor(layer.name, layer.output_shape, interval, target.scale)
    return Concat(layer.name, layer.sources, layer.input_shapes, rules, output)


def _rescale(source: Tensor, allowed: Interval, scale: float) -> Rescale | None:
    if source.scale == scale:
        mul, shift = 1, 0
        if source.interval.lo in allowed and source.interval.hi in allowed:
            return None
    else:
        mul, shift = rescale_factor(source.scale / scale)
    half = (1 << shift) >> 1
    reached = ((source.interval * mul + half) >> shift).clip(allowed.lo, allowed.hi)
    return Rescale(mul, half, shift, reached.lo, reached.hi)
