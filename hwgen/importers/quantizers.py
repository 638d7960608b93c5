"""The quantizers of QONNX: what ``Quant``, ``BipolarQuant`` and ``FloatQuant`` make of weights.

The formulas are those of the QONNX operator definitions,
https://github.com/fastmachinelearning/qonnx/tree/main/docs/qonnx-custom-ops, in the arithmetic of the ``qonnx``
package (float32, every operation in its order), so that weights come out equal to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from ..errors import HwgenError

__all__ = ["DOMAINS", "Quantized", "as_identities", "is_quantizer", "quantized"]

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]

DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
"""Names that the domain of these operators has had."""

MAX_LEVEL = 1 << 30
"""Largest integer that a weight's level may be; a floating-point format of a wider range has no levels."""

_INPUTS = {"Quant": 4, "IntQuant": 4, "BipolarQuant": 2, "FloatQuant": 6}


@dataclass(frozen=True, eq=False)
class Quantized:
    """Weights after a quantizer. values: float32; levels: integers that they are multiples of (see ``FloatGraph``)."""

    values: Array
    levels: IntArray | None


def is_quantizer(node: onnx.NodeProto) -> bool:
    """Whether ``node`` is one of the operators of this file."""
    return node.domain in DOMAINS and node.op_type in _INPUTS


@contextmanager
def as_identities(graph: onnx.GraphProto) -> Iterator[None]:
    """Meanwhile the quantizers of ``graph`` are Identity nodes: the same shapes, which ``onnx`` can infer."""
    originals = []
    for node in graph.node:
        if is_quantizer(node):
            original = onnx.NodeProto()
            original.CopyFrom(node)
            originals.append((node, original))
            node.CopyFrom(helper.make_node("Identity", node.input[:1], node.output[:1], name=node.name))
    try:
        yield
    finally:
        for node, original in originals:
            node.CopyFrom(original)


def quantized(node: onnx.NodeProto, constants: Mapping[str, Array], label: str) -> Quantized:
    """What the quantizer ``node`` makes of a constant. Raises :class:`HwgenError` for parameters that do not fit."""
    x = constants[node.input[0]].astype(np.float32)
    parameters = _parameters(node, constants, label)
    if any(_widens(value, x) for value in parameters):
        raise HwgenError(f"{label}: its parameters do not fit its input of shape {x.shape}; export again")
    with np.errstate(all="ignore"):  # values that are not finite are refused where the weight is read
        if node.op_type == "BipolarQuant":
            signs = np.where(x >= 0, np.float32(1), np.float32(-1))
            values, levels = signs * parameters[0], signs
        elif node.op_type == "FloatQuant":
            values, levels = _float_quant(node, x, parameters, label)
        else:
            values, levels = _int_quant(node, x, parameters, label)
    return Quantized(values.astype(np.float32), _integers(levels))


def _int_quant(node: onnx.NodeProto, x: Array, parameters: list[Array], label: str) -> tuple[Array, Array]:
    scale, zero, width = parameters
    bits = _whole(width, "bit width", label)
    y = x / scale + zero
    if bits == 1 and _flag(node, "signed"):
        y = np.where(y >= 0, np.float32(1), np.float32(-1))
    else:
        lo, hi = _limits(node, bits, label)
        y = _rounding(node, label)(np.clip(y, np.float32(lo), np.float32(hi)))
    return (y - zero) * scale, y - zero


