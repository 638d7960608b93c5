"""Which engine computes which layer."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ..network import Add, Concat, Conv, Layer, Pool, Remap, Table, Tensor
from ..sizing.folding import Folding
from .add import AddEngine
from .concat import ConcatEngine
from .conv import ConvEngine
from .pool import PoolEngine
from .remap import RemapEngine
from .table import TableEngine

__all__ = ["engine_of", "frames_held", "inputs_of"]


def engine_of(layer: Layer, sources: Sequence[Tensor], folding: Folding):
    """The component that computes ``layer`` from ``sources`` on ``folding``; see :func:`inputs_of`, and ``o``."""
    match layer:
        case Conv():
            return ConvEngine(layer, sources[0], folding)
        case Pool():
            return PoolEngine(layer, sources[0], folding)
        case Add():
            return AddEngine(layer, sources, folding.lanes)
        case Concat():
            return ConcatEngine(layer, sources, folding.lanes)
        case Table():
            return TableEngine(layer, sources[0], folding.lanes)
        case Remap():
            return RemapEngine(layer, sources[0], folding.lanes)


def inputs_of(engine) -> list:
    """Its input streams, in the order of the layer's sources."""
    return list(engine.inputs) if hasattr(engine, "inputs") else [engine.i]


def frames_held(engine, layer: Layer, sources: Sequence[Tensor]) -> int:
    """Frames that may have come into ``engine`` without having left."""
    if isinstance(layer, Conv | Pool):
        return engine.frames_held
    # These let words through a pipeline and a queue of at most 64; a Remap holds up to all rows of a frame as well.
    rows = 2 if isinstance(layer, Remap) else 0
    return 2 + rows + 64 // prod(sources[0].shape) + 64 // prod(layer.output.shape)
