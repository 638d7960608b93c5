"""Concat: the channels of several tensors after each other; parts of one tensor are only another view of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..floatnet import FloatConcat, Layout
from .builder import Builder, Source
from .function import Function, spread
from .reader import Reader
from .value import Value
from .view import to_map

__all__ = ["OPERATORS", "read_concat"]


def read_concat(builder: Builder, reader: Reader) -> Value:
    """Concat along the channels; along another axis only of parts of one tensor and constants."""
    values = [reader.value(index) for index in range(len(reader.node.inputs))]
    rank = len(values[0].shape)
    axis = reader.axis(1, rank)
    shapes = {value.shape[:axis] + value.shape[axis + 1 :] for value in values}
    if len(shapes) > 1 or any(len(value.shape) != rank for value in values):
        raise reader.error("the shapes of its inputs do not fit together; export again")
    values = [value for value in values if value.view.size]
    if len(values) == 1:
        return values[0]
    view = _one_tensor(values, axis)
    if view is not None:
        return replace(view, node=reader.node)
    if axis == 0 and any(value.shape[0] == 1 for value in values):
        raise reader.error("axis=0 is the batch and is not supported, only the axis of channels")
    total = sum(value.shape[axis] for value in values)
    shape = (*values[0].shape[:axis], total, *values[0].shape[axis + 1 :])
    layout = _layout(reader, shape, axis)
    best = builder.preferred(tuple(values))
    if best is not layout and not any(builder.fits(value, layout) for value in values):
        raise reader.error(f"axis={axis} of shape {shape} is not supported, only the axis of channels")
    if any(value.base is None for value in values):
        raise reader.error("it joins constants with several tensors, which is not supported; use Pad")
    sources = [builder.map(reader.node, value, layout) for value in values]
    plain = [_positive(builder, reader, source) for source in sources]
    layer = FloatConcat(
        builder.layer_name(reader.node),
        tuple(source.base.name for source in plain),
        tuple(source.shape for source in plain),
    )
    base = builder.append(layer)
    pixels = layer.output_shape[0] * layer.output_shape[1]
    factor, offset = (np.concatenate(parts) for parts in zip(*((s.factor, s.offset) for s in plain), strict=True))
    function = Function.of_affine(spread(factor, pixels), spread(offset, pixels))
    return replace(builder.output(base, shape, layout, reader.node), function=function)


def _one_tensor(values: list[Value], axis: int) -> Value | None:
    """The joined view where all parts are of one tensor with one function, or constants."""
    real = [value for value in values if value.base is not None]
    if not real or not all(_alike(real[0], value) for value in real):
        return None
    view = np.concatenate([value.view for value in values], axis)
    fill = np.concatenate([value.fills for value in values], axis) if view.min() < 0 else np.zeros(())
    return replace(real[0], view=view, fill=fill, exclusive=False)


def _alike(one: Value, other: Value) -> bool:
    return one.base is other.base and (
        one.function is other.function or (one.function.identity and other.function.identity)
    )


def _positive(builder: Builder, reader: Reader, source: Source) -> Source:
    """A scaling that keeps the order of values may stay pending behind the layer."""
    return source if (source.factor > 0).all() else builder.unscaled(reader.node, source)


def _layout(reader: Reader, shape: tuple[int, ...], axis: int) -> Layout:
    """Which layout makes ``axis`` of the result's ``shape`` the channels."""
    place = np.arange(shape[axis]).reshape([-1 if other == axis else 1 for other in range(len(shape))])
    for layout in Layout:
        index = to_map(np.broadcast_to(place, shape), layout)
        if index is not None and index.shape[2] == shape[axis] and (index == index[0, 0]).all():
            return layout
    raise reader.error(f"axis={axis} of shape {shape} is not supported, only the axis of channels")


OPERATORS = {"Concat": read_concat}
