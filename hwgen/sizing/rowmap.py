"""How a Remap streams through a ring of rows: what is stored, for how long, and how many cycles that takes.

The engine (``rtl/remap.py``) stores the input rows that some output row reads, one after the other, in a ring of whole
rows. While it reads one it writes the next; a row's place is free again when the last output row that reads it is out.
An output row of nothing but ``fill`` holds the row that comes after it (at the map's end the last one), so that no
output runs ahead of its frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import gcd

import numpy as np
import numpy.typing as npt

from ..network import Remap

__all__ = ["READ_CYCLES", "RowMap", "remap_lanes"]

READ_CYCLES = 3
"""Cycles from the decision to read a word until it is read: a row's place is free that much after its last word."""

LONG_ROW = 128
"""From so many words on a third row is not worth its memory: it saves at most READ_CYCLES / 2 cycles a row."""

FRAMES = 8
"""Frames whose mean is :attr:`RowMap.cycles`, after as many of warm-up."""


def remap_lanes(layer: Remap) -> list[int]:
    """Every legal number of lanes, ascending: a word must come out of one input word, or be all fill."""
    channels = gcd(layer.input_shape[2], len(layer.channels))
    return [lanes for lanes in range(1, channels + 1) if channels % lanes == 0 and _aligned(layer, lanes)]


def _aligned(layer: Remap, lanes: int) -> bool:
    runs = layer.channels.reshape(-1, lanes)
    real = runs[:, 0] >= 0
    starts = (layer.row_offset[layer.rows >= 0], layer.columns[layer.columns >= 0], runs[real, 0])
    whole = np.where(real[:, None], runs == runs[:, :1] + np.arange(lanes), runs < 0)
    return bool(whole.all()) and all(bool((start % lanes == 0).all()) for start in starts)


@dataclass(frozen=True, eq=False)
class RowMap:
    """``layer`` in words of ``lanes`` channels. ``ValueError`` when ``lanes`` is not legal."""

    layer: Remap
    lanes: int

    def __post_init__(self) -> None:
        legal = remap_lanes(self.layer)
        if self.lanes not in legal:
            raise ValueError(f"{self.layer.name}: lanes must be one of {legal}, not {self.lanes!r}")

    @property
    def row_words(self) -> int:
        """Words of an input row."""
        return self.layer.input_shape[1] * self.layer.input_shape[2] // self.lanes

    @property
    def pixel_words(self) -> int:
        """Words of an output pixel."""
        return len(self.layer.channels) // self.lanes

    @property
    def output_row_words(self) -> int:
        """Words of an output row."""
        return len(self.layer.columns) * self.pixel_words

    @cached_property
    def held(self) -> tuple[int, ...]:
        """The input row that must be stored for each output row; it never decreases."""
        rows = self.layer.rows.tolist()
        following = max([row for row in rows if row >= 0], default=0)
        result = []
        for row in reversed(rows):
            following = row if row >= 0 else following
            result.append(following)
        return tuple(reversed(result))

    @property
    def keeps(self) -> list[bool]:
        """Whether each input row is stored; the others are dropped as they come."""
        used = set(self.held)
        return [row in used for row in range(self.layer.input_shape[0])]

    @property
    def releases(self) -> list[bool]:
        """Whether the end of each output row frees the stored row."""
        return [a != b for a, b in zip(self.held, (*self.held[1:], -1), strict=True)]

    @property
    def buffer_rows(self) -> int:
        """Rows of the ring: one is read and one written; short rows get more, so that handing over is not felt."""
        return 2 if self.row_words >= LONG_ROW else 2 + -(-READ_CYCLES // self.row_words)

    @property
    def buffer_words(self) -> int:
        """Words of the ring."""
        return self.buffer_rows * self.row_words

    @cached_property
    def cycles(self) -> int:
        """Cycles per frame in steady state, when input and output keep up.

        The larger of the words of the input and of the output where rows are read evenly; more where a row is read so
        often that the writer has to wait, and then so many are dropped that the reader has to. Found by following the
        rows of some frames: ``written``, the end of the row that the writer is at, ``read`` that of the reader.
        """
        uses = [self.held.count(row) * self.output_row_words for row in range(self.layer.input_shape[0])]
        written = read = 0
        freed = [0] * self.buffer_rows
        ends = []
        for _ in range(2 * FRAMES):
            for reads in uses:
                if reads:
                    written = max(written, freed[-self.buffer_rows])
                written += self.row_words
                if reads:
                    read = max(read, written) + reads
                    freed.append(read + READ_CYCLES)
            ends.append(read)
        return -(-(ends[-1] - ends[FRAMES - 1]) // FRAMES)

    @property
    def row_starts(self) -> list[int]:
        """Words from the start of the stored row to where each output row begins."""
        return self._words(np.where(self.layer.rows >= 0, self.layer.row_offset, 0))

    @property
    def column_starts(self) -> list[int]:
        """Words that every output column adds; 0 where it is fill."""
        return self._words(self.layer.columns)

    @property
    def pixel_starts(self) -> list[int]:
        """Words that every word of an output pixel adds; 0 where it is fill."""
        return self._words(self.layer.channels[:: self.lanes])

    def _words(self, values: npt.NDArray[np.int64]) -> list[int]:
        return [int(value) // self.lanes if value >= 0 else 0 for value in values]
