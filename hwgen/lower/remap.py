"""Data movement: each operator is an indexing of the view; only where a layer needs another order is there a Remap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import prod

import numpy as np
from onnx import TensorProto

from ..importers.graph import MAX_ELEMENTS
from .builder import Builder
from .reader import Reader
from .value import Value

__all__ = ["OPERATORS"]

_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)

Result = Value | tuple[Value, ...]


def _integers(reader: Reader, index: int, what: str) -> list[int]:
    """A constant input of integers."""
    values = reader.constant(index, what)
    if (values != np.floor(values)).any() or (np.abs(values) > 2**63).any():
        raise reader.error(f"its {what} must be integers")
    return [int(value) for value in values.reshape(-1)]


def _axes(reader: Reader, axes: Sequence[int], rank: int) -> list[int]:
    if any(not -rank <= axis < rank for axis in axes) or len({axis % rank for axis in axes}) != len(axes):
        raise reader.error(f"axes {list(axes)} do not fit its input of {rank} axes; export again")
    return [axis % rank for axis in axes]


def _bounded(reader: Reader, shape: Sequence[int]) -> None:
    if min(shape, default=1) < 1:
        raise reader.error(f"its output of shape {tuple(shape)} is empty; export again")
    if prod(shape) > MAX_ELEMENTS:
        raise reader.error(f"its output of shape {tuple(shape)} is too large: more than {MAX_ELEMENTS} values")


def read_reshape(builder: Builder, reader: Reader) -> Value:
    """Any operator that keeps the order of values; the importer knows the new shape."""
    value, after = reader.value(0), reader.output_shape
    if value.base is None:
        raise reader.error("its shape depends on the data; export the model with fixed shapes")
    if prod(value.shape) != prod(after):
        raise reader.error(f"its input of shape {value.shape} does not fit its output of shape {after}; export again")
    return value.moved(lambda array: array.reshape(after))


def read_transpose(builder: Builder, reader: Reader) -> Value:
    """Transpose."""
    value = reader.value(0)
    rank = len(value.shape)
    axes = reader.integers("perm", tuple(reversed(range(rank))), rank)
    if sorted(axes) != list(range(rank)):
        raise reader.error(f"perm={list(axes)} must be an order of {rank} axes; export the model again")
    return value.moved(lambda array: array.transpose(axes))


def read_dropout(builder: Builder, reader: Reader) -> Value:
    """Dropout, which does nothing outside training."""
    if reader.has(2) and reader.constant(2, "training_mode").any():
        raise reader.error("training_mode=1 is not supported; export the model for inference")
    return reader.value(0)


def read_cast(builder: Builder, reader: Reader) -> Value:
    """Cast from one float type (or a condition, 0 or 1) to a float type."""
    kind = reader.integer("to", TensorProto.FLOAT)
    if kind not in _FLOATS:
        name = TensorProto.DataType.Name(kind) if kind in TensorProto.DataType.values() else str(kind)
        raise reader.error(f"to={name} is not supported, only casts to a float type")
    return reader.value(0)


def read_slice(builder: Builder, reader: Reader) -> Value:
    """Slice along any axes with any steps; attributes until operator set 9, inputs from set 10 on."""
    value = reader.value(0)
    rank = len(value.shape)
    if reader.graph.opset < 10:
        given = [list(reader.node.attributes.get(name, ())) for name in ("starts", "ends", "axes")]
        starts, ends, axes, steps = *given, [1] * len(given[0])
    else:
        starts, ends = _integers(reader, 1, "starts"), _integers(reader, 2, "ends")
        axes = _integers(reader, 3, "axes") if reader.has(3) else []
        steps = _integers(reader, 4, "steps") if reader.has(4) else [1] * len(starts)
    axes = _axes(reader, axes or list(range(len(starts))), rank)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise reader.error("its starts, ends, axes and steps do not fit together; export again")
    cut = [slice(None)] * rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step < 0 and end < -value.shape[axis]:
            cut[axis] = slice(start, None, step)
        else:
            cut[axis] = slice(start, end, step)
    moved = value.moved(lambda array: array[tuple(cut)])
    _bounded(reader, moved.shape)
    return moved


def read_pad(builder: Builder, reader: Reader) -> Value:
    """Pad with a constant, or with values of the border (edge, reflect, wrap); negative pads crop."""
    value = reader.value(0)
    rank = len(value.shape)
    old = reader.graph.opset < 11
    pads = list(reader.node.attributes.get("pads", ())) if old else _integers(reader, 1, "pads")
    axes = _axes(reader, _integers(reader, 3, "axes") if reader.has(3) else list(range(rank)), rank)
    if len(pads) != 2 * len(axes):
        raise reader.error(f"pads {pads} do not fit {len(axes)} axes; export again")
    mode = reader.text("mode", "constant")
    if mode not in ("constant", "edge", "reflect", "wrap"):
        raise reader.error(f"mode={mode} is not supported, only constant, edge, reflect and wrap")
    ends = [(0, 0)] * rank
    for place, axis in enumerate(axes):
        ends[axis] = (pads[place], pads[len(axes) + place])
    _bounded(reader, [size + sum(end) for size, end in zip(value.shape, ends, strict=True)])
    _bounded(reader, [size + sum(max(part, 0) for part in end) for size, end in zip(value.shape, ends, strict=True)])
    cut = tuple(slice(max(-lo, 0), size - max(-hi, 0)) for size, (lo, hi) in zip(value.shape, ends, strict=True))
    value = value.moved(lambda array: array[cut])
    if not value.view.size:
        raise reader.error(f"pads {pads} leave nothing of its input; export again")
    width = [(max(lo, 0), max(hi, 0)) for lo, hi in ends]
    if mode != "constant":
        return value.moved(lambda array: np.pad(array, width, mode=mode))  # type: ignore[call-overload]
    if old:
        fill = reader.number("value", 0.0)
    else:
        constant = reader.constant(2, "value", finite=False) if reader.has(2) else np.zeros(1)
        if constant.size != 1:
            raise reader.error(f"its value must be one number, not {constant.size}")
        fill = float(constant.reshape(())[()])
    if not any(map(any, width)):
        return value
    fills = np.asarray(fill)
    if value.filled and not (value.fill == fill).all():
        fills = np.pad(value.fills, width, constant_values=fill)
    return replace(value, view=np.pad(value.view, width, constant_values=-1), fill=fills)


def read_gather(builder: Builder, reader: Reader) -> Value:
    """Gather with constant indices."""
    value = reader.value(0)
    axis = reader.axis(0, len(value.shape))
    indices = np.array(_integers(reader, 1, "indices"), np.int64).reshape(reader.constant(1, "indices").shape)
    size = value.shape[axis]
    if (indices < -size).any() or (indices >= size).any():
        raise reader.error(f"its indices lie outside axis {axis} of size {size}; export again")
    _bounded(reader, (*value.shape[:axis], *indices.shape, *value.shape[axis + 1 :]))
    return value.moved(lambda array: np.take(array, indices, axis))


def read_split(builder: Builder, reader: Reader) -> Result:
    """Split into parts of given sizes, or into equal ones (the last may be smaller from operator set 18 on)."""
    value = reader.value(0)
    axis = reader.axis(0, len(value.shape))
    size, count = value.shape[axis], len(reader.node.outputs)
    if reader.graph.opset < 13:
        sizes = list(reader.node.attributes.get("split", ()))
    else:
        sizes = _integers(reader, 1, "split") if reader.has(1) else []
    if not sizes:
        each = -(-size // count)
        sizes = [min(each, size - each * index) for index in range(count)]
    if len(sizes) != count or sum(sizes) != size or min(sizes) < 0:
        raise reader.error(f"parts of {sizes} do not fit axis {axis} of size {size}; export again")
    bounds = np.cumsum([0, *sizes])
    parts = [
        value.moved(partial(np.take, indices=np.arange(lo, hi), axis=axis)) for lo, hi in pairwise(bounds.tolist())
    ]
    return tuple(replace(part, exclusive=False) for part in parts)


def read_expand(builder: Builder, reader: Reader) -> Value:
    """Expand to a constant shape, by NumPy's rules of broadcasting."""
    value, shape = reader.value(0), reader.output_shape
    try:
        return value.moved(lambda array: np.broadcast_to(array, shape))
    except ValueError as error:
        raise reader.error(f"its input of shape {value.shape} does not fit {shape}; export again") from error


