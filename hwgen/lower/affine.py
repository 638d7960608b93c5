"""BatchNormalization and Add, Sub, Mul, Div with a constant: ``x * factor + offset`` element by element."""

from __future__ import annotations

import numpy as np

from .reader import Reader
from .steps import AffineStep, Array

__all__ = ["OPERATORS", "read_batch_normalization"]


def read_batch_normalization(reader: Reader) -> AffineStep:
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias`` per channel, with the statistics of training."""
    reader.only("training_mode", reader.integer("training_mode", 0), 0)
    reader.only("spatial", reader.integer("spatial", 1), 1)
    shape = reader.input_shape
    scale, bias, mean, variance = (
        reader.constant(index, what) for index, what in enumerate(("scale", "bias", "mean", "variance"), 1)
    )
    if any(values.shape != shape[1:2] for values in (scale, bias, mean, variance)):
        raise reader.error(f"its parameters must be one value for each of {shape[1]} channels; export again")
    variance = variance + reader.number("epsilon", 1e-5)
    if (variance <= 0).any():
        raise reader.error("its variance plus epsilon must be above zero; train or export again")
    factor = scale / np.sqrt(variance)
    spread = (shape[1], *(1 for _ in shape[2:]))
    return AffineStep(reader.node, factor.reshape(spread), (bias - mean * factor).reshape(spread))


def _operand(reader: Reader) -> Array:
    """The constant operand of a binary operator, which must not make the tensor larger."""
    constant = reader.constant(0 if reader.is_constant(0) else 1, "operand")
    shape = reader.input_shape
    try:
        fits = np.broadcast_shapes(shape, constant.shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise reader.error(f"its constant of shape {constant.shape} does not fit its input of shape {shape}")
    return constant


def _read_add(reader: Reader) -> AffineStep:
    return AffineStep(reader.node, np.ones(()), _operand(reader))


def _read_sub(reader: Reader) -> AffineStep:
    operand = _operand(reader)
    if reader.is_constant(0):
        return AffineStep(reader.node, -np.ones(()), operand)
    return AffineStep(reader.node, np.ones(()), -operand)


def _read_mul(reader: Reader) -> AffineStep:
    return AffineStep(reader.node, _operand(reader), np.zeros(()))


def _read_div(reader: Reader) -> AffineStep:
    operand = _operand(reader)
    if reader.is_constant(0):
        raise reader.error("a constant divided by data is not supported; only data divided by a constant")
    if (operand == 0).any():
        raise reader.error("its constant divides by zero; train or export again")
    return AffineStep(reader.node, 1 / operand, np.zeros(()))


OPERATORS = {
    "Add": _read_add,
    "BatchNormalization": read_batch_normalization,
    "Div": _read_div,
    "Mul": _read_mul,
    "Sub": _read_sub,
}
