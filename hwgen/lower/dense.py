"""Gemm and MatMul with constant weights: dense layers on vectors, 1x1 convolutions on the last axis of maps."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from ..expression import Operation
from ..floatnet import FloatConv, Layout
from .affine import absorbed
from .builder import Builder
from .coded import IntArray, recoded
from .conv import convolution
from .elementwise import composed
from .function import Array, apply
from .reader import Reader
from .value import Value

__all__ = ["OPERATORS", "dense", "read_gemm", "read_matmul"]


def dense(builder: Builder, reader: Reader, value: Value, weight: Array, levels: IntArray | None) -> Value:
    """``value @ weight`` over the last axis. weight, levels: (features, outputs)."""
    features, outputs = weight.shape
    if not value.shape or value.shape[-1] != features:
        raise reader.error(f"its input of shape {value.shape} does not fit {features} features; export again")
    shape = (*value.shape[:-1], outputs)
    if prod(value.shape[:-1]) == 1:
        return _vector(builder, reader, value, weight, levels, shape)
    source = builder.source(reader.node, value, Layout.CHANNEL_LAST)
    if source.index.shape[2] != features:
        raise reader.error(f"its input has shape {value.shape}, but only maps and vectors are supported")
    layer = FloatConv("", "", weight.T[:, None, None, :], np.zeros(outputs), (0, 0, 0), np.zeros(features))
    layer = replace(layer, coded=recoded(None if levels is None else levels.T[:, None, None, :], layer.weight))
    base = convolution(builder, reader.node, source, layer)
    return builder.output(base, shape, Layout.CHANNEL_LAST, reader.node)


def _vector(
    builder: Builder, reader: Reader, value: Value, weight: Array, levels: IntArray | None, shape: tuple[int, ...]
) -> Value:
    """A kernel over the whole map that the vector was: the weights follow, in whatever order the view has it."""
    value = builder.affine(reader.node, value)
    base, affine = value.base, value.function.affine
    if base is None:
        raise reader.error("it does not depend on the input; simplify the model before export")
    base_shape = builder.settle(base)
    assert affine is not None
    places, seen = builder.places(value).reshape(-1), value.view.reshape(-1) >= 0

    def placed(weight: np.ndarray) -> np.ndarray:
        own = np.zeros((prod(base_shape), weight.shape[1]), weight.dtype)
        np.add.at(own, places[seen], weight[seen])
        return own

    own = placed(weight)
    bias = value.fills.reshape(-1)[~seen] @ weight[~seen]
    factor, offset = (np.nan_to_num(builder.per_element(base, part)) for part in affine)
    bias = bias + offset @ own
    own = own * factor[:, None]
    layer = FloatConv(
        builder.layer_name(reader.node),
        base.name,
        own.T.reshape(-1, *base_shape),
        bias,
        base_shape,
        np.zeros(base_shape[2]),
        coded=recoded(
            None if levels is None else placed(levels).T.reshape(-1, *base_shape), own.T.reshape(-1, *base_shape)
        ),
    )
    made = builder.append(layer, (value,))
    return builder.output(made, shape, Layout.CHANNEL_LAST, reader.node)


def read_gemm(builder: Builder, reader: Reader) -> Value:
    """``alpha * A @ B + beta * C`` with constant B, transposed or not, and an optional constant C."""
    value = reader.value(0)
    if value.base is None:
        raise reader.error("its first input must be the data and its second the weight; swap them")
    weight, levels = reader.constant(1, "weight") * reader.number("alpha", 1.0), reader.levels(1)
    if weight.ndim != 2 or len(value.shape) != 2:
        raise reader.error(f"its operands of shapes {value.shape} and {weight.shape} must be matrices; export again")
    if reader.integer("transB", 0):
        weight, levels = weight.T, levels if levels is None else levels.T
    if reader.integer("transA", 0):
        value = value.moved(np.transpose)
    result = dense(builder, reader, value, weight, levels)
    if not reader.has(2):
        return result
    bias = Value.of_constant(reader.constant(2, "bias") * reader.number("beta", 1.0))
    biased = composed(builder, reader.node, lambda x, b: apply(Operation.ADD, x, b), (result, bias))
    assert biased is not None
    if biased.shape != result.shape:
        raise reader.error(f"its bias of shape {bias.shape} does not fit its output {result.shape}; export again")
    return absorbed(builder, biased)


def read_matmul(builder: Builder, reader: Reader) -> Value:
    """``x @ B`` or ``A @ x`` with a constant matrix."""
    if reader.value(0).base is not None and reader.value(1).base is not None:
        raise reader.error("it multiplies two tensors that depend on the input, which is not supported")
    left = reader.value(0).base is None
    value, weight = reader.value(int(left)), reader.constant(int(not left), "weight")
    if weight.ndim < 2 or weight.size != weight.shape[-1] * weight.shape[-2] or not value.shape:
        raise reader.error(f"its weight of shape {weight.shape} must be one matrix (features, outputs)")
    shape = reader.output_shape
    weight = weight.reshape(weight.shape[-2:])
    levels = reader.levels(int(not left))
    levels = levels if levels is None else levels.reshape(weight.shape)
    turned = levels if levels is None else levels.T
    if not left:
        result = dense(builder, reader, value, weight, levels)
    elif len(value.shape) == 1:
        result = dense(builder, reader, value, weight.T, turned)
    else:
        # A @ x is the transpose of x.T @ A.T.
        swapped = dense(builder, reader, value.moved(lambda array: array.swapaxes(-1, -2)), weight.T, turned)
        result = swapped.moved(lambda array: array.swapaxes(-1, -2))
    return result.moved(lambda array: array.reshape(shape)) if prod(shape) == prod(result.shape) else result


OPERATORS = {"Gemm": read_gemm, "MatMul": read_matmul}
