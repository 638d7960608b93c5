"""TFLite operators that compute: convolutions, pools, sums and element-wise functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from .writer import FROM_NHWC, Writer

__all__ = ["OPERATORS"]

_PADDINGS = {0: "SAME_UPPER", 1: "VALID"}


def _padding(writer: Writer) -> str:
    code = writer.operator.options.get("Padding", 0)
    if code not in _PADDINGS:
        raise writer.error(f"its padding {code} is not known; export the model again")
    return _PADDINGS[code]


def _pair(writer: Writer, first: str, second: str) -> list[int]:
    values = [int(writer.operator.options.get(name, 1)) for name in (first, second)]
    if not all(1 <= value <= 1 << 16 for value in values):
        raise writer.error(f"its {first} and {second} must be at least 1, not {values}; export again")
    return values


def _convolution(writer: Writer, *, depthwise: bool) -> None:
    """CONV_2D with weights (O, kh, kw, I / groups), DEPTHWISE_CONV_2D with weights (1, kh, kw, O)."""
    channels, weight = writer.tensor(0).shape[-1:], writer.tensor(1).shape
    if len(weight) != 4 or not channels or not weight[3] or (not depthwise and channels[0] % weight[3]):
        raise writer.error(f"its weight of shape {weight} does not fit its input; export the model again")
    inputs = [writer.value(0, FROM_NHWC), writer.value(1, (3, 0, 1, 2) if depthwise else FROM_NHWC)]
    if writer.has(2):
        inputs.append(writer.value(2))
    value = writer.node(
        "Conv",
        inputs,
        auto_pad=_padding(writer),
        strides=_pair(writer, "StrideH", "StrideW"),
        dilations=_pair(writer, "DilationHFactor", "DilationWFactor"),
        group=channels[0] if depthwise else channels[0] // weight[3],
    )
    writer.make_map(writer.activated(value))


def _transpose_convolution(writer: Writer) -> None:
    """Inputs: output shape (constant), weights (O, kh, kw, I), data, bias. SAME crops the odd pixel at the end."""
    output, weight, size = writer.whole(0), writer.tensor(1).shape, writer.tensor(2).shape
    if len(output) != 4 or len(weight) != 4 or len(size) != 4:
        raise writer.error("its shapes do not fit; export the model again")
    strides = _pair(writer, "StrideH", "StrideW")
    begin, end, more = [], [], []
    for axis, stride in enumerate(strides, 1):
        spare = (size[axis] - 1) * stride + weight[axis] - output[axis]
        crop = max(spare, 0) if _padding(writer) == "SAME_UPPER" else 0
        begin.append(crop // 2)
        end.append(crop - crop // 2)
        more.append(crop - spare)
    if min(more) < 0:
        raise writer.error(f"its output shape {output} does not fit its input {size}; export the model again")
    inputs = [writer.value(2, FROM_NHWC), writer.value(1, (3, 0, 1, 2))]
    if writer.has(3):
        inputs.append(writer.value(3))
    value = writer.node("ConvTranspose", inputs, strides=strides, pads=begin + end, output_padding=more)
    writer.make_map(writer.activated(value))


def _fully_connected(writer: Writer) -> None:
    """Weights (O, I); without KeepNumDims every axis but the last joins the batch."""
    options, weight = writer.operator.options, writer.tensor(1).shape
    if options.get("WeightsFormat", 0):
        raise writer.error("shuffled weights are not supported; export the model again")
    if len(weight) != 2:
        raise writer.error(f"its weight of shape {weight} must be a matrix; export the model again")
    value = writer.value(0)
    keep = options.get("KeepNumDims", False) and len(writer.tensor(0).shape) != 2
    if not keep and (len(writer.tensor(0).shape) != 2 or writer.tensor(0).shape[1] != weight[1]):
        value = writer.node("Reshape", [value, writer.array(np.array((-1, weight[1]), np.int64))])
    bias = [writer.value(2)] if writer.has(2) else []
    if keep:
        value = writer.node("MatMul", [value, writer.value(1, (1, 0))])
        value = writer.node("Add", [value, *bias]) if bias else value
    else:
        value = writer.node("Gemm", [value, writer.value(1), *bias], transB=1)
    writer.make(writer.activated(value))


def _pool(writer: Writer, *, operator: str) -> None:
    """Padding counts for neither: not for a maximum, and not in the divisor of an average."""
    value = writer.node(
        operator,
        [writer.value(0, FROM_NHWC)],
        kernel_shape=_pair(writer, "FilterHeight", "FilterWidth"),
        strides=_pair(writer, "StrideH", "StrideW"),
        auto_pad=_padding(writer),
    )
    writer.make_map(writer.activated(value))


def _reduce(writer: Writer, *, operator: str) -> None:
    axes = writer.array(np.array(writer.whole(1), np.int64))
    keep = int(bool(writer.operator.options.get("KeepDims", False)))
    writer.make(writer.node(operator, [writer.value(0), axes], keepdims=keep))


def _element_wise(writer: Writer, *, operator: str, inputs: int = 1, **attributes: float | int | str) -> None:
    value = writer.node(operator, [writer.value(index) for index in range(inputs)], **attributes)
    writer.make(writer.activated(value))


def _clip(writer: Writer, *, lo: float, hi: float) -> None:
    bounds = [writer.array(np.float32(bound)) for bound in (lo, hi)]
    writer.make(writer.node("Clip", [writer.value(0), *bounds]))


def _leaky_relu(writer: Writer) -> None:
    writer.make(writer.node("LeakyRelu", [writer.value(0)], alpha=float(writer.operator.options.get("Alpha", 0.0))))


def _gelu(writer: Writer) -> None:
    approximate = "tanh" if writer.operator.options.get("Approximate", False) else "none"
    writer.make(writer.node("Gelu", [writer.value(0)], approximate=approximate))


def _reciprocal_root(writer: Writer) -> None:
    writer.make(writer.node("Reciprocal", [writer.node("Sqrt", [writer.value(0)])]))


def _square(writer: Writer) -> None:
    value = writer.value(0)
    writer.make(writer.node("Mul", [value, value]))


def _softmax(writer: Writer) -> None:
    if not writer.operator.options.get("Beta", 1.0) > 0:
        raise writer.error("its beta must be above zero; export the model again")
    writer.make(writer.node("Softmax", [writer.value(0)], axis=-1))


def _log_softmax(writer: Writer) -> None:
    writer.make(writer.node("LogSoftmax", [writer.value(0)], axis=-1))


def _arg_max(writer: Writer) -> None:
    axes = writer.whole(1)
    if len(axes) != 1:
        raise writer.error("it must have one axis; export the model again")
    value = writer.node("ArgMax", [writer.value(0)], axis=axes[0], keepdims=0)
    writer.made_integers(value)
    writer.make(value)


def _same(writer: Writer) -> None:
    """QUANTIZE and DEQUANTIZE: the formats of their tensors say it all."""
    writer.make(writer.node("Identity", [writer.value(0)]))


OPERATORS: dict[str, Callable[[Writer], None]] = {
    "ABS": partial(_element_wise, operator="Abs"),
    "ADD": partial(_element_wise, operator="Add", inputs=2),
    "ARG_MAX": _arg_max,
    "AVERAGE_POOL_2D": partial(_pool, operator="AveragePool"),
    "CONV_2D": partial(_convolution, depthwise=False),
    "DEPTHWISE_CONV_2D": partial(_convolution, depthwise=True),
    "DEQUANTIZE": _same,
    "DIV": partial(_element_wise, operator="Div", inputs=2),
    "ELU": partial(_element_wise, operator="Elu"),
    "EXP": partial(_element_wise, operator="Exp"),
    "FULLY_CONNECTED": _fully_connected,
    "GELU": _gelu,
    "HARD_SWISH": partial(_element_wise, operator="HardSwish"),
    "LEAKY_RELU": _leaky_relu,
    "LOGISTIC": partial(_element_wise, operator="Sigmoid"),
    "LOG_SOFTMAX": _log_softmax,
    "MAXIMUM": partial(_element_wise, operator="Max", inputs=2),
    "MAX_POOL_2D": partial(_pool, operator="MaxPool"),
    "MEAN": partial(_reduce, operator="ReduceMean"),
    "MINIMUM": partial(_element_wise, operator="Min", inputs=2),
    "MUL": partial(_element_wise, operator="Mul", inputs=2),
    "NEG": partial(_element_wise, operator="Neg"),
    "PRELU": partial(_element_wise, operator="PRelu", inputs=2),
    "QUANTIZE": _same,
    "REDUCE_MAX": partial(_reduce, operator="ReduceMax"),
    "RELU": partial(_element_wise, operator="Relu"),
    "RELU6": partial(_clip, lo=0.0, hi=6.0),
    "RELU_0_TO_1": partial(_clip, lo=0.0, hi=1.0),
    "RELU_N1_TO_1": partial(_clip, lo=-1.0, hi=1.0),
    "RSQRT": _reciprocal_root,
    "SOFTMAX": _softmax,
    "SQRT": partial(_element_wise, operator="Sqrt"),
    "SQUARE": _square,
    "SUB": partial(_element_wise, operator="Sub", inputs=2),
    "SUM": partial(_reduce, operator="ReduceSum"),
    "TANH": partial(_element_wise, operator="Tanh"),
    "TRANSPOSE_CONV": _transpose_convolution,
}
