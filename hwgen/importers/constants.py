"""Constant folding: nodes whose inputs are all constants are evaluated once, at import.

Exporters write weights through Reshape, Transpose or DequantizeLinear, and target shapes through
Shape-Gather-Concat chains; afterwards the graph holds only what depends on the input. ONNX's own reference evaluator
does the arithmetic, so every operator-set version is right.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from ..errors import HwgenError
from .quantizers import is_quantizer, quantized

__all__ = ["CODE_TYPES", "evaluate_constant"]

Array = npt.NDArray[np.generic]
Reals = npt.NDArray[np.float64]

# fmt: off
_FOLDED = frozenset({
    "Abs", "Add", "Cast", "Ceil", "Concat", "ConstantOfShape", "DequantizeLinear", "Div", "Exp", "Expand", "Flatten",
    "Floor", "Gather", "Identity", "Max", "Min", "Mul", "Neg", "Pow", "QuantizeLinear", "Reciprocal", "Reshape",
    "Shape", "Slice",
    "Split", "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze",
})
# fmt: on


CODE_TYPES = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-(1 << 15), (1 << 15) - 1),
    "uint16": (0, (1 << 16) - 1),
    "int4": (-8, 7),
    "uint4": (0, 15),
    "int2": (-2, 1),
    "uint2": (0, 3),
}
"""Smallest and largest code of every integer type that quantizes, by the name of the NumPy type."""


def evaluate_constant(
    node: onnx.NodeProto,
    constants: Mapping[str, Array],
    shapes: Mapping[str, tuple[int, ...]],
    opset: int,
    label: str,
) -> dict[str, Array] | None:
    """The outputs of ``node`` by name when they are the same for every input, else None.

    shapes: of every tensor whose shape is known, all of a bearable size; ``Shape`` of one of them counts as constant
    (the batch is 1). Raises :class:`HwgenError`, naming the node as ``label``, when a node that should be constant
    cannot be evaluated.
    """
    if is_quantizer(node):
        known = all(name in constants for name in node.input[:1]) and node.output[0] in shapes
        return {node.output[0]: quantized(node, constants, label).values} if known else None
    if node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type == "Constant":
        return {node.output[0]: _constant(node, label)}
    if node.op_type == "Shape" and node.input[0] in shapes:
        bounds = {a.name: a.i for a in node.attribute}
        shape = shapes[node.input[0]][bounds.get("start", 0) : bounds.get("end")]
        return {node.output[0]: np.array(shape, np.int64)}
    inputs = [name for name in node.input if name]
    if node.op_type not in _FOLDED or not inputs or any(name not in constants for name in inputs):
        return None
    if any(name not in shapes for name in node.output if name):
        return None  # not evaluated before its size is known: broadcasting can make much of little
    feeds = {name: constants[name] for name in inputs}
    if node.op_type == "QuantizeLinear":
        return _quantize(node, feeds, label)
    return _dequantize(node, feeds, label) if node.op_type == "DequantizeLinear" else _run(node, feeds, opset, label)


def _constant(node: onnx.NodeProto, label: str) -> Array:
    for attribute in node.attribute:
        if attribute.name == "value":
            try:
                return numpy_helper.to_array(attribute.t)
            except (ValueError, TypeError, KeyError) as error:
                raise HwgenError(f"{label}: its tensor cannot be read; export the model again") from error
        if attribute.name in ("value_float", "value_floats"):
            return np.array(helper.get_attribute_value(attribute), np.float32)
        if attribute.name in ("value_int", "value_ints"):
            return np.array(helper.get_attribute_value(attribute), np.int64)
    raise HwgenError(f"{label}: only constants of dense numbers are supported, store it as a plain tensor")


# The reference evaluator has these two from set 19 on only.


def _dequantize(node: onnx.NodeProto, feeds: dict[str, Array], label: str) -> dict[str, Array]:
    """``(x - zero_point) * scale`` per tensor or along ``axis``."""
    codes, scale, zero = _spread(node, feeds, label)
    return {node.output[0]: np.asarray((codes - zero) * scale, np.float32)}


def _quantize(node: onnx.NodeProto, feeds: dict[str, Array], label: str) -> dict[str, Array]:
    """``clip(round(x / scale) + zero_point)`` to the zero point's type, unsigned 8 bits where there is none."""
    x, scale, zero = _spread(node, feeds, label)
    given = feeds[node.input[2]].dtype if len(node.input) > 2 and node.input[2] else np.dtype(np.uint8)
    limits = CODE_TYPES.get(given.name)
    if limits is None:
        raise HwgenError(f"{label}: quantization to {given.name} is not supported, use int8 or uint8")
    # Zero points of 4 bits have types of their own, in which ONNX cannot write the result as an initializer again.
    wide = np.dtype(np.int8 if given.name.startswith("int") else np.uint8) if given.itemsize == 1 else given
    with np.errstate(all="ignore"):
        codes = np.nan_to_num(np.clip(np.rint(x / scale) + zero, *limits))
    return {node.output[0]: np.asarray(codes, wide)}


def _spread(node: onnx.NodeProto, feeds: dict[str, Array], label: str) -> tuple[Reals, Reals, Reals]:
    """Data, scale and zero point of a QuantizeLinear or DequantizeLinear, which broadcast to the data's shape."""
    attributes = {a.name: a.i for a in node.attribute}
    data, scale, *given = (feeds[name].astype(np.float64) for name in node.input if name)
    zero = given[0] if given else np.zeros(())
    if attributes.get("block_size") or scale.ndim > 1:
        raise HwgenError(f"{label}: scales per block are not supported, use one per tensor or channel")
    axis = attributes.get("axis", 1)
    if scale.size > 1 and not (-data.ndim <= axis < data.ndim and data.shape[axis] == scale.size):
        raise HwgenError(f"{label}: {scale.size} scales do not fit axis {axis} of shape {data.shape}; export again")
    if zero.size not in (1, scale.size) or not scale.size:
        raise HwgenError(f"{label}: {zero.size} zero points do not fit {scale.size} scales; export again")
    spread = [1] * data.ndim
    if scale.size > 1:
        spread[axis] = scale.size
    return data, scale.reshape(spread), zero.reshape(spread if zero.size > 1 else [1] * data.ndim)


def _run(node: onnx.NodeProto, feeds: dict[str, Array], opset: int, label: str) -> dict[str, Array]:
    # Imported here because it takes as long as everything else together and few models need it.
    from onnx.reference import ReferenceEvaluator

    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in feeds.items()
    ]
    names = [name for name in node.output if name]
    outputs = [helper.make_value_info(name, onnx.TypeProto()) for name in names]
    graph = helper.make_graph([node], "constant", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        with np.errstate(all="ignore"):  # a division by zero shows as a weight that is not finite, refused where used
            results = ReferenceEvaluator(model).run(None, feeds)
    except Exception as error:  # the evaluator raises whatever its NumPy code raises
        raise HwgenError(f"{label}: this constant cannot be evaluated; simplify the model before export") from error
    return {name: np.asarray(result) for name, result in zip(names, results, strict=True)}
