"""Constants per element of a tensor as one value per channel: only dense layers can take them as they are."""

from __future__ import annotations

import numpy as np

from ..errors import HwgenError
from ..importers.graph import Node
from .function import Array
from .value import Base, Value

__all__ = ["back_mapped", "per_channel", "per_channel_or_none"]


def per_channel_or_none(base: Base, constant: Array, neutral: float) -> Array | None:
    """``constant``, a scalar or (elements,) in the base's raw order, as a scalar or (C,); None where it cannot be.

    neutral: for channels whose elements nothing uses (NaN).
    """
    if constant.size == 1:
        return constant.reshape(())
    assert base.shape is not None
    if base.order is None:
        ordered = constant
    else:
        ordered = np.empty_like(constant)
        ordered[base.order] = constant
    pixels = ordered.reshape(-1, base.shape[2])
    lo, hi = np.fmin.reduce(pixels), np.fmax.reduce(pixels)
    unused = np.isnan(lo)
    if (lo != hi)[~unused].any():
        return None
    used = lo[~unused]
    if used.size and (used == used[0]).all():
        return used[:1].reshape(())
    return np.where(unused, neutral, lo)


def per_channel(node: Node, value: Value, constant: Array, neutral: float) -> Array:
    """As :func:`per_channel_or_none` of the value's base; refused, for ``node``, where the pixels differ."""
    assert value.base is not None
    channels = per_channel_or_none(value.base, constant, neutral)
    if channels is None:
        cause = "the input normalisation" if value.function.cause is None else value.function.cause
        raise HwgenError(f"{node}: {cause} before it is not the same for every pixel; use one value per channel")
    return channels


def back_mapped(value: Value, constant: Array) -> Array | None:
    """``constant``, which broadcasts to the view's shape, as one per element of the base, NaN where nothing uses it.

    None where one element of the base would need two values, being seen more than once.
    """
    assert value.base is not None
    if constant.size == 1:
        return constant.reshape(())
    size = int(np.prod(value.base.declared if value.base.shape is None else value.base.shape))
    constant = np.broadcast_to(constant, value.shape)
    seen = value.view >= 0
    places, values = value.view[seen], constant[seen]
    result = np.full(size, np.nan)
    result[places] = values
    return result if (result[places] == values).all() else None
