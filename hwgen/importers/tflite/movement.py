"""TFLite operators that move values: shapes, slices, padding, nearest neighbours; and the arithmetic of shapes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from onnx import TensorProto

from .writer import FROM_NHWC, Writer

__all__ = ["OPERATORS"]

_INT32_MAX = (1 << 31) - 1


def _int64(writer: Writer, values: tuple[int, ...]) -> str:
    return writer.array(np.array(values, np.int64))


def _reshape(writer: Writer) -> None:
    """The shape is a constant, an option of old converters, or computed from shapes."""
    if writer.has(1) and writer.tensor(1).data is None:
        shape = writer.node("Cast", [writer.value(1)], to=TensorProto.INT64)
    else:
        given = writer.whole(1) if writer.has(1) else writer.operator.options.get("NewShape", ())
        shape = _int64(writer, given)
    writer.make(writer.node("Reshape", [writer.value(0), shape]))


def _squeeze(writer: Writer) -> None:
    axes = writer.operator.options.get("SqueezeDims", ())
    writer.make(writer.node("Squeeze", [writer.value(0), *([_int64(writer, axes)] if axes else [])]))


def _expand_dims(writer: Writer) -> None:
    writer.make(writer.node("Unsqueeze", [writer.value(0), _int64(writer, writer.whole(1))]))


def _transpose(writer: Writer) -> None:
    writer.make(writer.node("Transpose", [writer.value(0)], perm=list(writer.whole(1))))


def _shape(writer: Writer) -> None:
    # Computed from the shape in the ONNX model, for a batch of one.
    value = writer.node("Shape", [writer.value(0)])
    writer.made_integers(value)
    writer.make(value)


def _pack(writer: Writer) -> None:
    axis = int(writer.operator.options.get("Axis", 0))
    values = []
    for index in range(len(writer.operator.inputs)):
        value = writer.value(index)
        if writer.tensor(index).kind in ("INT32", "INT64"):  # shapes meet here, and those of ONNX are of 64 bits
            value = writer.node("Cast", [value], to=TensorProto.INT64)
        values.append(writer.node("Unsqueeze", [value, _int64(writer, (axis,))]))
    writer.make(writer.node("Concat", values, axis=axis))


def _pad(writer: Writer) -> None:
    """Paddings (rank, 2), before and behind each axis; the value is zero, of PADV2 its third input."""
    pads = np.array(writer.whole(1), np.int64)
    if pads.size != 2 * len(writer.tensor(0).shape):
        raise writer.error("its paddings do not fit its input; export the model again")
    inputs = [writer.value(0), writer.array(pads.reshape(-1, 2).T.reshape(-1))]
    if writer.operator.code == "PADV2":
        scalar = writer.node("Reshape", [writer.value(2), _int64(writer, (1,))])
        inputs.append(writer.node("Squeeze", [scalar, _int64(writer, (0,))]))
    writer.make(writer.node("Pad", inputs, mode="constant"))


def _concatenation(writer: Writer) -> None:
    values = [writer.value(index) for index in range(len(writer.operator.inputs))]
    value = writer.node("Concat", values, axis=int(writer.operator.options.get("Axis", 0)))
    writer.make(writer.activated(value))


def _strided_slice(writer: Writer) -> None:
    """Bit ``i`` of a mask: axis ``i`` has no begin, no end, or is one index that goes away."""
    options = writer.operator.options
    begin, end, strides = (list(writer.whole(index)) for index in (1, 2, 3))
    if options.get("EllipsisMask") or options.get("NewAxisMask"):
        raise writer.error("slices with an ellipsis or a new axis are not supported; export it with all axes")
    if not len(begin) == len(end) == len(strides) <= 8 or not all(strides):
        raise writer.error("its begin, end and strides do not fit; export the model again")
    gone = []
    for axis in range(len(begin)):
        if options.get("BeginMask", 0) >> axis & 1:
            begin[axis] = 0 if strides[axis] > 0 else _INT32_MAX
        if options.get("EndMask", 0) >> axis & 1:
            end[axis] = _INT32_MAX if strides[axis] > 0 else -_INT32_MAX
        if options.get("ShrinkAxisMask", 0) >> axis & 1:
            end[axis], strides[axis] = (begin[axis] + 1) or _INT32_MAX, 1
            gone.append(axis)
    axes = tuple(range(len(begin)))
    parts = [_int64(writer, tuple(part)) for part in (begin, end, axes, strides)]
    value = writer.node("Slice", [writer.value(0), *parts])
    writer.make(writer.node("Squeeze", [value, _int64(writer, tuple(gone))]) if gone else value)


def _slice(writer: Writer) -> None:
    """Sizes of -1 reach to the end."""
    begin, size = writer.whole(1), writer.whole(2)
    if len(begin) != len(size):
        raise writer.error("its begin and size do not fit; export the model again")
    end = tuple(_INT32_MAX if n == -1 else first + n for first, n in zip(begin, size, strict=True))
    parts = [_int64(writer, part) for part in (begin, end, tuple(range(len(begin))))]
    writer.make(writer.node("Slice", [writer.value(0), *parts]))


def _split(writer: Writer) -> None:
    """Inputs: axis, data."""
    axes, count = writer.whole(0), len(writer.operator.outputs)
    if len(axes) != 1 or writer.operator.options.get("NumSplits", count) != count:
        raise writer.error("it must have one axis and as many outputs as splits; export the model again")
    for position, value in enumerate(
        writer.nodes_of("Split", [writer.value(1)], count, axis=axes[0], num_outputs=count)
    ):
        writer.make(value, position)


def _resize_nearest(writer: Writer) -> None:
    """TensorFlow rounds ``x * scale`` down, of half pixels ``(x + 1/2) * scale``, of aligned corners to the nearest."""
    options = writer.operator.options
    size, shape = writer.whole(1), writer.tensor(0).shape
    if len(size) != 2 or len(shape) != 4:
        raise writer.error("its input must be a map and its size two numbers; export the model again")
    if options.get("AlignCorners"):
        mode, rounding = "align_corners", "round_prefer_ceil"
    elif options.get("HalfPixelCenters"):
        mode, rounding = "half_pixel", "round_prefer_ceil"
    else:
        mode, rounding = "asymmetric", "floor"
    value = writer.node(
        "Resize",
        [writer.value(0, FROM_NHWC), "", "", _int64(writer, (1, shape[3], *size))],
        mode="nearest",
        coordinate_transformation_mode=mode,
        nearest_mode=rounding,
    )
    writer.make_map(value)


def _block(writer: Writer, *, operator: str) -> None:
    """DEPTH_TO_SPACE and back: the channels of a pixel are its block's pixels, the first channel of each first."""
    size = int(writer.operator.options.get("BlockSize", 1))
    value = writer.node(operator, [writer.value(0, FROM_NHWC)], blocksize=size)
    writer.make_map(value)


OPERATORS: dict[str, Callable[[Writer], None]] = {
    "CONCATENATION": _concatenation,
    "DEPTH_TO_SPACE": partial(_block, operator="DepthToSpace"),
    "EXPAND_DIMS": _expand_dims,
    "PACK": _pack,
    "PAD": _pad,
    "PADV2": _pad,
    "RESHAPE": _reshape,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
    "SHAPE": _shape,
    "SLICE": _slice,
    "SPACE_TO_DEPTH": partial(_block, operator="SpaceToDepth"),
    "SPLIT": _split,
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
    "TRANSPOSE": _transpose,
}
