"""How many words a line buffer holds: what the generator builds and the planner counts."""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt

from .geometry import Geometry

__all__ = ["ahead", "awaited", "buffer_words", "overhang", "span", "touching"]


def span(geometry: Geometry) -> int:
    """Pixels from the first to the last of a window: K-1 rows and K pixels, where K counts gaps between taps too."""
    rows, columns = geometry.extent
    return (rows - 1) * geometry.shape[1] + columns


def touching(geometry: Geometry) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Whether any tap of each row of windows is in a row of the map, and the same of columns.

    A window has a tap in the map where both hold. In wide padding it has none; nor where the map lies between its taps.
    """
    rows, columns = (np.any(inside, axis=1) for inside in _inside(geometry))
    return rows, columns


@lru_cache(maxsize=1024)
def awaited(geometry: Geometry, unroll: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Row and column in its block of every tap that is the last one in the map of any block of ``unroll`` taps.

    When that one has arrived, so have the others of its block: the pixels come row by row. At least one.
    """
    rows, columns = (
        {int(block.nonzero()[0][-1]) for block in inside.reshape(-1, taps) if block.any()} or {0}
        for inside, taps in zip(_inside(geometry), unroll, strict=True)
    )
    return tuple(product(sorted(rows), sorted(columns)))


def _inside(geometry: Geometry) -> list[npt.NDArray[np.bool_]]:
    """Along each axis, whether the taps of every window lie in the map: (windows, taps)."""
    found = []
    for size, taps, step, stride, before, count in zip(
        geometry.shape[:2],
        geometry.kernel,
        geometry.dilation,
        geometry.stride,
        geometry.pads[:2],
        geometry.output,
        strict=True,
    ):
        at = np.arange(count)[:, None] * stride - before + np.arange(taps)[None, :] * step
        found.append((at >= 0) & (at < size))
    return found


def overhang(geometry: Geometry) -> int:
    """Pixels by which a window may begin behind what a later one needs: only with padding wider than the window."""
    width = geometry.shape[1]
    _, _, bottom, right = geometry.pads
    rows, columns = geometry.extent
    beyond_row = right - columns
    beyond_frame = (bottom - rows + 1) * width + beyond_row
    return max(0, beyond_row, beyond_frame)


def ahead(geometry: Geometry) -> int:
    """Pixels by which the reader may be ahead of the writer: taps outside the map wait for nothing.

    When every window has a tap within the map, what lies between two of those is less than a window and the step to
    the next. Otherwise the reader may have come from the first pixel of one frame to the end of the next one's padding.
    """
    height, width, _ = geometry.shape
    _, _, bottom, right = geometry.pads
    rows, columns = geometry.output
    if all(part.all() for part in touching(geometry)):
        next_row = geometry.stride[0] * width - (columns - 1) * geometry.stride[1]
        next_frame = next_row + (height - rows * geometry.stride[0]) * width
        return span(geometry) + max(geometry.stride[1], next_row, next_frame)
    return (2 * height + bottom) * width + right


@lru_cache(maxsize=1024)
def _steady(geometry: Geometry) -> int:
    """Pixels between writer and reader when pixels arrive evenly and windows are read evenly, in the same time.

    The most that the reader needs ahead of the average, plus the most that it keeps behind it. With a stride of 1 and
    full padding that is the span of a window; a stride keeps whole rows until the next row of windows begins, and
    without padding the reader waits for K-1 rows at the start of every frame and drops as many at its end.
    """
    height, width, _ = geometry.shape
    top, left, _, _ = geometry.pads
    rows, columns = geometry.output
    row = np.arange(rows)[:, None] * geometry.stride[0] - top
    column = np.arange(columns)[None, :] * geometry.stride[1] - left
    last_row, last_column = row + geometry.extent[0] - 1, column + geometry.extent[1] - 1
    # Of the taps outside the map, those to the right and below wait for the last pixel before them.
    needed = np.where(
        (last_row < 0) | ((last_row == 0) & (last_column < 0)),
        0,
        np.minimum(last_row, height - 1) * width + np.clip(last_column, 0, width - 1) + 1,
    )
    kept = row * width + column
    average = np.arange(rows * columns).reshape(rows, columns) * (height * width / (rows * columns))
    step = height * width / (rows * columns)
    return int(np.ceil((needed - average).max() + (average + step - kept).max()))


def buffer_words(geometry: Geometry, simd: int) -> int:
    """Words of ``simd`` channels in the line buffer, a power of two.

    Enough that neither the layer nor one before it of the same average rate ever waits, and one row more: after a
    pooling layer, or one with a stride, pixels arrive a row at a time.
    """
    pixels = max(span(geometry), _steady(geometry)) + overhang(geometry) + geometry.shape[1]
    needed = pixels * geometry.words_per_pixel(simd) + 1
    return 1 << (needed - 1).bit_length()
