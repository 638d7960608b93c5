"""A pending affine: ``x * factor + offset`` that is not part of any layer yet.

Kept per element of the tensor in its internal (channel-last) order, because a constant after a Flatten may differ from
pixel to pixel; convolutions and pools can only take one that is the same for every pixel of a channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Pending"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pending:
    """``value = x * factor + offset``; factor, offset: (elements,)."""

    factor: Array
    offset: Array

    def then(self, factor: Array, offset: Array) -> Pending:
        """This, followed by ``* factor + offset``."""
        return Pending(self.factor * factor, self.offset * factor + offset)

    def reordered(self, order: npt.NDArray[np.int64]) -> Pending:
        """The same when element ``i`` of the tensor moves to place ``order[i]``."""
        factor, offset = np.empty_like(self.factor), np.empty_like(self.offset)
        factor[order], offset[order] = self.factor, self.offset
        return Pending(factor, offset)

    def per_channel(self, channels: int) -> tuple[Array, Array] | None:
        """Factor and offset per channel (channels,), or None where they differ within a channel."""
        factor, offset = self.factor.reshape(-1, channels), self.offset.reshape(-1, channels)
        if (factor != factor[0]).any() or (offset != offset[0]).any():
            return None
        return factor[0], offset[0]
