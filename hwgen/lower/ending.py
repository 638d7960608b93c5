"""Softmax, LogSoftmax and ArgMax at the end: left away, because the largest logit stays the largest."""

from __future__ import annotations

from .reader import Reader
from .steps import EndStep

__all__ = ["OPERATORS", "read_ending"]


def read_ending(reader: Reader) -> EndStep:
    """An operator over the classes; over the frames of a batch it would mean something else."""
    default = 0 if reader.node.operator == "ArgMax" else 1 if reader.graph.opset < 13 else -1
    axis = reader.integer("axis", default) % len(reader.input_shape)
    if axis == 0:
        raise reader.error("axis=0 is the batch and is not supported, only an axis of classes")
    return EndStep(reader.node)


OPERATORS = {"ArgMax": read_ending, "LogSoftmax": read_ending, "Softmax": read_ending}
