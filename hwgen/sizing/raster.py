"""The order in which a padded map passes a window that never jumps: what ``rtl.taps.Taps`` walks."""

from __future__ import annotations

from dataclasses import dataclass

from .geometry import Geometry

__all__ = ["Raster"]


@dataclass(frozen=True)
class Raster:
    """Every row of the map with padding behind it, and rows of padding behind the last.

    A window may reach over the end of a row into the next: the padding behind one row is also that before the next, and
    the rows below one frame are also those above the next. So there are ``max(left, right)`` columns of it and
    ``max(top, bottom)`` rows, in which results still come and nothing is read.

    Raises ``ValueError`` when a window lies in the padding above or left of the map with all its taps.
    """

    geometry: Geometry

    def __post_init__(self) -> None:
        if min(self.row_hits[0], self.column_hits[0]) < 0:
            raise ValueError(f"every window must reach the map, not only its padding: {self.geometry}")

    @property
    def rows(self) -> int:
        top, _, bottom, _ = self.geometry.pads
        return self.geometry.shape[0] + max(top, bottom)

    @property
    def columns(self) -> int:
        _, left, _, right = self.geometry.pads
        return self.geometry.shape[1] + max(left, right)

    @property
    def row_hits(self) -> list[int]:
        """The rows with which windows end."""
        return self._hits(0)

    @property
    def column_hits(self) -> list[int]:
        """The columns with which windows end."""
        return self._hits(1)

    def _hits(self, axis: int) -> list[int]:
        first = self.geometry.extent[axis] - 1 - self.geometry.pads[axis]
        return [first + at * self.geometry.stride[axis] for at in range(self.geometry.output[axis])]

    @property
    def positions(self) -> int:
        """Pixels per frame, those of the padding included."""
        return self.rows * self.columns

    @property
    def hits(self) -> int:
        """Pixels per frame with which a window ends."""
        return self.geometry.output[0] * self.geometry.output[1]

    @property
    def start(self) -> tuple[int, int]:
        """Row and column of the first pixel after reset: the first padding before the frame."""
        height, width, _ = self.geometry.shape
        if self.columns > width:
            return height - 1, width
        return (height, 0) if self.rows > height else (0, 0)
