"""Where a layer's reductions lie in its input: the loop nests that the feeders run.

A *reduction* is the run of words whose products are summed (or compared) into one result per PE. Two orders exist:

* windowed: for every output pixel, for every group of PE output channels (``repeat``), kernel rows, kernel columns,
  words of a pixel. Needs a line buffer (``line_buffer.py``, ``rtl.window.Window``).
* direct: the words as they arrive, each used at once for every group, so nothing is stored but the accumulators. This
  is possible when the reduction is a run of whole pixels: a 1x1 convolution, or a kernel that covers the map
  (a dense layer, global pooling). ``rtl.direct.Direct`` does it.
"""

from __future__ import annotations

from dataclasses import dataclass

from .floatnet import Shape, window_shape

__all__ = ["Geometry"]


@dataclass(frozen=True)
class Geometry:
    """A sliding window over a map of (height, width, channels); pads: top, left, bottom, right.

    ``channelwise``: every channel is reduced on its own (pooling, depthwise) instead of all together.
    """

    shape: Shape
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]
    channelwise: bool = False

    @property
    def output(self) -> tuple[int, int]:
        """Rows and columns of the output map."""
        rows, columns, _ = window_shape(self.shape, self.kernel, self.stride, self.pads, self.shape[2])
        return rows, columns

    @property
    def direct(self) -> bool:
        """Whether each reduction is a run of whole pixels in stream order."""
        pointwise = self.kernel == (1, 1) and self.stride == (1, 1) and not self.channelwise
        return not any(self.pads) and (pointwise or self.kernel == self.shape[:2])

    def words_per_pixel(self, simd: int) -> int:
        """Words of ``simd`` channels in a pixel. ``ValueError`` unless ``simd`` divides the channels."""
        channels = self.shape[2]
        if simd < 1 or channels % simd:
            raise ValueError(f"SIMD must divide the {channels} input channels, not {simd!r}")
        return channels // simd

    def reduction(self, simd: int) -> int:
        """Words per reduction."""
        return self.kernel[0] * self.kernel[1] * (1 if self.channelwise else self.words_per_pixel(simd))
