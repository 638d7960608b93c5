"""What each layer computes, in NumPy: im2col and one matrix product, or one multiplication per tap where depthwise."""

from __future__ import annotations

from math import inf, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ..expression import evaluate as apply
from ..floatnet import (
    Fixed,
    FloatAdd,
    FloatConcat,
    FloatConv,
    FloatLayer,
    FloatPool,
    FloatRemap,
    FloatTable,
    PoolKind,
)

__all__ = ["compute", "fixed", "largest", "prepared"]

Array = npt.NDArray[np.floating]


def compute(layer: FloatLayer, weight: Array | None, sources: list[Array]) -> Array:
    """The result (N, H, W, C) of ``layer`` for its ``sources``, in their floating type.

    weight: what :func:`prepared` made of a convolution's.
    """
    result = _result(layer, weight, sources)
    return result if layer.fixed is None else fixed(result, layer.fixed)


def fixed(x: Array, form: Fixed) -> Array:
    """The values of ``form`` that are nearest to ``x``, half to even, in the type of ``x``."""
    scale = x.dtype.type(form.scale)
    return np.clip(np.rint(x / scale), form.interval.lo, form.interval.hi) * scale


def _result(layer: FloatLayer, weight: Array | None, sources: list[Array]) -> Array:
    match layer:
        case FloatConv():
            assert weight is not None
            result = _conv(layer, weight, sources[0])
        case FloatPool():
            result = _pool(layer, sources[0])
        case FloatAdd():
            result = _add(layer, sources)
        case FloatConcat():
            result = np.concatenate(sources, axis=3)
        case FloatTable():
            return np.array(apply(layer.function, sources[0]))
        case FloatRemap():
            return _remap(layer, sources[0])
    _clip(result, layer.clip)
    return result


def prepared(layer: FloatLayer, dtype: npt.DTypeLike) -> Array | None:
    """The weights of a convolution as :func:`compute` needs them: (groups, taps, outputs per group)."""
    if not isinstance(layer, FloatConv):
        return None
    weight = layer.weight.reshape(layer.groups, len(layer.weight) // layer.groups, -1)
    return np.ascontiguousarray(weight.transpose(0, 2, 1), dtype)


def largest(layer: FloatLayer) -> int:
    """Values of the largest array that one frame needs in ``layer``."""
    result = prod(layer.output_shape)
    if isinstance(layer, FloatConv):
        taps = layer.weight[0].size * layer.groups if layer.weight.shape[3] > 1 or layer.groups == 1 else 1
        return max(prod(layer.output_shape[:2]) * taps, prod(layer.input_shape), result)
    return max(prod(layer.input_shape), result) if isinstance(layer, FloatPool | FloatRemap) else result


def _conv(layer: FloatConv, weight: Array, x: Array) -> Array:
    height, width, outputs = layer.output_shape
    bias = layer.bias.astype(x.dtype)
    if layer.kernel == layer.input_shape[:2] and not any(layer.pads) and layer.groups == 1:
        result = x.reshape(len(x), -1) @ weight[0]
        result += bias
        return result.reshape(len(x), height, width, outputs)
    x = _pad(x, layer.pads, layer.pad_value.astype(x.dtype))
    if layer.weight.shape[3] == 1 and layer.groups > 1:
        result = _depthwise(layer, weight, x)
    else:
        result = np.empty((len(x), height, width, outputs), x.dtype)
        inputs, each = layer.weight.shape[3], outputs // layer.groups
        for group in range(layer.groups):
            part = x[..., group * inputs : (group + 1) * inputs]
            columns = _patches(layer, part).reshape(len(x) * height * width, -1)
            product = (columns @ weight[group]).reshape(len(x), height, width, each)
            result[..., group * each : (group + 1) * each] = product
    result += bias
    return result


def _depthwise(layer: FloatConv, weight: Array, x: Array) -> Array:
    """Each output channel reads one input channel; result (N, H, W, O), x padded."""
    height, width, outputs = layer.output_shape
    each = outputs // layer.groups
    result = np.zeros((len(x), height, width, layer.groups, each), x.dtype)
    for dy in range(layer.kernel[0]):
        for dx in range(layer.kernel[1]):
            result += _tap(layer, x, dy, dx)[..., None] * weight[:, dy * layer.kernel[1] + dx]
    return result.reshape(len(x), height, width, outputs)


def _patches(layer: FloatConv, x: Array) -> Array:
    """im2col: what each output pixel reads of the padded map ``x``, (N, H, W, ...), in the order kh, kw, I."""
    height, width, _ = layer.output_shape
    rows, columns = layer.kernel
    if columns * x.shape[3] < 16 or layer.dilation[1] > 1:
        # Runs of few values: copying all pixels of one tap at a time is faster.
        patches = np.empty((len(x), height, width, rows, columns, x.shape[3]), x.dtype)
        for dy in range(rows):
            for dx in range(columns):
                patches[:, :, :, dy, dx] = _tap(layer, x, dy, dx)
        return patches
    x = np.ascontiguousarray(x)
    frame, row, pixel, value = x.strides
    # A kernel row is one run of memory, channels innermost, so that the copy moves whole rows.
    shape = (len(x), height, width, rows, columns * x.shape[3])
    strides = (frame, row * layer.stride[0], pixel * layer.stride[1], row * layer.dilation[0], value)
    return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False).copy()


