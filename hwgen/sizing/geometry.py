"""Where a layer's reductions lie in its input: the loop nests that the feeders run.

A *reduction* is the run of words whose products are summed (or compared) into one result per PE. Two orders exist:

* windowed: for every output pixel, for every group of input channels (``turns``), for every group of PE output
  channels that read those (``repeat``), kernel rows, kernel columns, words of the group. Needs a line buffer
  (``line_buffer.py``, ``rtl.window.Window``), which may read a block of neighbouring taps at once (``unroll``).
* direct: the words as they arrive, each used at once for all that needs it, so nothing is stored but the accumulators.
  This is possible when the reduction is a run of whole pixels: a 1x1 convolution, or a kernel that covers the map
  (a dense layer, global pooling). ``rtl.direct.Direct`` does it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..floatnet import Shape, window_shape

__all__ = ["Geometry"]


@dataclass(frozen=True)
class Geometry:
    """A sliding window over a map of (height, width, channels); pads: top, left, bottom, right.

    ``channelwise``: every channel is reduced on its own (pooling, depthwise) instead of all together; ``simd`` lanes
    are then as many reductions. ``groups``: channels are reduced in so many sets of neighbours, a set at a time.
    """

    shape: Shape
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]
    channelwise: bool = False
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def output(self) -> tuple[int, int]:
        """Rows and columns of the output map."""
        rows, columns, _ = window_shape(self.shape, self.kernel, self.stride, self.pads, self.shape[2], self.dilation)
        return rows, columns

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns that a window spans, those between its taps included."""
        rows, columns = ((taps - 1) * step + 1 for taps, step in zip(self.kernel, self.dilation, strict=True))
        return rows, columns

    @property
    def direct(self) -> bool:
        """Whether each reduction is a run of whole pixels in stream order."""
        pointwise = self.kernel == (1, 1) and self.stride == (1, 1)
        return self.groups == 1 and not any(self.pads) and (pointwise or self.kernel == self.shape[:2])

    def words_per_pixel(self, simd: int) -> int:
        """Words of ``simd`` channels in a pixel. ``ValueError`` unless ``simd`` divides the channels of a group."""
        channels = self.shape[2] // self.groups
        if simd < 1 or channels % simd:
            where = " of a group" if self.groups > 1 else ""
            raise ValueError(f"SIMD must divide the {channels} input channels{where}, not {simd!r}")
        return self.shape[2] // simd

    def turns(self, simd: int) -> int:
        """How many sets of words a window has that are reduced one after the other."""
        return self.words_per_pixel(simd) if self.channelwise else self.groups

    def reduction(self, simd: int, unroll: tuple[int, int] = (1, 1)) -> int:
        """Beats per reduction, each a word of ``unroll`` (kernel rows, kernel columns) taps."""
        blocks = (self.kernel[0] // unroll[0]) * (self.kernel[1] // unroll[1])
        return blocks * self.words_per_pixel(simd) // self.turns(simd)
