"""The input normalisation ``(x * scale - mean) / std`` as an affine on the raw input: hardware takes raw pixels."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

import numpy as np

from ..errors import HwgenError
from ..floatnet import Normalization
from .function import Array, Function

__all__ = ["check_inputs", "input_affine"]


def check_inputs(normalization: Normalization, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise :class:`HwgenError` where ``normalization`` cannot be meant for all of several inputs.

    One set of values fits inputs with the same channels only. shapes: by name, batch axis included.
    """
    axes = ({shape[1] for shape in shapes.values()}, {shape[-1] for shape in shapes.values()})
    if normalization != Normalization() and all(len(sizes) > 1 for sizes in axes):
        found = ", ".join(f"{name} {shape[1:]}" for name, shape in shapes.items())
        raise HwgenError(
            f"the inputs differ in their channels ({found}), so that one normalisation does not fit all of them;"
            " leave out --scale, --mean and --std and normalise inside the model"
        )


def input_affine(normalization: Normalization, input_shape: tuple[int, ...]) -> Function:
    """The affine of a model input of ``input_shape``, batch axis included, one value per element where channels differ.

    Values per channel go along axis 1, or along the last axis where only that has so many.

    Raises :class:`HwgenError` for a count other than one or one per channel, for zero scale or std, for NaN.
    """
    counts = {len(normalization.scale), len(normalization.mean), len(normalization.std)} - {1}
    axis = -1 if counts and counts <= {input_shape[-1]} and input_shape[1] not in counts else 1
    channels = 1 if len(input_shape) == 3 and axis == 1 and not counts & {input_shape[1]} else input_shape[axis]
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
    scale, mean, std = (np.array(given, np.float64) for given in values.values())
    spread = [1] * len(input_shape)
    spread[axis] = -1
    return Function.of_affine(*(_elements(part, spread, input_shape) for part in (scale / std, -mean / std)))


def _elements(values: Array, spread: list[int], shape: tuple[int, ...]) -> Array:
    if (values == values[0]).all():
        return values[:1].reshape(())
    return np.broadcast_to(values.reshape(spread), shape).reshape(-1)
