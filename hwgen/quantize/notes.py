"""What quantization could not take over from the model as it stands: sentences for the user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ..floatnet import FloatConv, FloatInput, FloatLayer, FloatRemap
from ..network import Conv, Layer, Remap, Tensor
from .coded import GRID_TOLERANCE, exponent_in

__all__ = ["listed", "remarks"]

_SHOWN = 3


TEXTS = {
    "input": "the model's number format needs more than the 8 bits of an input; another unit takes its place",
    "weights": "weights that the model holds as codes are rounded anew: their scales are off the grid of requantization"
    " factors",
    "format": "the output's unit is a few percent from the model's, whose ratio is off the grid of requantization"
    " factors",
    "fill": "the fill value lies outside the values of the tensor that is filled and becomes the nearest of them",
}


def remarks(
    layers: Sequence[tuple[FloatLayer, Layer]], inputs: Sequence[tuple[FloatInput, Tensor]] = ()
) -> tuple[str, ...]:
    """One sentence for each way in which tensors differ from the codes, formats and fill values of their models."""
    found: dict[str, list[str]] = {}
    for source, tensor in inputs:
        if source.fixed is not None and tensor.scale != source.fixed.scale:
            found.setdefault("input", []).append(tensor.name)
    for model, layer in layers:
        for kind in _differences(model, layer):
            found.setdefault(kind, []).append(layer.name)
    return listed({TEXTS[kind]: names for kind, names in found.items()})


def listed(notes: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """A sentence for each text of ``notes``, headed by the names of the layers that it is about."""
    return tuple(f"{_names(names)}: {text}." for text, names in notes.items())


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
