"""The float twin: the same network on real numbers, as a training framework would fake-quantize it.

Weights are real (``weight_scale * level``), activations are real (``scale * integer``), biases are real, an average
divides by its window's area. None of these knows ``mul``, and still every integer equals the integer reference's, bit
for bit: that is the proof that nothing is approximated after quantization.

Where tensors of different units meet (an addition, a concatenation) or an average divides by more than one number, the
quantizer has to choose among the factors that the hardware has. The network holds no other record of such a factor
than ``mul``, so here it is the real number that ``mul`` stands for, see :func:`real_factor`. A table holds integers
only, and moving values changes none.

Why ties resolve alike. In exact arithmetic ``v / s_out = (acc * mul + add - half) / 2**shift`` lies on the grid of
multiples of ``2**-shift``, and (for a shift of 1 or more) so does ``v / s_out + 1/2``, whose floor is wanted. Floating
point is a little off, which matters only when the exact value is an integer (a tie): a hair too low, and the floor is
one too low. Adding ``2**-(shift + 1)``, half a step of that grid, moves every exact value to the middle between two
grid points. The floor stays the same, and is now right for any error below half a step. Errors are near
``2**-53 * abs(acc) * mul`` steps (for an addition, that of the sum of its addends' magnitudes) and the quantizer keeps
``abs(acc) * mul`` below ``2**47``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from ..floatnet import PoolKind
from ..network import Add, Concat, Conv, Layer, Network, Pool, Remap, Requant, Rescale, Table, Tensor
from .conv import grouped_product
from .pool import factor_index
from .remap import remap
from .walk import by_name, results_of, walk
from .window import padded, positions

__all__ = ["dequantized", "real_bias", "real_factor"]

Real = npt.NDArray[np.float64]
Values = npt.NDArray[np.int32]


def real_bias(requant: Requant | Rescale | Add, scale: float) -> Any:
    """The real bias inside ``requant.add`` when one output unit is ``scale``; the rounding half is taken out."""
    half = (1 << requant.shift) >> 1
    return (requant.add - half) * (scale / 2.0**requant.shift)


def real_factor(mul: npt.ArrayLike, shift: int, source: Tensor, output: Tensor) -> Any:
    """The real factor between ``source`` and ``output`` that ``mul >> shift`` stands for."""
    return np.asarray(mul) * (output.scale / source.scale / 2.0**shift)


def _rounded(real: Real, scale: float, shift: int, lo: int, hi: int) -> Values:
    """Integers in units of ``scale``, for values on the grid of ``2**-shift`` units: see the module's text."""
    # Without a shift the value is whole and the half alone separates it; a quarter then stays clear of both sides.
    return np.clip(np.floor(real / scale + 0.5 + 2.0 ** -(max(shift, 1) + 1)), lo, hi).astype(np.int32)


def _conv(layer: Conv, source: Tensor, x: Real) -> Values:
    weight = layer.weight_scale[:, None, None, None] * layer.codebook.decode(layer.codes)
    maps = padded(x, layer.pads, source.scale * layer.pad_value, np.float64)
    real = grouped_product(layer, maps, weight) + real_bias(layer.requant, layer.output.scale)
    return _rounded(real, layer.output.scale, layer.requant.shift, layer.requant.lo, layer.requant.hi)


def _pool(layer: Pool, source: Tensor, x: Real) -> Values:
    walk, output, requant = (layer.kernel, layer.stride, layer.dilation), layer.output, layer.requant
    if layer.kind is PoolKind.MAX or requant is None:
        windows = positions(padded(x, layer.pads, source.scale * source.interval.lo), *walk)
        return _rounded(np.maximum.reduce(list(windows)), output.scale, 0, output.interval.lo, output.interval.hi)
    total = np.add.reduce(list(positions(padded(x, layer.pads, 0.0), *walk)))
    index = factor_index(layer)
    if layer.divisors is None:
        average = total / (layer.kernel[0] * layer.kernel[1])
    else:
        average = total * real_factor(requant.mul[index], requant.shift, source, output)
    real = average + real_bias(requant, output.scale)[index]
    return _rounded(real, output.scale, requant.shift, requant.lo, requant.hi)


def _add(layer: Add, sources: Sequence[Tensor], maps: Sequence[Real]) -> Values:
    real = real_bias(layer, layer.output.scale)
    for mul, source, x in zip(layer.mul, sources, maps, strict=True):
        real = real + real_factor(mul, layer.shift, source, layer.output) * x
    return _rounded(real, layer.output.scale, layer.shift, layer.lo, layer.hi)


def _concat(layer: Concat, sources: Sequence[Tensor], maps: Sequence[Real]) -> Values:
    parts, output = [], layer.output
    for rule, source, x in zip(layer.rescale, sources, maps, strict=True):
        if rule is None:
            parts.append(_rounded(x, output.scale, 0, output.interval.lo, output.interval.hi))
        else:
            real = real_factor(rule.mul, rule.shift, source, output) * x + real_bias(rule, output.scale)
            parts.append(_rounded(real, output.scale, rule.shift, rule.lo, rule.hi))
    return np.concatenate(parts, axis=-1)


def _table(layer: Table, source: Tensor, x: Real) -> Values:
    entry = np.rint(x / source.scale).astype(np.int64) - source.interval.lo
    channel = np.arange(x.shape[3]) if len(layer.values) > 1 else 0
    return layer.values[channel, entry].astype(np.int32)


def _integers(layer: Layer, sources: Sequence[Tensor], maps: Sequence[Real]) -> Values:
    """Integers of the layer's output for real inputs ``maps``."""
    match layer:
        case Conv():
            return _conv(layer, sources[0], maps[0])
        case Pool():
            return _pool(layer, sources[0], maps[0])
        case Add():
            return _add(layer, sources, maps)
        case Concat():
            return _concat(layer, sources, maps)
        case Table():
            return _table(layer, sources[0], maps[0])
        case Remap():
            scale, interval = layer.output.scale, layer.output.interval
            return _rounded(remap(layer, maps[0], layer.fill * scale), scale, 0, interval.lo, interval.hi)


@overload
def dequantized(
    network: Network, x: npt.ArrayLike | Mapping[str, npt.ArrayLike], *, every: Literal[False] = False
) -> Any: ...
@overload
def dequantized(
    network: Network, x: npt.ArrayLike | Mapping[str, npt.ArrayLike], *, every: Literal[True]
) -> dict[str, Values]: ...
def dequantized(network: Network, x: npt.ArrayLike | Mapping[str, npt.ArrayLike], *, every: bool = False) -> Any:
    """Run the float twin on input integers ``x``; arguments and result as of ``hwgen.reference.run``.

    Inputs are integers because the first rounding, raw data to input integers, is the same function for both.
    """
    tensors = network.tensors

    def compute(layer: Layer, *integers: npt.NDArray[np.integer]) -> Values:
        sources = [tensors[name] for name in layer.sources]
        maps = [source.scale * values.astype(np.float64) for source, values in zip(sources, integers, strict=True)]
        return _integers(layer, sources, maps)

    return results_of(network, walk(network, by_name(network, x), compute, every=every), every=every)
