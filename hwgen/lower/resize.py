"""Resize and Upsample by the nearest neighbour: pixels repeated or left out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from .builder import Builder
from .reader import Reader
from .value import Value

__all__ = ["OPERATORS", "read_resize"]

_COORDINATES: dict[str, Callable[[npt.NDArray[np.floating], np.floating, int, int], npt.NDArray[np.floating]]] = {
    "align_corners": lambda x, scale, size, out: x * (size - 1) / (out - 1) if out > 1 else x * 0,
    "asymmetric": lambda x, scale, size, out: x / scale,
    "half_pixel": lambda x, scale, size, out: (x + 0.5) / scale - 0.5,
    "half_pixel_symmetric": lambda x, scale, size, out: size / 2 * (1 - out / (scale * size)) + (x + 0.5) / scale - 0.5,
    "pytorch_half_pixel": lambda x, scale, size, out: (x + 0.5) / scale - 0.5 if out > 1 else x * 0,
    "tf_half_pixel_for_nn": lambda x, scale, size, out: (x + 0.5) / scale,
}
"""Where output pixel ``x`` lies in the input, by coordinate_transformation_mode."""

_ROUNDING: dict[str, Callable[[npt.NDArray[np.floating]], npt.NDArray[np.floating]]] = {
    "ceil": np.ceil,
    "floor": np.floor,
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
}


def read_resize(builder: Builder, reader: Reader) -> Value:
    """Resize and Upsample, ``mode=nearest``, along any axes; the importer knows the new shape."""
    value, after = reader.value(0), reader.output_shape
    mode = reader.text("mode", "nearest")
    if value.shape == after:
        return value
    reader.only("mode", mode, "nearest")
    reader.only("keep_aspect_ratio_policy", reader.text("keep_aspect_ratio_policy", "stretch"), "stretch")
    if len(after) != len(value.shape):
        raise reader.error(f"its output of shape {after} does not fit its input {value.shape}; export again")
    modern = reader.node.operator == "Resize" and reader.graph.opset >= 11
    place = reader.text("coordinate_transformation_mode", "half_pixel") if modern else "asymmetric"
    rounding = reader.text("nearest_mode", "round_prefer_floor") if modern else "floor"
    if place not in _COORDINATES or rounding not in _ROUNDING:
        raise reader.error(f"coordinate_transformation_mode={place} with nearest_mode={rounding} is not supported")
    scales = _scales(reader, value.shape, after, modern)
    for axis, (size, out, scale) in enumerate(zip(value.shape, after, scales, strict=True)):
        if size != out or scale != 1:
            # In single precision like the runtimes: a coordinate such as 3 / 0.6 falls on the other side in double.
            pixels = np.arange(out, dtype=np.float32)
            where = _ROUNDING[rounding](_COORDINATES[place](pixels, np.float32(scale), size, out))
            index = np.clip(where, 0, size - 1).astype(np.int64)
            value = value.moved(partial(np.take, indices=index, axis=axis))
    return value


def _scales(reader: Reader, before: tuple[int, ...], after: tuple[int, ...], modern: bool) -> list[float]:
    """The scale of every axis: as given, or the ratio of the sizes."""
    ratio = [out / size for out, size in zip(after, before, strict=True)]
    index = 2 if modern else 1
    if "scales" in reader.node.attributes:
        given = [float(scale) for scale in reader.node.attributes["scales"]]
    elif reader.has(index) and reader.constant(index, "scales").size:
        given = reader.constant(index, "scales").reshape(-1).tolist()
    else:
        return ratio
    axes = reader.node.attributes.get("axes") or range(len(given))
    if len(axes) != len(given) or any(not -len(ratio) <= axis < len(ratio) for axis in axes) or min(given) <= 0:
        raise reader.error(f"its scales {given} do not fit its input of shape {before}; export again")
    for axis, scale in zip(axes, given, strict=True):
        ratio[axis] = scale
    return ratio


OPERATORS = {"Resize": read_resize, "Upsample": read_resize}
