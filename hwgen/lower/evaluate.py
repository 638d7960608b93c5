"""Runs a float network in NumPy: im2col and one matrix product per layer, in batches of bounded memory."""

from __future__ import annotations

from math import inf, prod
from typing import Literal, overload

import numpy as np
import numpy.typing as npt

from ..floatnet import FloatConv, FloatLayer, FloatNetwork, FloatPool, PoolKind

__all__ = ["evaluate"]

Array = npt.NDArray[np.floating]

_BATCH_VALUES = 1 << 23
"""Values in the largest intermediate array of a batch: few calls of BLAS, each of which has to start its threads."""


@overload
def evaluate(network: FloatNetwork, x: npt.ArrayLike, *, every: Literal[False] = False) -> Array: ...
@overload
def evaluate(network: FloatNetwork, x: npt.ArrayLike, *, every: Literal[True]) -> dict[str, Array]: ...


def evaluate(network: FloatNetwork, x: npt.ArrayLike, *, every: bool = False) -> Array | dict[str, Array]:
    """The output (N, H, W, C) of ``network`` for raw input ``x`` (N, H, W, C), or with ``every`` that of each layer.

    Computes in float64 when ``x`` is float64, else in float32. ``every``: a dict by layer name, in layer order.
    Raises ``ValueError`` when ``x`` has another shape.
    """
    x = np.asarray(x)
    if x.shape[1:] != network.input_shape or x.ndim != 4:
        raise ValueError(f"x must have shape (N, {', '.join(map(str, network.input_shape))}), not {x.shape}")
    dtype = np.dtype(np.float64 if x.dtype == np.float64 else np.float32)
    wanted = network.layers if every else network.layers[-1:]
    results = {layer.name: np.empty((len(x), *layer.output_shape), dtype) for layer in wanted}
    weights = {
        layer.name: np.ascontiguousarray(layer.weight.reshape(len(layer.weight), -1).T, dtype)
        for layer in network.layers
        if isinstance(layer, FloatConv)
    }
    batch = max(1, _BATCH_VALUES // max(_columns(layer) for layer in network.layers))
    for start in range(0, len(x), batch):
        part: Array = x[start : start + batch].astype(dtype)
        for layer in network.layers:
            part = _conv(layer, weights[layer.name], part) if isinstance(layer, FloatConv) else _pool(layer, part)
            _clip(part, layer.clip)
            if layer.name in results:
                results[layer.name][start : start + batch] = part
    return results if every else results[network.layers[-1].name]


def _columns(layer: FloatLayer) -> int:
    """Values of the largest array that one frame needs in ``layer``."""
    taps = prod(layer.kernel) if isinstance(layer, FloatConv) else 1
    return max(prod(layer.output_shape[:2]) * taps * layer.input_shape[2], prod(layer.output_shape))


def _conv(layer: FloatConv, weight: Array, x: Array) -> Array:
    height, width, outputs = layer.output_shape
    if layer.kernel == layer.input_shape[:2] and not any(layer.pads):
        columns = x.reshape(len(x), -1)
    else:
        x = _pad(x, layer.pads, layer.pad_value.astype(x.dtype))
        columns = _patches(layer, x).reshape(len(x) * height * width, -1)
    result = columns @ weight
    result += layer.bias.astype(x.dtype)
    return result.reshape(len(x), height, width, outputs)


def _patches(layer: FloatConv, x: Array) -> Array:
    """im2col: what each output pixel reads of the padded map ``x``, (N, H, W, ...), in the order kh, kw, I."""
    height, width, _ = layer.output_shape
    rows, columns = layer.kernel
    if columns * x.shape[3] < 16:
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
    strides = (frame, row * layer.stride[0], pixel * layer.stride[1], row, value)
    return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False).copy()


def _pool(layer: FloatPool, x: Array) -> Array:
    maximum = layer.kind is PoolKind.MAX
    x = _pad(x, layer.pads, np.array(-inf if maximum else 0, x.dtype))
    result = _tap(layer, x, 0, 0).copy()
    combine = np.maximum if maximum else np.add
    for dy in range(layer.kernel[0]):
        for dx in range(layer.kernel[1]):
            if dy or dx:
                combine(result, _tap(layer, x, dy, dx), out=result)
    if not maximum:
        result /= prod(layer.kernel)
    return result


def _tap(layer: FloatLayer, x: Array, dy: int, dx: int) -> Array:
    """What the kernel's position (dy, dx) reads for each output pixel of the padded map ``x``; a view."""
    height, width, _ = layer.output_shape
    (step_y, step_x) = layer.stride
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


def _clip(x: Array, clip: tuple[float, float]) -> None:
    lo, hi = clip
    if lo > -inf:
        np.maximum(x, lo, out=x)
    if hi < inf:
        np.minimum(x, hi, out=x)
