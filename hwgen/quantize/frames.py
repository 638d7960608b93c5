"""Raw data of a network with any number of inputs, and runs in batches of bounded memory."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import HwgenError
from ..floatnet import FloatConv, FloatLayer, FloatNetwork
from ..lower import evaluate

__all__ = ["Frames", "checked_frames", "count", "every_output", "frames_per_batch", "part", "values_of"]

Frames = dict[str, npt.NDArray[Any]]
"""Raw data by the name of the input: (N, H, W, C) each, with one N."""


def checked_frames(network: FloatNetwork, x: npt.ArrayLike | Mapping[str, npt.ArrayLike]) -> Frames:
    """``x`` by input name: an array for the only input, or a mapping. :class:`HwgenError` for what cannot be used."""
    names = [source.name for source in network.inputs]
    if not isinstance(x, Mapping):
        if len(names) > 1:
            raise HwgenError(f"calibration data must have an array for each of the inputs {', '.join(names)}")
        x = {names[0]: x}
    if set(x) != set(names):
        raise HwgenError(f"calibration data must be for the inputs {', '.join(names)}, not {', '.join(x)}")
    frames = {name: np.asarray(x[name]) for name in names}
    for source in network.inputs:
        data = frames[source.name]
        if data.ndim != 4 or data.shape[1:] != source.shape or len(data) == 0:
            shape = ", ".join(map(str, source.shape))
            raise HwgenError(f"calibration data must have shape (N, {shape}) with N >= 1, not {data.shape}")
        if data.dtype.kind not in "iufb" or not np.isfinite(data).all():
            raise HwgenError("calibration data must be finite numbers; it holds NaN, infinity or something else")
    if len({len(data) for data in frames.values()}) > 1:
        raise HwgenError("calibration data must have as many samples for each input")
    return frames


def count(frames: Mapping[str, npt.NDArray[Any]]) -> int:
    """The number of samples."""
    return len(next(iter(frames.values())))


def part(frames: Mapping[str, npt.NDArray[Any]], which: Any) -> Frames:
    """Some of the samples: ``which`` is a slice or an array of indices."""
    return {name: data[which] for name, data in frames.items()}


def values_of(frames: Frames) -> npt.NDArray[Any] | Frames:
    """What functions of a whole network take: the array of the only input, or all of them by name."""
    return next(iter(frames.values())) if len(frames) == 1 else frames


def every_output(network: FloatNetwork, frames: Frames) -> dict[str, npt.NDArray[np.floating]]:
    """The float output (N, H, W, C) of every layer on ``frames``, all of them at a time."""
    return evaluate(network, values_of(frames), every=True)


def _spread(layer: FloatLayer) -> int:
    """Numbers that one frame spreads out to inside ``layer``, im2col included."""
    height, width, _ = layer.output_shape
    return height * width * layer.weight[0].size * layer.groups if isinstance(layer, FloatConv) else 0


def frames_per_batch(network: FloatNetwork, values: int = 1 << 22) -> int:
    """Frames whose outputs of all layers, and whose largest im2col, are about ``values`` numbers; at least one."""
    outputs = sum(prod(layer.output_shape) for layer in network.layers)
    return max(1, values // max(1, outputs, *map(_spread, network.layers)))