def read_tile(builder: Builder, reader: Reader) -> Value:
    """Tile with constant repeats."""
    value = reader.value(0)
    repeats = _integers(reader, 1, "repeats")
    if len(repeats) != len(value.shape):
        raise reader.error(f"repeats {repeats} do not fit its input of shape {value.shape}; export again")
    _bounded(reader, [size * count for size, count in zip(value.shape, repeats, strict=True)])
    return value.moved(lambda array: np.tile(array, repeats))


def _blocks(reader: Reader) -> tuple[Value, int, int, int, int, int]:
    value, size = reader.image()
    block = reader.integer("blocksize", 0)
    if len(size) != 2 or block < 1:
        raise reader.error(f"its input of shape {value.shape} and blocksize={block} do not fit; export again")
    return value, block, value.shape[0], value.shape[1], size[0], size[1]


def _block_order(reader: Reader) -> str:
    """Whether a pixel's place in its block is the outer part of its channel (DCR) or the inner one (CRD)."""
    mode = reader.text("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        raise reader.error(f"mode={mode} is not known; use DCR or CRD")
    return mode


def read_depth_to_space(builder: Builder, reader: Reader) -> Value:
    """DepthToSpace, in the orders DCR and CRD."""
    value, b, n, c, h, w = _blocks(reader)
    if c % (b * b):
        raise reader.error(f"its {c} channels are no multiple of {b * b}; export again")
    if _block_order(reader) == "DCR":
        split, axes = (n, b, b, c // (b * b), h, w), (0, 3, 4, 1, 5, 2)
    else:
        split, axes = (n, c // (b * b), b, b, h, w), (0, 1, 4, 2, 5, 3)
    return value.moved(lambda a: a.reshape(split).transpose(axes).reshape(n, c // (b * b), h * b, w * b))


def read_space_to_depth(builder: Builder, reader: Reader) -> Value:
    """SpaceToDepth, in the orders DCR (the only one until ``mode`` came) and CRD."""
    value, b, n, c, h, w = _blocks(reader)
    if h % b or w % b:
        raise reader.error(f"its map of {h}x{w} is no multiple of {b}; export again")
    split = (n, c, h // b, b, w // b, b)
    axes = (0, 3, 5, 1, 2, 4) if _block_order(reader) == "DCR" else (0, 1, 3, 5, 2, 4)
    return value.moved(lambda a: a.reshape(split).transpose(axes).reshape(n, c * b * b, h // b, w // b))


OPERATORS: dict[str, Callable[[Builder, Reader], Result]] = {
    "Cast": read_cast,
    "DepthToSpace": read_depth_to_space,
    "Dropout": read_dropout,
    "Expand": read_expand,
    "Flatten": read_reshape,
    "Gather": read_gather,
    "Identity": read_reshape,
    "Pad": read_pad,
    "Reshape": read_reshape,
    "Slice": read_slice,
    "SpaceToDepth": read_space_to_depth,
    "Split": read_split,
    "Squeeze": read_reshape,
    "Tile": read_tile,
    "Transpose": read_transpose,
    "Unsqueeze": read_reshape,
}
