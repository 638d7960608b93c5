"""The float twin: the same network on real numbers, as a training framework would fake-quantize it.

Weights are real (``weight_scale * level``), activations are real (``scale * integer``), biases are real. Nothing here
knows ``mul``, and still every integer equals the integer reference's, bit for bit: that is the proof that nothing is
approximated after quantization.

Why ties resolve alike. In exact arithmetic ``v / s_out = (acc * mul + add - half) / 2**shift`` lies on the grid of
multiples of ``2**-shift``, and (for a shift of 1 or more) so does ``v / s_out + 1/2``, whose floor is wanted. Floating
point is a little off, which matters only when the exact value is an integer (a tie): a hair too low, and the floor is
one too low. Adding ``2**-(shift + 1)``, half a step of that grid, moves every exact value to the middle between two
grid points. The floor stays the same, and is now right for any error below half a step. Errors are near
``2**-53 * abs(acc) * mul`` steps and the quantizer keeps ``abs(acc) * mul`` below ``2**47``.
"""

from __future__ import annotations

from typing import Literal, overload

import numpy as np
import numpy.typing as npt

from ..floatnet import PoolKind
from ..network import Conv, Layer, Network, Requant, Tensor
from .network import Values, frames_per_chunk
from .window import padded, patches, positions

__all__ = ["dequantized", "real_bias"]

Real = npt.NDArray[np.floating]


def real_bias(requant: Requant, scale: float) -> Real:
    """The real bias (O,) inside ``requant.add`` when one output unit is ``scale``; the rounding half is taken out."""
    half = (1 << requant.shift) >> 1
    return (requant.add - half) * (scale / 2.0**requant.shift)


def _real_convolution(layer: Conv, source: Tensor, x: Real) -> Real:
    weight = layer.weight_scale[:, None, None, None] * layer.codebook.decode(layer.codes)
    rows = patches(padded(x, layer.pads, source.scale * layer.pad_value, np.float64), layer.kernel, layer.stride)
    out = rows @ weight.reshape(weight.shape[0], -1).T + real_bias(layer.requant, layer.output.scale)
    return out.reshape(x.shape[0], *layer.output.shape)


def _layer(layer: Layer, source: Tensor, x: Real) -> Values:
    """Integers of the layer's output for the real input ``x``."""
    interval, scale, shift = layer.output.interval, layer.output.scale, 0
    if isinstance(layer, Conv):
        real = _real_convolution(layer, source, x)
        shift, lo, hi = layer.requant.shift, layer.requant.lo, layer.requant.hi
    elif layer.kind is PoolKind.MAX or layer.requant is None:
        windows = positions(padded(x, layer.pads, source.scale * source.interval.lo), layer.kernel, layer.stride)
        real = np.maximum.reduce(list(windows))
        lo, hi = interval.lo, interval.hi
    else:
        windows = positions(padded(x, layer.pads, 0.0), layer.kernel, layer.stride)
        real = np.add.reduce(list(windows)) / (layer.kernel[0] * layer.kernel[1])
        real = real + real_bias(layer.requant, scale)
        shift, lo, hi = layer.requant.shift, layer.requant.lo, layer.requant.hi
    # Without a shift the value is whole and the half alone separates it; a quarter then stays clear of both sides.
    return np.clip(np.floor(real / scale + 0.5 + 2.0 ** -(max(shift, 1) + 1)), lo, hi).astype(np.int32)


@overload
def dequantized(network: Network, x: npt.ArrayLike, *, every: Literal[False] = False) -> Values: ...
@overload
def dequantized(network: Network, x: npt.ArrayLike, *, every: Literal[True]) -> dict[str, Values]: ...
def dequantized(network: Network, x: npt.ArrayLike, *, every: bool = False) -> Values | dict[str, Values]:
    """Run the float twin on input integers ``x`` (N, H, W, C); arguments and result as of ``hwgen.reference.run``.

    Inputs are integers because the first rounding, raw data to input integers, is the same function for both.
    """
    data = np.asarray(x)
    wanted = [layer.output for layer in network.layers] if every else [network.output]
    results = {tensor.name: np.empty((data.shape[0], *tensor.shape), np.int32) for tensor in wanted}
    chunk = frames_per_chunk(network)
    for start in range(0, data.shape[0], chunk):
        reals: dict[str, Real] = {network.input.name: network.input.scale * data[start : start + chunk].astype(float)}
        for layer in network.layers:
            integers = _layer(layer, network.tensor(layer.source), reals[layer.source])
            reals[layer.output.name] = layer.output.scale * integers
            if layer.output.name in results:
                results[layer.output.name][start : start + chunk] = integers
    return results if every else results[network.output.name]