def _float_quant(node: onnx.NodeProto, x: Array, parameters: list[Array], label: str) -> tuple[Array, Array]:
    scale, *rest = parameters
    exponent_bits, mantissa_bits, bias, largest = (
        _one(value, what, label)
        for value, what in zip(rest, ("exponent width", "mantissa width", "exponent bias", "maximum"), strict=True)
    )
    if not (0 <= exponent_bits <= 8 and 0 <= mantissa_bits <= 23 and abs(bias) <= 256):
        raise HwgenError(f"{label}: no format has {exponent_bits:g} exponent and {mantissa_bits:g} mantissa bits")
    if not _flag(node, "saturation"):
        raise HwgenError(f"{label}: saturation=0 is not supported, only saturation=1")
    y = x / scale
    lowest = 1.0 - bias - mantissa_bits
    unit = np.floor(np.log2(np.abs(y) + np.finfo(np.float32).tiny)) - np.float32(mantissa_bits)
    unit = np.exp2(np.maximum(unit, np.float32(lowest)))
    limit = min((2 - 2.0**-mantissa_bits) * 2.0 ** (2.0**exponent_bits - 1 - bias), largest)
    y = np.clip(unit * _rounding(node, label)(y / unit), np.float32(-limit), np.float32(limit))
    return y * scale, y.astype(np.float64) * 2.0**-lowest


def _integers(levels: Array) -> IntArray | None:
    """``levels`` as integers, divided by their common power of two; None where they are none, or too large."""
    if not np.isfinite(levels).all() or (levels != np.rint(levels)).any() or np.abs(levels).max(initial=0) >= 2.0**62:
        return None
    whole = levels.astype(np.int64)
    bits = int(np.bitwise_or.reduce(np.abs(whole), axis=None)) if whole.size else 0
    whole //= bits & -bits or 1
    return whole if np.abs(whole).max(initial=0) <= MAX_LEVEL else None


def _parameters(node: onnx.NodeProto, constants: Mapping[str, Array], label: str) -> list[Array]:
    count = _INPUTS[node.op_type]
    names = list(node.input[1:])
    if len(names) != count - 1 or any(name not in constants for name in names):
        raise HwgenError(f"{label}: it must have {count} inputs, all but the first constant; export again")
    if any(constants[name].dtype.kind not in "fiu" for name in names):
        raise HwgenError(f"{label}: its parameters must be numbers; export again")
    return [constants[name].astype(np.float32) for name in names]


def _widens(parameter: Array, x: Array) -> bool:
    try:
        return np.broadcast_shapes(parameter.shape, x.shape) != x.shape
    except ValueError:
        return True


def _limits(node: onnx.NodeProto, bits: int, label: str) -> tuple[int, int]:
    if not 1 <= bits <= 32:
        raise HwgenError(f"{label}: {bits} bits are not supported, only 1 to 32")
    narrow = int(_flag(node, "narrow", 0))
    if _flag(node, "signed"):
        return narrow - (1 << bits - 1), (1 << bits - 1) - 1
    return 0, (1 << bits) - 1 - narrow


def _one(parameter: Array, what: str, label: str) -> float:
    values = np.unique(parameter)
    if values.size != 1:
        raise HwgenError(f"{label}: {values.size} values of its {what} are not supported, only one for the tensor")
    return float(values[0])


def _whole(parameter: Array, what: str, label: str) -> int:
    value = _one(parameter, what, label)
    if not abs(value) < 1 << 31 or value != int(value):
        raise HwgenError(f"{label}: its {what} must be a whole number, not {value:g}")
    return int(value)


def _flag(node: onnx.NodeProto, name: str, default: int = 1) -> bool:
    return bool(next((attribute.i for attribute in node.attribute if attribute.name == name), default))


def _text(node: onnx.NodeProto, name: str, default: str) -> str:
    found = (attribute.s.decode("utf-8", "replace") for attribute in node.attribute if attribute.name == name)
    return next(found, default)


def _rounding(node: onnx.NodeProto, label: str) -> Callable[[Array], Array]:
    mode = _text(node, "rounding_mode", "ROUND").upper()
    if mode not in _ROUNDINGS:
        raise HwgenError(f"{label}: rounding_mode={mode} is not known, choose one of {', '.join(_ROUNDINGS)}")
    return _ROUNDINGS[mode]


_HALF = np.float32(0.5)

_ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "ROUND": np.rint,
    "HALF_EVEN": np.rint,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "DOWN": np.trunc,
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + _HALF),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - _HALF),
}
