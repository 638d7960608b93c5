"""Constants per element of a tensor as one value per channel: only dense layers can take them as they are."""

from __future__ import annotations

import numpy as np

from ..errors import HwgenError
from ..importers.graph import Node
from .function import Array
from .value import Base, IndexArray, Value

__all__ = ["back_mapped", "moved_channels", "per_channel", "per_channel_or_none"]


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


def moved_channels(index: IndexArray, factor: Array, offset: Array, fill: Array) -> tuple[float, Array, Array] | None:
    """What a Remap to ``index`` (H, W, C), -1 for constants, makes of a pending scaling.

    factor, offset: (channels of the base,); fill: the constants as the model has them, broadcasts to ``index``.
    Returns the raw constant that the Remap writes, and factor and offset per channel of the result, or None where the
    pixels of a channel differ or one raw constant cannot stand for all of ``fill``.
    """
    real = index >= 0
    channels = index.shape[2]
    gain, shift = np.zeros(channels), np.zeros(channels)
    raws: list[Array] = []
    fills = np.broadcast_to(fill, index.shape)
    constant = []
    for channel in range(channels):
        kept = real[..., channel]
        sources = np.unique(index[..., channel][kept] % len(factor))
        values, own = np.unique(factor[sources]), np.unique(offset[sources])
        added = np.unique(fills[..., channel][~kept])
        if not sources.size:
            constant.append(channel)
            if added.size != 1:
                return None
            shift[channel] = added[0]
        elif values.size != 1 or own.size != 1 or (added.size and values[0] == 0):
            return None
        else:
            gain[channel], shift[channel] = values[0], own[0]
            raws.append((added - own[0]) / (values[0] or 1))
    wanted = np.concatenate(raws) if raws else np.zeros(0)
    if wanted.size and not np.allclose(wanted, wanted[0], rtol=1e-9, atol=0):
        return None
    raw = float(wanted[0]) if wanted.size else 0.0
    others = np.flatnonzero(real.any(axis=(0, 1)))
    scalings = np.unique(np.stack((gain[others], shift[others]), 1), axis=0)
    if constant and not wanted.size and len(scalings) == 1 and scalings[0, 0] and np.ptp(shift[constant]) == 0:
        # Whole channels of one constant: the raw value that becomes it by the scaling that all the others have.
        raw = float((shift[constant[0]] - scalings[0, 1]) / scalings[0, 0])
        gain[constant], shift[constant] = scalings[0]
    return raw, gain, shift
