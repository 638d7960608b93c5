"""Each layer as ONNX nodes that compute the same integers.

Sums of products stay below 2**24 and are float32, where every such integer is exact; requantization is in float64,
exact below 2**53. A convolution whose sums could get larger is split into the digits of its weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..codes import explicit
from ..errors import HwgenError
from ..floatnet import PoolKind
from ..interval import Interval
from ..network import Add, Concat, Conv, Layer, Pool, Remap, Requant, Rescale, Table, Tensor
from ..reference.conv import partial_sum_bound
from ..reference.pool import factor_index
from .graph import FLOAT, WIDE, GraphWriter

__all__ = ["write_layer"]

SINGLE, DOUBLE = 1 << 24, 1 << 53
"""All integers up to these are exact in float32 and float64."""

IntArray = npt.NDArray[np.int64]


def write_layer(writer: GraphWriter, layer: Layer, sources: list[Tensor]) -> None:
    """Write ``layer``, whose output gets its name, as an integer map with a Quant behind it."""
    match layer:
        case Conv():
            value = _conv(writer, layer, sources[0].interval)
        case Pool():
            value = _pool(writer, layer, sources[0].interval)
        case Add():
            value = _add(writer, layer, sources)
        case Concat():
            value = _concat(writer, layer, sources)
        case Table():
            value = _table(writer, layer, sources[0].interval)
        case Remap():
            value = _remap(writer, layer)
    writer.quantized(value, layer.output.interval, layer.name)


def _conv(writer: GraphWriter, layer: Conv, interval: Interval) -> str:
    levels = layer.codebook.decode(layer.codes)
    x, pads, reach = _padded(writer, layer, interval)
    window: dict[str, Any] = {"strides": layer.stride, "dilations": layer.dilation, "group": layer.groups, "pads": pads}
    bound = int(partial_sum_bound(levels, reach).max(initial=0))
    _check(layer, bound, layer.requant.mul, layer.requant.add)
    if bound < SINGLE:
        weight = writer.weights(levels.transpose(0, 3, 1, 2), layer.codebook)
        return _requantized(writer, writer.cast(writer.node("Conv", x, weight, **window), WIDE), layer.requant)
    parts = []
    for shift, digits in _digits(layer, levels, reach):
        weight = writer.weights(digits.transpose(0, 3, 1, 2), explicit(np.unique(digits).tolist(), name="digits"))
        part = writer.cast(writer.node("Conv", x, weight, **window), WIDE)
        parts.append(writer.node("Mul", part, writer.constant(2.0**shift, np.float64)))
    return _requantized(writer, _sum(writer, parts), layer.requant)


def _padded(writer: GraphWriter, layer: Conv, interval: Interval) -> tuple[str, list[int], Interval]:
    """What the convolution reads, the padding left to it, and the integers of what it reads."""
    pads, values = list(layer.pads), np.unique(layer.pad_value)
    if not any(pads):
        return layer.source, pads, interval
    reach = interval | Interval.hull(values.tolist())
    if not values.any():
        return layer.source, pads, reach
    around = _around(writer, layer.pads)
    if values.size == 1:
        return writer.node("Pad", layer.source, around, writer.constant(float(values[0]))), [0] * 4, reach
    # ONNX pads with one number: zeros around the difference to each channel's own.
    own = writer.constant(layer.pad_value.reshape(1, -1, 1, 1))
    around_zero = writer.node("Pad", writer.node("Sub", layer.source, own), around)
    return writer.node("Add", around_zero, own), [0] * 4, reach


def _around(writer: GraphWriter, pads: tuple[int, int, int, int]) -> str:
    return writer.constant([0, 0, *pads[:2], 0, 0, *pads[2:]], np.int64)


def _digits(layer: Conv, levels: IntArray, reach: Interval) -> list[tuple[int, IntArray]]:
    """``levels`` as a sum of ``digits << shift``, each of which keeps float32 exact."""
    for bits in range(8, 0, -1):
        parts = []
        for shift in range(0, int(np.abs(levels).max()).bit_length(), bits):
            parts.append((shift, np.sign(levels) * (np.abs(levels) >> shift & (1 << bits) - 1)))
        if all(int(partial_sum_bound(digits, reach).max()) < SINGLE for _, digits in parts):
            return [(shift, digits) for shift, digits in parts if digits.any()]
    raise HwgenError(f"{layer.name}: its sums are too large for ONNX's float convolutions; use a code of fewer bits")


def _requantized(writer: GraphWriter, acc: str, requant: Requant, index: IntArray | None = None) -> str:
    """``requant`` of float64 sums; index: which factor each value takes, broadcasts to (1, C, H, W)."""
    mul, add = (part.reshape(1, -1, 1, 1) if index is None else part[index] for part in (requant.mul, requant.add))
    scaled = writer.node("Mul", acc, writer.constant(mul, np.float64))
    return _shifted(writer, writer.node("Add", scaled, writer.constant(add, np.float64)), requant)


def _shifted(writer: GraphWriter, value: str, rule: Requant | Rescale | Add) -> str:
    """``clip(value >> shift)`` as float32: a power of two scales exactly, and the shift is a floor."""
    scaled = writer.node("Mul", value, writer.constant(2.0**-rule.shift, np.float64))
    bounds = [writer.constant(float(bound), np.float64) for bound in (rule.lo, rule.hi)]
    return writer.cast(writer.node("Clip", writer.node("Floor", scaled), *bounds), FLOAT)


def _check(layer: Layer, bound: int, mul: npt.ArrayLike, add: npt.ArrayLike) -> None:
    if bound * int(np.abs(mul).max()) + int(np.abs(add).max()) >= DOUBLE:
        raise HwgenError(f"{layer.name}: its numbers exceed 2**53, beyond what ONNX computes exactly")


def _pool(writer: GraphWriter, layer: Pool, interval: Interval) -> str:
    channels = layer.output.shape[2]
    window: dict[str, Any] = {"strides": layer.stride, "dilations": layer.dilation}
    if layer.kind is PoolKind.MAX:
        # Padding of its own: executors refuse windows that lie in a MaxPool's padding altogether.
        lowest = writer.constant(float(interval.lo))
        x = writer.node("Pad", layer.source, _around(writer, layer.pads), lowest) if any(layer.pads) else layer.source
        return writer.node("MaxPool", x, kernel_shape=layer.kernel, **window)
    requant = layer.requant
    assert requant is not None
    # ONNX divides before it can be stopped; a sum is a depthwise convolution with ones.
    ones = np.ones((channels, 1, *layer.kernel), np.int64)
    bound = ones[0].size * max(abs(interval.lo), abs(interval.hi))
    if bound >= SINGLE:
        raise HwgenError(f"{layer.name}: its sums exceed 2**24, beyond what ONNX's float convolutions sum exactly")
    _check(layer, bound, requant.mul, requant.add)
    total = writer.node("Conv", layer.source, writer.constant(ones), group=channels, pads=layer.pads, **window)
    index = factor_index(layer)
    spread = index.reshape(1, -1, 1, 1) if index.ndim == 1 else index.transpose(2, 0, 1)[None]
    return _requantized(writer, writer.cast(total, WIDE), requant, spread)


def _add(writer: GraphWriter, layer: Add, sources: list[Tensor]) -> str:
    bound = sum(
        abs(mul) * max(abs(tensor.interval.lo), abs(tensor.interval.hi))
        for mul, tensor in zip(layer.mul, sources, strict=True)
    )
    _check(layer, bound, 1, layer.add)
    terms = [
        writer.node("Mul", writer.cast(name, WIDE), writer.constant(float(mul), np.float64))
        for name, mul in zip(layer.sources, layer.mul, strict=True)
    ]
    terms.append(writer.constant(layer.add.reshape(1, -1, 1, 1), np.float64))
    return _shifted(writer, _sum(writer, terms), layer)


def _sum(writer: GraphWriter, terms: list[str]) -> str:
    total, *others = terms
    for term in others:
        total = writer.node("Add", total, term)
    return total


def _concat(writer: GraphWriter, layer: Concat, sources: list[Tensor]) -> str:
    parts = []
    for name, rule, tensor in zip(layer.sources, layer.rescale, sources, strict=True):
        if rule is not None:
            _check(layer, max(abs(tensor.interval.lo), abs(tensor.interval.hi)), rule.mul, rule.add)
            scaled = writer.node("Mul", writer.cast(name, WIDE), writer.constant(float(rule.mul), np.float64))
            added = writer.node("Add", scaled, writer.constant(float(rule.add), np.float64))
            name = _shifted(writer, added, rule)
        parts.append(name)
    return writer.node("Concat", *parts, axis=1)


def _table(writer: GraphWriter, layer: Table, interval: Interval) -> str:
    rows, size = layer.values.shape
    start = np.arange(rows).reshape(1, -1, 1, 1) * size - interval.lo
    place = writer.cast(writer.node("Add", layer.source, writer.constant(start)), 7)  # INT64
    return writer.node("Gather", writer.constant(layer.values.reshape(-1)), place)


def _remap(writer: GraphWriter, layer: Remap) -> str:
    """One Gather from the flattened map, with the fill value behind its end."""
    height, width, channels = layer.input_shape
    shape = layer.output.shape
    rows, columns, depth = np.ix_(layer.rows, layer.columns, layer.channels)
    place = layer.row_offset[:, None, None] + columns + depth  # inside a channel-last row
    index = (place % channels * height + rows) * width + place // channels
    index = np.where((rows < 0) | (columns < 0) | (depth < 0), height * width * channels, index)
    flat = writer.node("Reshape", layer.source, writer.constant([-1], np.int64))
    filled = writer.node("Concat", flat, writer.constant([float(layer.fill)]), axis=0)
    moved = writer.node("Gather", filled, writer.constant(index.transpose(2, 0, 1).reshape(-1), np.int64))
    return writer.node("Reshape", moved, writer.constant([1, shape[2], shape[0], shape[1]], np.int64))
