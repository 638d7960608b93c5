"""The input normalisation ``(x * scale - mean) / std`` as an affine on the raw input: hardware takes raw pixels."""

from __future__ import annotations

from math import isfinite

import numpy as np

from ..errors import HwgenError
from ..floatnet import Normalization
from .pending import Pending

__all__ = ["input_affine"]


def input_affine(normalization: Normalization, input_shape: tuple[int, ...]) -> Pending | None:
    """The affine of a model input of shape (1, C, H, W), (1, H, W) or (1, F), in that order; None when it does nothing.

    Raises :class:`HwgenError` for a count other than one or one per channel, for zero scale or std, for NaN.
    """
    channels = 1 if len(input_shape) == 3 else input_shape[1]
    values = {"scale": normalization.scale, "mean": normalization.mean, "std": normalization.std}
    for name, given in values.items():
        if len(given) not in (1, channels):
            plural = "" if channels == 1 else "s"
            raise HwgenError(
                f"normalisation {name} has {len(given)} values, but the model's input has {channels} channel{plural};"
                " give one value or one per channel"
            )
        if not all(isfinite(value) for value in given) or (name != "mean" and 0 in given):
            raise HwgenError(f"normalisation {name} must be finite and not zero, not {', '.join(map(str, given))}")
    scale, mean, std = (np.broadcast_to(np.array(given, np.float64), channels) for given in values.values())
    factor, offset = scale / std, -mean / std
    if (factor == 1).all() and (offset == 0).all():
        return None
    spread = (1, channels, 1, 1)[: max(len(input_shape), 2)] if len(input_shape) != 3 else (1, 1, 1)
    return Pending(
        np.broadcast_to(factor.reshape(spread), input_shape).reshape(-1),
        np.broadcast_to(offset.reshape(spread), input_shape).reshape(-1),
    )
