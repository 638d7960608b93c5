"""ONNX files (operator sets 7 and up) as a :class:`FloatGraph`."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper
from onnx.shape_inference import InferenceError, infer_shapes

from ..errors import HwgenError
from .constants import evaluate_constant
from .files import load_external_data, read_model
from .graph import MAX_ELEMENTS, FloatGraph, Node
from .levels import evaluate_levels
from .quantizers import DOMAINS, as_identities

__all__ = ["MIN_OPSET", "load_model"]

MIN_OPSET = 7
"""From here on broadcasting in ONNX is NumPy's; ``onnx.version_converter`` converts older models."""

Array = npt.NDArray[np.generic]
Constants = dict[str, Array]
Levels = dict[str, npt.NDArray[np.int64]]
Shapes = dict[str, tuple[int, ...]]

_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
_GRAPHS = (AttributeProto.GRAPH, AttributeProto.GRAPHS)


def load_model(path: str | os.PathLike[str]) -> FloatGraph:
    """The model in the ONNX file ``path``, for a batch of one, constants evaluated and shapes known.

    Raises :class:`HwgenError` with one sentence for a file that is missing, damaged or not ONNX, for an operator set
    older than 7 or newer than the installed ``onnx`` knows, for a dimension other than the batch that is not fixed, and
    for tensors of more than :data:`~hwgen.importers.graph.MAX_ELEMENTS` elements.
    Operators are not judged here; ``hwgen.lower`` does that.
    """
    path = Path(path)
    model = read_model(path)
    try:
        return _convert(model, path)
    except HwgenError as error:
        raise HwgenError(f"{path}: {error}") from error.__cause__
    except UnicodeDecodeError as error:  # from the checker, for text that nothing else reads
        raise HwgenError(f"{path} has a name that is not text, it is damaged; export the model again") from error


def _convert(model: onnx.ModelProto, path: Path) -> FloatGraph:
    opset = _opset(model)
    graph = model.graph
    if model.functions:
        raise HwgenError("the model has local functions; inline them (onnx.inliner) before export")
    if graph.sparse_initializer:
        raise HwgenError("the model has sparse weights; export them as dense tensors")
    _check_operators(graph, opset)
    sources = _inputs(graph)
    if not graph.output:
        raise HwgenError("the model has no outputs; export the model again")
    load_external_data(model, path.parent)
    for sink in graph.output:
        _complete_output(sink, sources[0][0])
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise HwgenError(f"the model is not valid ONNX: {_first_line(error)}") from error

    sinks = tuple(dict.fromkeys(value.name for value in graph.output))
    _modernise(model, {source.name for source, _ in sources})
    for source, shape in sources:
        for axis, size in zip(source.type.tensor_type.shape.dim, shape, strict=True):
            axis.dim_value = size  # the batch axis may have been free
    # Declared shapes may name the batch axis; inference makes them again, for a batch of one.
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    del graph.value_info[:]
    constants, levels, shapes = _infer(model, opset)
    nodes = _live(graph.node, sinks)
    used = {name for node in nodes for name in node.input}
    for sink in sinks:
        if not any(sink in node.output for node in nodes):
            raise HwgenError(f"the output {sink!r} does not depend on the input; export a trained model")
    for source, _ in sources:
        if source.name not in used:
            raise HwgenError(f"the output does not depend on the input {source.name!r}; export a trained model")
    kept = {name: constants[name] for name in constants if name in used}
    for array in kept.values():
        array.flags.writeable = False
    names = tuple(source.name for source, _ in sources)
    coded = {name: levels[name] for name in kept if name in levels}
    return FloatGraph(path.stem, opset, names, sinks, tuple(map(_node, nodes)), kept, shapes, coded)


def _opset(model: onnx.ModelProto) -> int:
    versions = {entry.domain: entry.version for entry in model.opset_import}
    version = versions.get("", versions.get("ai.onnx", 0))
    newest = onnx.defs.onnx_opset_version()
    if not MIN_OPSET <= version <= newest:
        raise HwgenError(f"ONNX operator set {version} is not supported; export with one from {MIN_OPSET} to {newest}")
    return version


def _check_operators(graph: onnx.GraphProto, opset: int) -> None:
    """Names the node whose operator does not exist; the checker of ``onnx`` would only name the operator."""
    for node in graph.node:
        if not node.output or not node.output[0]:
            raise HwgenError(f"{node.op_type} node {node.name!r} has no output; export the model again")
        standard = node.domain in ("", "ai.onnx")
        if standard and not onnx.defs.has(node.op_type, opset, ""):
            raise HwgenError(f"{_label(node)}: there is no such operator in ONNX operator set {opset}")


def _inputs(graph: onnx.GraphProto) -> list[tuple[onnx.ValueInfoProto, tuple[int, ...]]]:
    """The inputs and their shapes for a batch of one. Until IR version 4 the weights were listed as inputs too."""
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if not inputs:
        raise HwgenError("the model has no inputs; export the model again")
    return [(source, _input_shape(source)) for source in inputs]


def _input_shape(source: onnx.ValueInfoProto) -> tuple[int, ...]:
    kind = source.type.tensor_type
    if kind.elem_type not in _FLOATS:
        known = source.type.HasField("tensor_type") and kind.elem_type in TensorProto.DataType.values()
        what = TensorProto.DataType.Name(kind.elem_type).lower() if known else "no tensor"
        raise HwgenError(f"input {source.name!r} is {what}; export the model with a float tensor as input")
    if not kind.HasField("shape") or not 2 <= len(kind.shape.dim) <= 4:
        raise HwgenError(f"input {source.name!r} must have 2 to 4 axes, batch first; export it with a fixed shape")
    batch, *sizes = kind.shape.dim
    if batch.HasField("dim_value") and batch.dim_value != 1:
        raise HwgenError(f"input {source.name!r} has a batch of {batch.dim_value}; export with batch 1 or a free batch")
    for axis, size in enumerate(sizes, 1):
        if not size.HasField("dim_value") or size.dim_value < 1:
            what = repr(size.dim_param) if size.dim_param else str(size.dim_value)
            raise HwgenError(f"input {source.name!r}: axis {axis} is {what}; export the model with a fixed size")
    shape = (1, *(size.dim_value for size in sizes))
    if prod(shape) > MAX_ELEMENTS:
        raise HwgenError(f"input {source.name!r} of shape {shape} is too large: more than {MAX_ELEMENTS} values")
    return shape


