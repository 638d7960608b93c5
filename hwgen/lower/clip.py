"""Relu and Clip: clamps, which a layer does for nothing where it made the tensor for nothing else."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np

from ..expression import Operation
from ..floatnet import Fixed, FloatAdd, FloatConcat, FloatConv, FloatPool, PoolKind
from .builder import Builder
from .elementwise import compose
from .function import Operand, apply
from .reader import Reader
from .value import Value

__all__ = ["OPERATORS", "clipped", "read_clip", "read_relu"]


def clipped(builder: Builder, reader: Reader, value: Value, lo: float, hi: float) -> Value:
    """``min(max(value, lo), hi)``: in the layer that made it, else pending."""

    def clamp(x: Operand) -> Operand:
        x = x if lo == -inf else apply(Operation.MAX, x, lo)
        return x if hi == inf else apply(Operation.MIN, x, hi)

    if value.base is None or (lo, hi) == (-inf, inf):
        return value if value.base is not None else replace(value, fill=np.clip(value.fill, lo, hi))
    if _in_layer(builder, value, lo, hi):
        return replace(value, fill=np.clip(value.fill, lo, hi), node=reader.node)
    return compose(builder, reader.node, clamp, [value])


def _in_layer(builder: Builder, value: Value, lo: float, hi: float) -> bool:
    layer = builder.owned(value)
    bounds = _bounds_before(value, lo, hi)
    if bounds is None:
        return False
    lo, hi = bounds
    # A clamp is monotone, so it may be done before a maximum instead of behind it.
    while isinstance(layer, FloatPool) and layer.kind is PoolKind.MAX and layer.fixed is None:
        layer = builder.before(layer)
    if not isinstance(layer, FloatConv | FloatPool | FloatAdd | FloatConcat) or not _on_grid(layer.fixed, lo, hi):
        return False
    clip = (min(max(layer.clip[0], lo), hi), min(max(layer.clip[1], lo), hi))
    builder.layers[layer.name] = replace(layer, clip=clip)
    return True


def _on_grid(fixed: Fixed | None, *bounds: float) -> bool:
    """Whether clamping comes to the same before and behind the rounding to ``fixed``: its bounds are no fractions."""
    return fixed is None or all(abs(bound) == inf or (bound / fixed.scale).is_integer() for bound in bounds)


def _bounds_before(value: Value, lo: float, hi: float) -> tuple[float, float] | None:
    """The bounds in terms of the base, before the pending affine; None unless they are alike everywhere."""
    if value.function.affine is None:
        return None
    factor, offset = value.function.affine
    used = ~np.isnan(factor + offset)
    factor, offset = (np.broadcast_to(part, used.shape)[used] for part in (factor, offset))
    if not factor.size or (factor == 0).any():
        return None
    ends = np.sort(((lo - offset) / factor, (hi - offset) / factor), axis=0)
    if (ends != ends[:, :1]).any():
        return None
    return float(ends[0, 0]), float(ends[1, 0])


def read_relu(builder: Builder, reader: Reader) -> Value:
    """``max(x, 0)``."""
    return clipped(builder, reader, reader.value(0), 0.0, inf)


def read_clip(builder: Builder, reader: Reader) -> Value:
    """``min(max(x, min), max)``; the bounds are attributes until operator set 10 and inputs from set 11 on."""
    if reader.graph.opset < 11:
        lo, hi = reader.number("min", -inf), reader.number("max", inf)
    else:
        lo, hi = _bound(reader, 1, "min", -inf), _bound(reader, 2, "max", inf)
    if lo > hi:
        raise reader.error(f"its minimum {lo:g} is above its maximum {hi:g}; export the model again")
    return clipped(builder, reader, reader.value(0), lo, hi)


def _bound(reader: Reader, index: int, what: str, default: float) -> float:
    if not reader.has(index):
        return default
    bound = reader.constant(index, what, finite=False)
    if bound.size != 1:
        raise reader.error(f"its {what} must be one number, not {bound.size}")
    return float(bound.reshape(())[()])


OPERATORS = {"Clip": read_clip, "Relu": read_relu}
