"""Gradients of a convolution, one kernel position at a time, so that no im2col is kept.

With G groups, I inputs and P outputs per group, each position is one matrix product per group for the weights and one
for the source, done by BLAS for all groups at once; a depthwise layer has too little in each for that, and sums
products element by element instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..floatnet import FloatConv
from ..reference.window import padded, positions
from .window import unpadded

__all__ = ["ConvGradient", "conv_gradient"]

Array = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class ConvGradient:
    """weight, bias: sums over the frames, in the shapes of the layer's; weight_squares, bias_squares: sums over the
    frames of the squared gradients of each frame; source: (N, H, W, C)."""

    weight: Array
    bias: Array
    weight_squares: Array | None = None
    bias_squares: Array | None = None
    source: Array | None = None


def conv_gradient(
    layer: FloatConv, x: Array, gradient: Array, *, source: bool = True, squares: bool = False
) -> ConvGradient:
    """Gradients of ``layer`` at its source ``x``, from the ``gradient`` of its result before the clip, (N, H, W, O).

    ``source`` and ``squares`` say whether those parts are wanted.
    """
    if layer.kernel != (1, 1) and layer.kernel == layer.input_shape[:2] and layer.groups == 1 and not any(layer.pads):
        return _dense(layer, x, gradient, source=source, squares=squares)
    groups, (outputs, rows, columns, inputs) = layer.groups, layer.weight.shape
    frames, height, width, _ = gradient.shape
    result = gradient.reshape(frames, height * width, groups, outputs // groups)
    weight = layer.weight.astype(x.dtype).reshape(groups, outputs // groups, rows * columns, inputs)
    maps = padded(x, layer.pads, layer.pad_value.astype(x.dtype))
    back = np.zeros_like(maps) if source else None
    sums, square_sums = np.zeros_like(weight), np.zeros_like(weight)
    window = layer.kernel, layer.stride, layer.dilation
    for tap, pixels in enumerate(positions(maps, *window)):
        read = pixels.reshape(frames, height * width, groups, inputs)
        sums[:, :, tap] = _product(result, read)
        if squares:
            square_sums[:, :, tap] = _squares(result, read)
    if back is not None:
        for tap, pixels in enumerate(positions(back, *window)):
            pixels += _spread(result, weight[:, :, tap]).reshape(pixels.shape)
    per_frame = gradient.sum(axis=(1, 2))
    return ConvGradient(
        sums.reshape(layer.weight.shape),
        per_frame.sum(axis=0),
        square_sums.reshape(layer.weight.shape) if squares else None,
        np.square(per_frame).sum(axis=0) if squares else None,
        None if back is None else unpadded(back, layer.pads),
    )


def _dense(layer: FloatConv, x: Array, gradient: Array, *, source: bool, squares: bool) -> ConvGradient:
    """A kernel that covers its input is a pointwise layer of one pixel: one product instead of one per position."""
    inputs = layer.weight[0].size
    point = replace(
        layer,
        weight=layer.weight.reshape(-1, 1, 1, inputs),
        input_shape=(1, 1, inputs),
        pad_value=np.zeros(inputs),
        stride=(1, 1),
        dilation=(1, 1),
    )
    made = conv_gradient(point, x.reshape(len(x), 1, 1, inputs), gradient, source=source, squares=squares)
    return replace(
        made,
        weight=made.weight.reshape(layer.weight.shape),
        weight_squares=None if made.weight_squares is None else made.weight_squares.reshape(layer.weight.shape),
        source=None if made.source is None else made.source.reshape(x.shape),
    )


def _product(result: Array, read: Array) -> Array:
    """(G, P, I): the sum over frames and pixels of ``result`` (N, R, G, P) times ``read`` (N, R, G, I)."""
    groups, inputs = read.shape[2:]
    if inputs == 1 and groups > 1:
        return np.einsum("nrgp,nrgi->gpi", result, read)
    across = result.reshape(-1, groups, result.shape[3]).transpose(1, 2, 0)
    product: Array = across @ read.reshape(-1, groups, inputs).transpose(1, 0, 2)
    return product


def _squares(result: Array, read: Array) -> Array:
    """The same of one frame, squared, and summed over the frames."""
    if read.shape[1] == 1:  # one pixel: the square of a product is the product of the squares
        return _product(np.square(result), np.square(read))
    if read.shape[3] == 1 and read.shape[2] > 1:
        frames = np.einsum("nrgp,nrgi->ngpi", result, read)
    else:
        frames = result.transpose(0, 2, 3, 1) @ read.transpose(0, 2, 1, 3)
    return np.square(frames).sum(axis=0)


def _spread(result: Array, weight: Array) -> Array:
    """(N, R, G, I): ``result`` (N, R, G, P) times ``weight`` (G, P, I)."""
    frames, pixels, groups, outputs = result.shape
    if weight.shape[2] == 1 and groups > 1:
        return np.einsum("nrgp,gpi->nrgi", result, weight)
    rows = result.reshape(frames * pixels, groups, outputs).transpose(1, 0, 2) @ weight
    return rows.transpose(1, 0, 2).reshape(frames, pixels, groups, -1)
