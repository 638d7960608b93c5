"""Views as maps: which index arrays are a map in its natural order, and which can stream through a Remap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..floatnet import Layout, Shape

__all__ = ["Movement", "border", "factor", "from_map", "in_order", "movements", "natural", "order_of", "to_map"]

MAX_ROWS = 8
"""Rows of a map that one row of a result may read by several :func:`movements`: each is a Remap of its own."""

IntArray = npt.NDArray[np.int64]
Pads = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Movement:
    """What a :class:`~hwgen.floatnet.FloatRemap` does; its fields are explained there."""

    rows: IntArray
    row_offset: IntArray
    columns: IntArray
    channels: IntArray


def to_map(array: np.ndarray, layout: Layout) -> np.ndarray | None:
    """``array`` of a tensor's shape in the order height, width, channels; None when it has too many axes.

    The batch axis may be missing. A vector (1, F) has one pixel, a sequence (1, C, L) or (1, L, C) one row.
    """
    shape = array.shape[1:] if array.shape[:1] == (1,) else array.shape
    if len(shape) > 3:
        shape = tuple(size for size in shape if size != 1)
        if len(shape) > 3:
            return None
    if layout is Layout.CHANNEL_LAST or len(shape) < 2:
        return array.reshape(*(1 for _ in range(3 - len(shape))), *shape)
    image = array.reshape(shape if len(shape) == 3 else (shape[0], 1, shape[1]))
    return image.transpose(1, 2, 0)


def from_map(shape: tuple[int, ...], layout: Layout) -> npt.NDArray[np.int32]:
    """The view of a tensor of ``shape`` that :func:`to_map` gives the natural order."""
    flat = np.arange(int(np.prod(shape)), dtype=np.int32)
    places = to_map(flat.reshape(shape), layout)
    assert places is not None
    view = np.empty_like(flat)
    view[places.reshape(-1)] = flat
    return view.reshape(shape)


def natural(index: np.ndarray, shape: Shape) -> bool:
    """Whether ``index`` (H, W, C) reads a map of ``shape`` from its first value to its last."""
    return index.shape == shape and in_order(index)


def in_order(index: np.ndarray) -> bool:
    """Whether ``index`` reads a tensor value by value from the first on."""
    flat = index.reshape(-1)
    return bool((flat == np.arange(flat.size, dtype=flat.dtype)).all())


def order_of(shape: Shape) -> npt.NDArray[np.int32]:
    """Where each value of channel-first data lies in the channel-last tensor of ``shape``."""
    return np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape).transpose(2, 0, 1).reshape(-1)


def border(index: np.ndarray) -> tuple[Pads, np.ndarray]:
    """The rows and columns of constants around a map, as top, left, bottom, right, and what is inside.

    No border where the constants are not exactly that.
    """
    real = index >= 0
    if real.all() or not real.any():
        return (0, 0, 0, 0), index
    rows, columns = (np.flatnonzero(np.asarray(real.any(axis=axes))) for axes in ((1, 2), (0, 2)))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    inside = index[top:bottom, left:right]
    if (inside < 0).any():
        return (0, 0, 0, 0), index
    return (int(top), int(left), int(index.shape[0] - bottom), int(index.shape[1] - right)), inside


def factor(index: np.ndarray, shape: Shape) -> Movement | None:
    """``index`` (H, W, C), -1 for a constant, into a map of ``shape`` as a movement that streams row by row.

    None when it is no such movement: a row of the output that needs several rows of the input, rows in another order,
    or places that are not the sum of one number per row, column and channel.
    """
    real = index >= 0
    kept = [np.asarray(real.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not real.any() or not np.array_equal(real, kept[0][:, None, None] & kept[1][:, None] & kept[2]):
        return None
    inside = index[np.ix_(*(np.flatnonzero(part) for part in kept))].astype(np.int64)
    width = shape[1] * shape[2]
    row, place = inside // width, inside % width
    if (row != row[:, :1, :1]).any() or (np.diff(row[:, 0, 0]) < 0).any():
        return None
    columns, channels = place[0, :, 0], place[0, 0, :]
    columns, channels = columns - columns.min(), channels - channels.min()
    offset = place.min(axis=(1, 2))
    if (place != offset[:, None, None] + columns[:, None] + channels).any():
        return None
    return Movement(
        _scattered(kept[0], row[:, 0, 0]),
        _scattered(kept[0], offset, 0),
        _scattered(kept[1], columns),
        _scattered(kept[2], channels),
    )


def movements(index: np.ndarray, shape: Shape) -> list[tuple[IntArray, Movement]] | None:
    """``index`` as movements that stream, each with the channels (C',) of the result that it makes.

    One movement where :func:`factor` finds it; else one for all channels that read the same rows, because a row of a
    space-to-depth reads several. None where that does not do either, or a row is read again for a later row of the
    result: that would be a memory for the map in disguise.
    """
    whole = factor(index, shape)
    if whole is not None:
        return [(np.arange(index.shape[2]), whole)]
    if not (index >= 0).any():
        return None
    rows = np.where(index < 0, -1, index // (shape[1] * shape[2])).max(axis=1)  # (H, C)
    kept = rows[(rows >= 0).any(axis=1)]
    highest = kept.max(axis=1)
    lowest = np.where(kept < 0, highest[:, None], kept).min(axis=1)
    if (highest - lowest >= MAX_ROWS).any() or (lowest[1:] <= highest[:-1]).any():
        return None
    choices, choice = np.unique(rows, axis=1, return_inverse=True)
    parts = []
    for number in range(choices.shape[1]):
        channels = np.flatnonzero(choice.reshape(-1) == number)
        part = factor(index[..., channels], shape)
        if part is None:
            return None
        parts.append((channels, part))
    return parts


def _scattered(kept: np.ndarray, values: np.ndarray, otherwise: int = -1) -> IntArray:
    result = np.full(kept.shape, otherwise, np.int64)
    result[kept] = values
    return result
