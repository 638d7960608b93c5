"""A TFLite model as an ONNX model, operator by operator."""

from __future__ import annotations

import onnx

from . import layers, movement
from .schema import read_schema
from .writer import Writer

__all__ = ["to_onnx"]

_OPERATORS = {**layers.OPERATORS, **movement.OPERATORS}

DOMAIN = "tflite"
"""Where an operator without an equivalent goes, so that it is refused by name like any other."""


def to_onnx(data: bytes) -> onnx.ModelProto:
    """The TFLite model in ``data`` as an ONNX model for a batch of one, quantized tensors in the QDQ form.

    Raises :class:`HwgenError`, one sentence, when it is damaged, has what ONNX has not, or the package ``tflite`` is
    not installed.
    """
    model = read_schema(data)
    writer = Writer(model)
    inputs = writer.add_inputs()
    for index, operator in enumerate(model.operators):
        writer.operator, writer.index = operator, index
        convert = _OPERATORS.get(operator.code)
        if convert is not None:
            convert(writer)
            continue
        values = [writer.value(place) if writer.has(place) else "" for place in range(len(operator.inputs))]
        made = writer.nodes_of(operator.code, values, len(operator.outputs), domain=DOMAIN)
        for place, value in enumerate(made):
            writer.make(value, place)
    return writer.finished(inputs)
