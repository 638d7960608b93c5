"""ReduceMean, ReduceMax and ReduceSum over a map's height, width or both, wherever the model has those axes."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from ..expression import Operation
from ..floatnet import FloatPool, Layout, PoolKind
from .affine import absorbed
from .builder import Builder
from .dense import dense
from .elementwise import composed
from .function import apply
from .pool import pool
from .reader import Reader
from .value import Value

__all__ = ["OPERATORS", "read_reduce"]


def read_reduce(builder: Builder, reader: Reader) -> Value:
    """One window over the axes that vanish; a mean or a sum over the channels alone is a 1x1 convolution."""
    value, axes = reader.value(0), _axes(reader)
    if not axes:
        return value
    keep = bool(reader.integer("keepdims", 1))
    final = tuple(1 if axis in axes else size for axis, size in enumerate(value.shape) if keep or axis not in axes)
    count = prod(value.shape[axis] for axis in axes)
    operator = reader.node.operator
    if count == 1:
        return value.moved(lambda array: array.reshape(final))
    if value.shape[0] != 1:
        # No batch axis: the same as with one of size 1 in front.
        value, axes = value.moved(lambda array: array[None]), {axis + 1 for axis in axes}
    kind = PoolKind.MAX if operator == "ReduceMax" else PoolKind.AVERAGE
    result = _spatial(builder, reader, value, axes, kind)
    if result is None:
        if kind is PoolKind.MAX or value.base is None:
            raise reader.error(f"axes {sorted(axes)} of shape {value.shape} are not supported, only height and width")
        result = _channels(builder, reader, value, axes, count)
    if operator == "ReduceSum":
        scaled = composed(builder, reader.node, lambda x: apply(Operation.MUL, x, count), (result,))
        assert scaled is not None
        result = absorbed(builder, replace(scaled, exclusive=True))
    return result.moved(lambda array: array.reshape(final))


def _axes(reader: Reader) -> set[int]:
    """The axes that vanish; an attribute, or an input from operator set 18 on (13 for sums)."""
    rank = len(reader.value(0).shape)
    given = reader.node.attributes.get("axes")
    if given is None and reader.has(1):
        given = [int(axis) for axis in reader.constant(1, "axes").reshape(-1)]
    if not given:
        return set() if reader.integer("noop_with_empty_axes", 0) else set(range(rank))
    if any(not -rank <= axis < rank for axis in given):
        raise reader.error(f"axes {list(given)} do not fit its input of {rank} axes; export again")
    return {axis % rank for axis in given}


def _spatial(builder: Builder, reader: Reader, value: Value, axes: set[int], kind: PoolKind) -> Value | None:
    """A pool, where the axes are height, width or both in the layout that the map has; else None."""
    rank = len(value.shape)
    if rank not in (3, 4) or value.shape[0] != 1:
        return None
    places = {Layout.CHANNEL_FIRST: range(2, rank), Layout.CHANNEL_LAST: range(1, rank - 1)}
    fitting = [layout for layout in Layout if axes <= {0, *places[layout]}]
    if not fitting:
        return None
    best = builder.preferred((value,))
    if best not in fitting and builder.fits(value, best):
        return None
    layout = best if best in fitting else fitting[0]
    source = builder.map(reader.node, value, layout)
    height, width, channels = source.shape
    # A sequence is a map of one row: its axis is the width.
    own = [axis in axes for axis in places[layout]]
    kernel = (height if own[0] else 1, width if own[1] else 1) if rank == 4 else (1, width)
    layer = FloatPool("", "", kind, kernel, source.shape, kernel)
    made = pool(builder, reader, source, layer, (1, channels, *layer.output_shape[:2]))
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(value.shape))
    if layout is Layout.CHANNEL_LAST:
        made = made.moved(lambda array: array.transpose(0, 2, 3, 1))
    return made.moved(lambda array: array.reshape(shape))


def _channels(builder: Builder, reader: Reader, value: Value, axes: set[int], count: int) -> Value:
    """A mean over the channels, or over everything: weights that are all alike."""
    kept = [axis for axis in range(len(value.shape)) if axis not in axes]
    order = (*kept, *sorted(axes))
    rows = value.moved(lambda array: array.transpose(order).reshape(*(array.shape[axis] for axis in kept), count))
    if rows.shape == (count,):
        rows = rows.moved(lambda array: array[None])
    return dense(builder, reader, rows, np.full((count, 1), 1 / count), None)


OPERATORS = dict.fromkeys(("ReduceMax", "ReduceMean", "ReduceSum"), read_reduce)
