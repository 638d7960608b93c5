"""Softmax, LogSoftmax, Hardmax, ArgMax and TopK at the end: left away, because the largest logit stays the largest."""

from __future__ import annotations

from dataclasses import replace

from .builder import Builder
from .reader import Reader
from .value import Value

__all__ = ["OPERATORS", "read_ending"]


def read_ending(builder: Builder, reader: Reader) -> Value:
    """An operator over the classes; over the frames of a batch it would mean something else."""
    operator = reader.node.operator
    value = reader.value(0)
    default = {"ArgMax": 0, "TopK": -1}.get(operator, 1 if reader.graph.opset < 13 else -1)
    if not value.shape:
        raise reader.error("its input has no axes; export the model again")
    if reader.axis(default, len(value.shape)) == 0:
        raise reader.error("axis=0 is the batch and is not supported, only an axis of classes")
    if operator == "TopK" and not reader.integer("largest", 1):
        raise reader.error("largest=0 is not supported, only the largest values")
    return replace(value, ended=value.ended or reader.node)


OPERATORS = dict.fromkeys(("ArgMax", "Hardmax", "LogSoftmax", "Softmax", "TopK"), read_ending)
