"""Levels of constants: the integers that quantized weights are multiples of, kept beside their float values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from .constants import evaluate_constant
from .quantizers import is_quantizer, quantized

__all__ = ["evaluate_levels"]

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]

_MOVES = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


def evaluate_levels(
    node: onnx.NodeProto,
    constants: Mapping[str, Array],
    levels: Mapping[str, IntArray],
    shapes: Mapping[str, tuple[int, ...]],
    opset: int,
    label: str,
) -> dict[str, IntArray]:
    """Levels of the constant that ``node`` makes, by its name; empty where it has none. Arguments: of the constants
    so far, as :func:`~hwgen.importers.constants.evaluate_constant` takes them."""
    if is_quantizer(node):
        found = quantized(node, constants, label).levels
        return {} if found is None else {node.output[0]: found}
    if node.domain not in ("", "ai.onnx"):
        return {}
    if node.op_type == "DequantizeLinear":
        # The zero point is subtracted from the codes before the scale multiplies: with a scale of 1 that is all.
        ones = {node.input[1]: np.ones_like(constants[node.input[1]])}
        plain = evaluate_constant(node, {**constants, **ones}, shapes, opset, label)
    elif node.op_type in _MOVES and node.input[0] in levels:
        plain = evaluate_constant(node, {**constants, node.input[0]: levels[node.input[0]]}, shapes, opset, label)
    else:
        return {}
    return {} if plain is None else {node.output[0]: plain[node.output[0]].astype(np.int64)}