def _complete_output(sink: onnx.ValueInfoProto, source: onnx.ValueInfoProto) -> None:
    """The checker wants a type and a shape, which some exporters leave away; inference finds the shape later."""
    if sink.type.WhichOneof("value") is None:
        sink.type.tensor_type.elem_type = source.type.tensor_type.elem_type
    if sink.type.HasField("tensor_type") and not sink.type.tensor_type.HasField("shape"):
        sink.type.tensor_type.shape.SetInParent()


def _modernise(model: onnx.ModelProto, sources: Collection[str]) -> None:
    """Until IR version 4 every weight had to be an input too; without that, shape inference sees folded constants."""
    model.ir_version = max(model.ir_version, 4)
    for value in [value for value in model.graph.input if value.name not in sources]:
        model.graph.input.remove(value)


def _infer(model: onnx.ModelProto, opset: int) -> tuple[Constants, Levels, Shapes]:
    """Alternates shape inference and constant folding, each of which may need the other, until nothing changes."""
    graph = model.graph
    constants = {tensor.name: _array(tensor) for tensor in graph.initializer}
    levels: Levels = {}
    while True:
        try:
            with as_identities(graph):
                inferred = infer_shapes(model, strict_mode=True, data_prop=True).graph
        except InferenceError as error:
            raise HwgenError(f"{_inference_problem(error)}; the shapes do not fit, export the model again") from error
        shapes = _shapes((*inferred.input, *inferred.value_info, *inferred.output))
        folded, remaining = _fold(graph.node, constants, levels, shapes, opset)
        if not folded:
            return constants, levels, {name: shape for name, shape in shapes.items() if name not in constants}
        constants |= folded
        del graph.node[:]
        graph.node.extend(remaining)
        graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in folded.items())


def _fold(
    nodes: Iterable[onnx.NodeProto], constants: Constants, levels: Levels, shapes: Shapes, opset: int
) -> tuple[Constants, list[onnx.NodeProto]]:
    known = dict(constants)
    remaining = []
    for node in nodes:
        values = evaluate_constant(node, known, shapes, opset, _label(node))
        if values is None:
            remaining.append(node)
        else:
            levels |= evaluate_levels(node, known, levels, shapes, opset, _label(node))
            known |= values
    return {name: known[name] for name in known if name not in constants}, remaining


def _shapes(values: Iterable[onnx.ValueInfoProto]) -> Shapes:
    shapes: Shapes = {}
    for value in values:
        axes = value.type.tensor_type.shape.dim
        if not value.type.tensor_type.HasField("shape") or not all(axis.HasField("dim_value") for axis in axes):
            continue
        shape = tuple(axis.dim_value for axis in axes)
        if any(size < 0 for size in shape) or prod(shape) > MAX_ELEMENTS:
            raise HwgenError(f"tensor {value.name!r} of shape {shape} is too large: more than {MAX_ELEMENTS} values")
        shapes[value.name] = shape
    return shapes


def _live(nodes: Iterable[onnx.NodeProto], sinks: Iterable[str]) -> list[onnx.NodeProto]:
    """The nodes that the outputs need, in their order."""
    needed = set(sinks)
    live = []
    for node in reversed(list(nodes)):
        if needed.intersection(node.output):
            needed.update(node.input)
            live.append(node)
    return live[::-1]


def _array(tensor: onnx.TensorProto) -> Array:
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError) as error:  # KeyError: a type that does not exist
        raise HwgenError(f"weight {tensor.name!r} cannot be read, it is damaged; export the model again") from error
    if array.size > MAX_ELEMENTS:
        raise HwgenError(f"weight {tensor.name!r} of shape {array.shape} is too large: more than {MAX_ELEMENTS} values")
    return array


def _node(node: onnx.NodeProto) -> Node:
    operator = node.op_type if node.domain in ("", "ai.onnx", *DOMAINS) else f"{node.domain}.{node.op_type}"
    # Subgraphs belong to control flow, which hardware cannot have: the operator itself is refused later.
    attributes = {a.name: _attribute(a) for a in node.attribute if a.type not in _GRAPHS}
    return Node(operator, node.name, tuple(node.input), tuple(node.output), attributes)


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, TensorProto):
        return _array(value)
    return value if isinstance(value, int | float) else tuple(value) if isinstance(value, Iterable) else str(value)


def _label(node: onnx.NodeProto) -> str:
    return str(Node(node.op_type, node.name, (), tuple(node.output)))


def _inference_problem(error: InferenceError) -> str:
    """The sentence of ``[..] (op_type:Conv, node name: c1): [..] sentence``, with the node named as everywhere."""
    found = re.search(r"\(op_type:(\w+)(?:, node name: (.*?))?\): (?:\[\w+\] )?(.*)", str(error))
    if found is None:
        return _first_line(error)
    operator, name, reason = found.groups()
    return f"{f'node {name!r} ({operator})' if name else f'{operator} node'}: {reason.strip().rstrip('.')}"


def _first_line(error: Exception) -> str:
    return next((line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()), type(error).__name__)
