"""Strides and padding of sliding windows, which convolution and pooling share."""

from __future__ import annotations

from ..floatnet import window_shape
from ..importers.graph import MAX_ELEMENTS
from .reader import Reader

__all__ = ["read_window"]

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]


def read_window(reader: Reader, kernel: Pair) -> tuple[Pair, Pads]:
    """Stride (y, x) and pads (top, left, bottom, right) of a ``kernel`` that slides over the node's input.

    ``auto_pad`` is resolved: SAME makes ``ceil(size / stride)`` outputs and puts an odd pixel of padding at the end
    (SAME_UPPER) or the beginning (SAME_LOWER).
    """
    channels, *size = reader.image_shape
    reader.only("dilations", reader.integers("dilations", (1, 1), 2), (1, 1))
    stride_y, stride_x = reader.integers("strides", (1, 1), 2)
    stride = (stride_y, stride_x)
    if min(stride) < 1 or min(kernel) < 1:
        raise reader.error(f"kernel {kernel} and strides {stride} must be at least 1; export the model again")
    mode = reader.text("auto_pad", "NOTSET")
    if mode == "NOTSET":
        top, left, bottom, right = reader.integers("pads", (0, 0, 0, 0), 4)
    elif mode == "VALID":
        top = left = bottom = right = 0
    elif mode in ("SAME_UPPER", "SAME_LOWER"):
        (top, bottom), (left, right) = (
            _same(*axis, upper=mode == "SAME_UPPER") for axis in zip(size, kernel, stride, strict=True)
        )
    else:
        raise reader.error(f"auto_pad={mode} is not known; use NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    pads = (top, left, bottom, right)
    if min(pads) < 0:
        raise reader.error(f"negative pads {pads} are not supported; crop the input instead")
    if channels * (size[0] + top + bottom) * (size[1] + left + right) > MAX_ELEMENTS:
        raise reader.error(f"pads {pads} are too large: more than {MAX_ELEMENTS} values")
    if min(window_shape((size[0], size[1], channels), kernel, stride, pads, channels)) < 1:
        raise reader.error(f"its kernel {kernel} is larger than its padded input {size}; use a larger input")
    return stride, pads


def _same(size: int, kernel: int, stride: int, *, upper: bool) -> Pair:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return (total // 2, total - total // 2) if upper else (total - total // 2, total // 2)
