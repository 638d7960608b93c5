"""Operators that only rename, reshape or rearrange: they cost nothing, the layers' weights take the new order."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from onnx import TensorProto

from .reader import Reader
from .steps import ReshapeStep, Step, TransposeStep

__all__ = ["OPERATORS", "read_cast", "read_dropout", "read_reshape", "read_transpose"]

_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)


def read_reshape(reader: Reader) -> ReshapeStep:
    """Any operator that keeps the order of values; the importer knows the new shape."""
    if reader.node.inputs[0] != reader.data:
        raise reader.error("its shape depends on the data; export the model with fixed shapes")
    before, after = reader.input_shape, reader.output_shape
    if prod(before) != prod(after):
        raise reader.error(f"its input of shape {before} does not fit its output of shape {after}; export again")
    return ReshapeStep(reader.node, after)


def read_transpose(reader: Reader) -> TransposeStep:
    """Transpose; the layers after it decide whether the new order can be had for nothing."""
    rank = len(reader.input_shape)
    axes = reader.integers("perm", tuple(reversed(range(rank))), rank)
    if sorted(axes) != list(range(rank)):
        raise reader.error(f"perm={list(axes)} must be an order of {rank} axes; export the model again")
    return TransposeStep(reader.node, axes)


def read_dropout(reader: Reader) -> ReshapeStep:
    """Dropout, which does nothing outside training."""
    if reader.has(2) and reader.constant(2, "training_mode").any():
        raise reader.error("training_mode=1 is not supported; export the model for inference")
    return read_reshape(reader)


def read_cast(reader: Reader) -> ReshapeStep:
    """Cast from one float type to another."""
    kind = reader.integer("to", TensorProto.FLOAT)
    if kind not in _FLOATS:
        name = TensorProto.DataType.Name(kind) if kind in TensorProto.DataType.values() else str(kind)
        raise reader.error(f"to={name} is not supported, only casts to a float type")
    return read_reshape(reader)


OPERATORS: dict[str, Callable[[Reader], Step]] = {
    "Cast": read_cast,
    "Dropout": read_dropout,
    "Flatten": read_reshape,
    "Identity": read_reshape,
    "Reshape": read_reshape,
    "Squeeze": read_reshape,
    "Transpose": read_transpose,
    "Unsqueeze": read_reshape,
}
