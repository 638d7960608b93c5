"""Gemm and MatMul: fully connected layers with constant weights."""

from __future__ import annotations

import numpy as np

from .reader import Reader
from .steps import DenseStep

__all__ = ["OPERATORS", "read_gemm", "read_matmul"]


def _check_features(reader: Reader, features: int) -> None:
    shape = reader.input_shape
    if reader.node.inputs[0] != reader.data:
        raise reader.error("its first input must be the data and its second the weight; swap them")
    if shape[-1] != features or any(size != 1 for size in shape[:-1]):
        raise reader.error(f"its input has shape {shape}, but one vector of {features} values is needed; flatten first")


def read_gemm(reader: Reader) -> DenseStep:
    """``alpha * x @ B + beta * C`` with constant B, transposed or not, and an optional constant C."""
    reader.only("transA", reader.integer("transA", 0), 0)
    weight = reader.constant(1, "weight") * reader.number("alpha", 1.0)
    if not reader.integer("transB", 0):
        weight = weight.T
    outputs, features = weight.shape
    _check_features(reader, features)
    bias = reader.constant(2, "bias") * reader.number("beta", 1.0) if reader.has(2) else np.zeros(1)
    return DenseStep(reader.node, weight, np.broadcast_to(bias, (1, outputs))[0].copy(), reader.output_shape)


def read_matmul(reader: Reader) -> DenseStep:
    """``x @ B`` with constant B (features, outputs), leading axes of one allowed."""
    if reader.is_constant(0):
        raise reader.error("its first input must be the data and its second the weight; swap them")
    weight = reader.constant(1, "weight")
    if weight.ndim < 2 or weight.size != weight.shape[-1] * weight.shape[-2]:
        raise reader.error(f"its weight of shape {weight.shape} must be one matrix (features, outputs)")
    features, outputs = weight.shape[-2:]
    _check_features(reader, features)
    return DenseStep(reader.node, weight.reshape(features, outputs).T, np.zeros(outputs), reader.output_shape)


OPERATORS = {"Gemm": read_gemm, "MatMul": read_matmul}
