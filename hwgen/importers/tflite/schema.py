"""Reads a TFLite file into plain frozen data, without trusting it.

The Python runtime of flatbuffers follows offsets wherever they lead: it raises whatever its arithmetic runs into, and
takes lengths from the file. So every length is bounded before a loop, and every exception is one of a damaged file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import HwgenError
from ..graph import MAX_ELEMENTS

__all__ = ["Model", "Operator", "Quantization", "Tensor", "read_schema"]

MAX_ENTRIES = 1 << 14
"""Tensors, buffers or operators of a model at most; a network for an FPGA has some hundreds."""

MAX_AXES = 8

_TYPES: dict[str, npt.DTypeLike] = {
    "FLOAT32": "<f4",
    "FLOAT16": "<f2",
    "INT32": "<i4",
    "UINT8": "u1",
    "INT64": "<i8",
    "BOOL": "?",
    "INT16": "<i2",
    "INT8": "i1",
    "INT4": "i1",  # two to a byte
    "FLOAT64": "<f8",
    "UINT32": "<u4",
    "UINT16": "<u2",
}

_WINDOW = ("Padding", "StrideH", "StrideW", "FusedActivationFunction")

_OPTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ADD": ("AddOptions", ("FusedActivationFunction",)),
    "AVERAGE_POOL_2D": ("Pool2DOptions", (*_WINDOW, "FilterHeight", "FilterWidth")),
    "CONCATENATION": ("ConcatenationOptions", ("Axis", "FusedActivationFunction")),
    "CONV_2D": ("Conv2DOptions", (*_WINDOW, "DilationHFactor", "DilationWFactor")),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", (*_WINDOW, "DilationHFactor", "DilationWFactor")),
    "DEPTH_TO_SPACE": ("DepthToSpaceOptions", ("BlockSize",)),
    "DIV": ("DivOptions", ("FusedActivationFunction",)),
    "FULLY_CONNECTED": ("FullyConnectedOptions", ("FusedActivationFunction", "KeepNumDims", "WeightsFormat")),
    "GELU": ("GeluOptions", ("Approximate",)),
    "LEAKY_RELU": ("LeakyReluOptions", ("Alpha",)),
    "MAX_POOL_2D": ("Pool2DOptions", (*_WINDOW, "FilterHeight", "FilterWidth")),
    "MEAN": ("ReducerOptions", ("KeepDims",)),
    "MUL": ("MulOptions", ("FusedActivationFunction",)),
    "PACK": ("PackOptions", ("Axis", "ValuesCount")),
    "REDUCE_MAX": ("ReducerOptions", ("KeepDims",)),
    "RESHAPE": ("ReshapeOptions", ("NewShapeAsNumpy",)),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptions", ("AlignCorners", "HalfPixelCenters")),
    "SOFTMAX": ("SoftmaxOptions", ("Beta",)),
    "SPACE_TO_DEPTH": ("SpaceToDepthOptions", ("BlockSize",)),
    "SPLIT": ("SplitOptions", ("NumSplits",)),
    "SQUEEZE": ("SqueezeOptions", ("SqueezeDimsAsNumpy",)),
    "STRIDED_SLICE": (
        "StridedSliceOptions",
        ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask"),
    ),
    "SUB": ("SubOptions", ("FusedActivationFunction",)),
    "SUM": ("ReducerOptions", ("KeepDims",)),
    "TRANSPOSE_CONV": ("TransposeConvOptions", _WINDOW),
}


@dataclass(frozen=True, eq=False)
class Quantization:
    """Real value = ``scale * (integer - zero)``. scale, zero: one value, or one for each entry of axis ``axis``."""

    scale: npt.NDArray[np.float32]
    zero: npt.NDArray[np.int64]
    axis: int


@dataclass(frozen=True, eq=False)
class Tensor:
    """shape: batch first, -1 never. kind: a name of the schema's ``TensorType``. data: of a constant, else None."""

    name: str
    shape: tuple[int, ...]
    kind: str
    quantization: Quantization | None
    data: npt.NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class Operator:
    """code: a name of the schema's ``BuiltinOperator``, or that of a custom operator. inputs: tensors, -1 for none."""

    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Model:
    """The first subgraph of a file, the one that inference runs."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_schema(data: bytes) -> Model:
    """The model in ``data``. Raises :class:`HwgenError` when it is damaged, or the parser is not installed."""
    try:
        import tflite
    except ImportError as error:
        raise HwgenError("reading TFLite models needs one more package; run: pip install 'hwgen[tflite]'") from error
    try:
        return _Reader(tflite, data).model()
    except HwgenError:
        raise
    except Exception as error:  # see the module's text
        raise HwgenError("the TFLite model is damaged; export it again") from error


class _Reader:
    def __init__(self, tflite: ModuleType, data: bytes) -> None:
        self._tflite = tflite
        self._data = data
        self._model = tflite.Model.GetRootAs(data, 0)
        self._types = _names(tflite.TensorType)
        self._codes = _names(tflite.BuiltinOperator)

    def model(self) -> Model:
        model = self._model
        if not _bounded(model.SubgraphsLength()):
            raise HwgenError("the TFLite model has no graph; export it again")
        graph = model.Subgraphs(0)
        tensors = tuple(self._tensor(graph.Tensors(index)) for index in range(_bounded(graph.TensorsLength())))
        operators = tuple(
            self._operator(graph.Operators(index), len(tensors)) for index in range(_bounded(graph.OperatorsLength()))
        )
        ends = [_indices(vector, len(tensors)) for vector in (graph.InputsAsNumpy(), graph.OutputsAsNumpy())]
        if any(index < 0 for end in ends for index in end):
            raise ValueError("an input or output is no tensor")
        return Model(tensors, operators, ends[0], ends[1])

    def _tensor(self, entry: Any) -> Tensor:
        name = (entry.Name() or b"").decode("utf-8", "replace")
        shape = _integers(entry.ShapeAsNumpy(), MAX_AXES)
        kind = self._types[entry.Type()]
        if any(size < 0 for size in shape):
            raise HwgenError(f"tensor {name!r} has shape {shape}; export the model with fixed shapes")
        if prod(shape) > MAX_ELEMENTS:
            raise HwgenError(f"tensor {name!r} of shape {shape} is too large: more than {MAX_ELEMENTS} values")
        if entry.Sparsity() is not None or entry.IsVariable():
            raise HwgenError(f"tensor {name!r} is sparse or a variable; export the model with dense constants")
        return Tensor(name, shape, kind, _quantization(entry.Quantization(), shape), self._constant(entry, kind, shape))

    def _constant(self, entry: Any, kind: str, shape: tuple[int, ...]) -> npt.NDArray[Any] | None:
        if not 0 <= entry.Buffer() < min(self._model.BuffersLength(), MAX_ENTRIES):
            raise ValueError("no such buffer")
        buffer = self._model.Buffers(entry.Buffer())
        if buffer.Offset() > 1:  # weights behind the flatbuffer itself
            raw = np.frombuffer(self._data, np.uint8, buffer.Size(), buffer.Offset())
        elif buffer.DataLength():
            raw = buffer.DataAsNumpy()
        else:
            return None
        if kind not in _TYPES:
            return None
        if kind == "INT4":
            # The first of two in the low half; an arithmetic shift extends the sign.
            pairs = np.stack((raw << 4, raw), axis=-1).reshape(-1)[: prod(shape)]
            return (pairs.view(np.int8) >> 4).reshape(shape)
        values = np.frombuffer(raw.tobytes(), np.dtype(_TYPES[kind])).reshape(shape)
        return values.astype(values.dtype.newbyteorder("="))

    def _operator(self, entry: Any, tensors: int) -> Operator:
        if not 0 <= entry.OpcodeIndex() < min(self._model.OperatorCodesLength(), MAX_ENTRIES):
            raise ValueError("no such operator")
        code = self._model.OperatorCodes(entry.OpcodeIndex())
        # Codes up to 126 stood in a byte of their own once; newer ones say 127 there.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = self._codes[number]
        if name == "CUSTOM":
            name = (code.CustomCode() or b"CUSTOM").decode("utf-8", "replace")
        inputs = _indices(entry.InputsAsNumpy(), tensors)
        outputs = _indices(entry.OutputsAsNumpy(), tensors)
        if not outputs or any(index < 0 for index in outputs):
            raise ValueError("an operator has no output")
        return Operator(name, inputs, outputs, self._options(entry, name))

    def _options(self, entry: Any, code: str) -> dict[str, Any]:
        kind, fields = _OPTIONS.get(code, ("", ()))
        table = entry.BuiltinOptions()
        if not kind or table is None:
            return {}
        if entry.BuiltinOptionsType() != getattr(self._tflite.BuiltinOptions, kind):
            raise ValueError("options of another operator")
        options = getattr(self._tflite, kind)()
        options.Init(table.Bytes, table.Pos)
        values = {field.removesuffix("AsNumpy"): getattr(options, field)() for field in fields}
        return {
            field: _integers(value, MAX_AXES) if field in ("NewShape", "SqueezeDims") else value
            for field, value in values.items()
        }


def _quantization(entry: Any, shape: tuple[int, ...]) -> Quantization | None:
    if entry is None or not entry.ScaleLength():
        return None
    scale, zero, axis = entry.ScaleAsNumpy(), entry.ZeroPointAsNumpy(), entry.QuantizedDimension()
    zero = zero if isinstance(zero, np.ndarray) else np.zeros(1, np.int64)
    fits = scale.size == 1 or (0 <= axis < len(shape) and shape[axis] == scale.size)
    if entry.Details() is not None or not fits or zero.size not in (1, scale.size) or not np.isfinite(scale).all():
        raise ValueError("a quantization that does not fit")
    return Quantization(np.array(scale, np.float32), np.array(zero, np.int64), axis if scale.size > 1 else 0)


def _bounded(length: int) -> int:
    if not 0 <= length <= MAX_ENTRIES:
        raise ValueError("a length out of range")
    return length


def _integers(vector: Any, most: int) -> tuple[int, ...]:
    """A vector of the file; flatbuffers gives 0 where there is none."""
    if not isinstance(vector, np.ndarray):
        return ()
    if vector.size > most:
        raise ValueError("a vector that is too long")
    return tuple(vector.tolist())


def _indices(vector: Any, tensors: int) -> tuple[int, ...]:
    indices = _integers(vector, MAX_ENTRIES)
    if any(not -1 <= index < tensors for index in indices):
        raise ValueError("no such tensor")
    return indices


def _names(enumeration: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}
