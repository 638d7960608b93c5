"""Values in another place: the remaps that models ask for, on tensors of a small test network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgen.network import Remap, Tensor


def remap(
    source: Tensor,
    rows: Sequence[int],
    columns: Sequence[int],
    channels: Sequence[int],
    *,
    row_offset: Sequence[int] | None = None,
    fill: int | None = None,
    name: str = "remap",
) -> Remap:
    """Values in another place; ``fill``: by default the interval's lowest."""
    result = Tensor(name, (len(rows), len(columns), len(channels)), source.interval, source.scale)
    offsets = np.zeros(len(rows), np.int64) if row_offset is None else np.array(row_offset, np.int64)
    parts = (np.array(part, np.int64) for part in (columns, channels))
    lowest = source.interval.lo if fill is None else fill
    return Remap(name, source.name, source.shape, np.array(rows, np.int64), offsets, *parts, lowest, result)


def crop(source: Tensor, y: range, x: range, channels: Sequence[int] | None = None, *, name: str = "crop") -> Remap:
    """Rows ``y`` and columns ``x`` of a map, -1 or past its end for padding; ``channels`` in that order."""
    height, width, depth = source.shape
    return remap(
        source,
        [row if 0 <= row < height else -1 for row in y],
        [column * depth if 0 <= column < width else -1 for column in x],
        range(depth) if channels is None else channels,
        name=name,
    )


def upsample(source: Tensor, factor: int, *, name: str = "upsample") -> Remap:
    """Nearest-neighbour resize by a whole factor."""
    height, width, channels = source.shape
    rows = [row // factor for row in range(height * factor)]
    columns = [column // factor * channels for column in range(width * factor)]
    return remap(source, rows, columns, range(channels), name=name)


def depth_to_space(source: Tensor, block: int, *, name: str = "shuffle") -> Remap:
    """Blocks of channels become pixels; ``block**2`` divides the channels (order: block row, block column, channel)."""
    height, width, channels = source.shape
    depth = channels // block**2
    rows = [row // block for row in range(height * block)]
    offsets = [row % block * block * depth for row in range(height * block)]
    columns = [column // block * channels + column % block * depth for column in range(width * block)]
    return remap(source, rows, columns, range(depth), row_offset=offsets, name=name)