def _pool(layer: FloatPool, x: Array) -> Array:
    maximum = layer.kind is PoolKind.MAX
    x = _pad(x, layer.pads, np.array(-inf if maximum else 0, x.dtype))
    result = _tap(layer, x, 0, 0).copy()
    combine: Any = np.maximum if maximum else np.add
    for dy in range(layer.kernel[0]):
        for dx in range(layer.kernel[1]):
            if dy or dx:
                combine(result, _tap(layer, x, dy, dx), out=result)
    if not maximum and layer.divisors is None:
        result /= prod(layer.kernel)
    elif not maximum and layer.divisors is not None:
        rows, columns = (np.array(part, x.dtype) for part in layer.divisors)
        result /= (rows[:, None] * columns)[..., None]
    return result


def _tap(layer: FloatConv | FloatPool, x: Array, dy: int, dx: int) -> Array:
    """What the kernel's position (dy, dx) reads for each output pixel of the padded map ``x``; a view."""
    height, width, _ = layer.output_shape
    (step_y, step_x) = layer.stride
    dy, dx = dy * layer.dilation[0], dx * layer.dilation[1]
    return x[:, dy : dy + (height - 1) * step_y + 1 : step_y, dx : dx + (width - 1) * step_x + 1 : step_x]


def _pad(x: Array, pads: tuple[int, int, int, int], value: Array) -> Array:
    if not any(pads):
        return x
    top, left, bottom, right = pads
    count, height, width, channels = x.shape
    padded = np.empty((count, height + top + bottom, width + left + right, channels), x.dtype)
    padded[:] = value
    padded[:, top : top + height, left : left + width] = x
    return padded


def _add(layer: FloatAdd, sources: list[Array]) -> Array:
    dtype = sources[0].dtype
    result = sources[0] * dtype.type(layer.factors[0])
    for source, factor in zip(sources[1:], layer.factors[1:], strict=True):
        result += source if factor == 1 else source * dtype.type(factor)
    result += layer.bias.astype(dtype)
    return result


def _remap(layer: FloatRemap, x: Array) -> Array:
    width = layer.input_shape[1] * layer.input_shape[2]
    place = layer.row_offset[:, None, None] + layer.columns[:, None] + layer.channels
    index = layer.rows[:, None, None] * width + place
    filled = (layer.rows < 0)[:, None, None] | (layer.columns < 0)[:, None] | (layer.channels < 0)
    index[filled] = 0
    result = x.reshape(len(x), -1)[:, index.reshape(-1)].reshape(len(x), *layer.output_shape)
    result[:, filled] = layer.fill
    return result


def _clip(x: Array, clip: tuple[float, float]) -> None:
    lo, hi = clip
    if lo > -inf:
        np.maximum(x, lo, out=x)
    if hi < inf:
        np.minimum(x, hi, out=x)
