"""Small TFLite models for tests, and what LiteRT, an independent implementation, makes of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

KINDS = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "int16": 7, "int8": 9}


@dataclass
class Tensor:
    """data: of a constant. scale, zero: of a quantized tensor, several along ``axis``."""

    shape: Sequence[int]
    kind: str = "float32"
    data: np.ndarray | None = None
    scale: Sequence[float] = ()
    zero: Sequence[int] = ()
    axis: int = 0


@dataclass
class Operator:
    """options: fields of the schema's ``<kind>OptionsT``, lower camel case."""

    code: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    kind: str = ""
    options: dict[str, Any] = field(default_factory=dict)


def constant(values: Any, kind: str = "float32", **quantization: Any) -> Tensor:
    array = np.asarray(values, kind)
    return Tensor(array.shape, kind, array, **quantization)


def build(tensors: Sequence[Tensor], operators: Sequence[Operator], inputs=(0,), outputs=None) -> bytes:
    """The file of a model; by default its last tensor is the output."""
    model = schema.ModelT()
    model.version, model.buffers = 3, [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors = [_tensor(model, index, tensor) for index, tensor in enumerate(tensors)]
    graph.inputs = list(inputs)
    graph.outputs = [len(tensors) - 1] if outputs is None else list(outputs)
    graph.operators, model.operatorCodes = [], []
    for index, operator in enumerate(operators):
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, operator.code)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        model.operatorCodes.append(code)
        entry = schema.OperatorT()
        entry.opcodeIndex, entry.inputs, entry.outputs = index, list(operator.inputs), list(operator.outputs)
        if operator.kind:
            entry.builtinOptionsType = getattr(schema.BuiltinOptions, f"{operator.kind}Options")
            entry.builtinOptions = getattr(schema, f"{operator.kind}OptionsT")()
            for name, value in operator.options.items():
                assert hasattr(entry.builtinOptions, name)
                setattr(entry.builtinOptions, name, value)
        graph.operators.append(entry)
    model.subgraphs = [graph]
    return pack(model)


def pack(model: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(model: schema.ModelT, index: int, tensor: Tensor) -> schema.TensorT:
    entry = schema.TensorT()
    entry.name, entry.shape, entry.type = f"t{index}", list(tensor.shape), KINDS[tensor.kind]
    entry.hasRank = True
    if tensor.data is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(tensor.data.tobytes(), np.uint8)
        model.buffers.append(buffer)
        entry.buffer = len(model.buffers) - 1
    if tensor.scale:
        entry.quantization = schema.QuantizationParametersT()
        entry.quantization.scale, entry.quantization.zeroPoint = list(tensor.scale), list(tensor.zero)
        entry.quantization.quantizedDimension = tensor.axis
    return entry


def with_float_weights(data: bytes) -> bytes:
    """The model with its int8 weights as floats: LiteRT rounds the data between weights that are held in 8 bits."""
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    for tensor in model.subgraphs[0].tensors:
        stored = model.buffers[tensor.buffer].data
        if tensor.type == KINDS["int8"] and stored is not None:
            form = tensor.quantization
            spread = [1] * len(tensor.shape)
            if len(form.scale) > 1:
                spread[form.quantizedDimension] = -1
            codes = np.asarray(stored, np.uint8).view(np.int8).reshape(tensor.shape).astype(np.float32)
            zero = np.asarray(form.zeroPoint, np.float32).reshape(spread)
            values = (codes - zero) * np.asarray(form.scale, np.float32).reshape(spread)
            model.buffers[tensor.buffer].data = np.frombuffer(values.astype(np.float32).tobytes(), np.uint8)
            tensor.type, tensor.quantization = KINDS["float32"], None
    return pack(model)


def litert(data: bytes, x: np.ndarray) -> np.ndarray:
    """Output for real input ``x`` (N, ...), one frame at a time, as real numbers; formats of the model are applied."""
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    (source,), sink = interpreter.get_input_details(), interpreter.get_output_details()[0]
    frames = []
    for frame in x:
        interpreter.set_tensor(source["index"], _levels(source, frame.astype(np.float32))[None])
        interpreter.invoke()
        frames.append(_real(sink, interpreter.get_tensor(sink["index"])[0]))
    return np.stack(frames)


def _levels(detail: dict[str, Any], x: np.ndarray) -> np.ndarray:
    if detail["dtype"] == np.float32:
        return x
    scale, zero = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.rint(x / np.float32(scale)) + zero, limits.min, limits.max).astype(detail["dtype"])


def _real(detail: dict[str, Any], levels: np.ndarray) -> np.ndarray:
    if detail["dtype"] == np.float32 or not detail["quantization"][0]:
        return levels
    scale, zero = detail["quantization"]
    return (levels.astype(np.float64) - zero) * scale
