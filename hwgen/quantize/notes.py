"""What quantization could not take over from the model as it stands: sentences for the user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..floatnet import FloatConv, FloatLayer, FloatRemap
from ..network import Conv, Layer, Remap
from .coded import GRID_TOLERANCE, exponent_in

__all__ = ["remarks"]

_SHOWN = 3


def remarks(pairs: Sequence[tuple[FloatLayer, Layer]]) -> tuple[str, ...]:
    """One sentence for each way in which layers differ from the codes, formats and fill values of their models."""
    texts = {
        "weights": "its weights, which the model holds as codes, are rounded anew: their scales are off the grid of"
        " requantization factors",
        "format": "its output has a unit a few percent from the model's, whose ratio is off the grid of requantization"
        " factors",
        "fill": "its fill value lies outside the values of the tensor that it fills and becomes the nearest of them",
    }
    found: dict[str, list[str]] = {}
    for model, layer in pairs:
        for kind in _differences(model, layer):
            found.setdefault(kind, []).append(layer.name)
    return tuple(f"{_names(names)}: {texts[kind]}." for kind, names in found.items())


def _differences(model: FloatLayer, layer: Layer) -> Iterator[str]:
    if isinstance(model, FloatConv) and isinstance(layer, Conv) and model.coded is not None:
        t = exponent_in(layer.codebook, model.coded.levels)
        held = None if t is None else model.coded.levels * 2.0**t
        scale = None if t is None else model.coded.scale / 2.0**t
        same = held is not None and np.array_equal(layer.codebook.decode(layer.codes), held)
        alive = model.coded.levels.reshape(len(model.coded.levels), -1).any(axis=1)
        if not same or scale is None or (np.abs(layer.weight_scale / scale - 1)[alive] > 2 * GRID_TOLERANCE).any():
            yield "weights"
    if model.fixed is not None and abs(layer.output.scale / model.fixed.scale - 1) > GRID_TOLERANCE:
        yield "format"
    if isinstance(model, FloatRemap) and isinstance(layer, Remap):
        used = any((part < 0).any() for part in (model.rows, model.columns, model.channels))
        if used and abs(layer.fill * layer.output.scale - model.fill) > layer.output.scale:
            yield "fill"


def _names(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
