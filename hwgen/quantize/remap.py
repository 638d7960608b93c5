"""A float remap to an integer one."""

from __future__ import annotations

from ..floatnet import FloatRemap
from ..network import Remap, Tensor
from .requant import round_half_up

__all__ = ["quantize_remap"]


def quantize_remap(layer: FloatRemap, source: Tensor) -> Remap:
    """``layer`` on the integers of ``source``, whose unit and interval it keeps; ``fill`` is the nearest of those."""
    fill = min(max(int(round_half_up(layer.fill / source.scale)), source.interval.lo), source.interval.hi)
    return Remap(
        name=layer.name,
        source=source.name,
        input_shape=source.shape,
        rows=layer.rows,
        row_offset=layer.row_offset,
        columns=layer.columns,
        channels=layer.channels,
        fill=fill,
        output=Tensor(layer.name, layer.output_shape, source.interval, source.scale),
    )
