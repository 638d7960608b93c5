"""What every rewrite needs of a graph: new names, layers in the place of others, a note; and which layers scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isinf

import numpy as np
import numpy.typing as npt

from ...floatnet import FloatLayer, FloatNetwork, FloatRemap
from ..clips import clip_of
from ..notes import listed

__all__ = ["Names", "channel_of", "layers_of", "replaced", "scales_through"]


class Names:
    """Names for new layers, all different from each other and from those of ``network``."""

    def __init__(self, network: FloatNetwork) -> None:
        self._taken = {tensor.name for tensor in (*network.inputs, *network.layers)}

    def new(self, name: str) -> str:
        """``name``, with underscores behind it where it is in use."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def replaced(
    network: FloatNetwork, parts: Mapping[str, Sequence[FloatLayer]], notes: Mapping[str, Sequence[str]]
) -> FloatNetwork:
    """``network`` with ``parts[name]`` in the place of layer ``name``; as it is where nothing changes.

    notes: what was done, each with the names of the layers that it is about.
    """
    if not parts:
        return network
    layers = [new for layer in network.layers for new in parts.get(layer.name, (layer,))]
    return replace(network, layers=tuple(layers), notes=(*network.notes, *listed(notes)))


def layers_of(network: FloatNetwork) -> dict[str, list[FloatLayer]]:
    """The layers that read each tensor, by its name; a layer that reads it twice is there twice."""
    found: dict[str, list[FloatLayer]] = {tensor.name: [] for tensor in (*network.inputs, *network.layers)}
    for layer in network.layers:
        for source in layer.sources:
            found[source].append(layer)
    return found


def scales_through(layer: FloatLayer) -> bool:
    """Whether what ``layer`` puts out grows with what comes before its clip: ``clip(s * y) == s * clip(y)``, s > 0.

    So it is for a ReLU and for no activation, not for a clip at 6, and not for a number format of the model's own.
    """
    return layer.fixed is None and all(limit == 0 or isinf(limit) for limit in clip_of(layer))


def channel_of(layer: FloatRemap) -> npt.NDArray[np.int64] | None:
    """The input channel that each output channel holds, (OC,); -1 where it holds zeros.

    None where that differs between pixels (DepthToSpace), or where something else than 0 is filled in.
    """
    parts = (layer.rows, layer.columns, layer.channels)
    if layer.fill != 0 and any((part < 0).any() for part in parts):
        return None
    channels = layer.input_shape[2]
    offsets = np.unique(layer.row_offset[layer.rows >= 0] % channels)
    columns = np.unique(layer.columns[layer.columns >= 0] % channels)
    if offsets.size > 1 or columns.size > 1:
        return None
    first = int(offsets.sum() + columns.sum())
    return np.where(layer.channels < 0, -1, (layer.channels + first) % channels)
