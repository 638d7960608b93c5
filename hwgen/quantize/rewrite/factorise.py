"""Quantization-aware CP factorisation: one spatial convolution as four cheap ones whose weights are codes.

A kernel kh x kw from C to K channels of CP rank R (:mod:`.cp`) is a 1x1 convolution to R channels, a depthwise kh x 1,
a depthwise 1 x kw, and a 1x1 convolution to K channels: ``R * (C + kh + kw + K)`` weights in the place of
``C * kh * kw * K``. All four have their weights on the grid of the code before anything is quantized, and the quantizer
keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, prod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...codes import Codebook
from ...floatnet import Coded, FloatConv, FloatLayer, FloatNetwork
from ..methods.method import Method, option
from .cp import CodedFactors, Factors, cp_admm, cp_als, cp_bound, relative_error
from .graph import Names, replaced

__all__ = ["RANKS", "Factorise", "factor_layers", "macs", "parameters"]

NOTE = "factorised into a 1x1, a vertical, a horizontal and a 1x1 convolution"

RANKS = tuple(base << octave for octave in range(8) for base in (4, 6))
"""Ranks that are tried, ascending: two per octave from 4 to 768."""


@dataclass(frozen=True)
class Factorise(Method):
    """Replaces the convolutions that come out with fewer multiplications and a small enough error.

    rank: that of every CP, or None for the smallest of :data:`RANKS` with ``error``. error: largest relative error of
    the kernel, before its factors are rounded; 0.1 is about the noise of E2M1 rounding, and 0.2, that of PoT4, costs
    ResNet-20 without retraining 5 points in eight layers, and 2 more for coding the factors. share: multiplications
    that may be left, of those before; three more layers should save some. seed: of ALS's random start.
    """

    name: ClassVar[str] = "factorise"
    rank: int | None = option(None, 1)
    error: float = option(0.1, 0, 1)
    share: float = option(0.75, 0, 1)
    seed: int = option(0, 0)

    def rewrite(self, network: FloatNetwork, codebook: Codebook) -> FloatNetwork:
        """``network`` with its factorised convolutions.

        Left alone are grouped and 1-dimensional kernels, and weights that the model holds as codes.
        """
        names = Names(network)
        parts: dict[str, list[FloatLayer]] = {}
        for layer in network.layers:
            if isinstance(layer, FloatConv) and (found := self._factors(layer)) is not None:
                coded = cp_admm(layer.weight, len(found[1]), codebook, start=found)
                parts[layer.name] = factor_layers(layer, coded, names)
        return replaced(network, parts, {NOTE: list(parts)})

    def _factors(self, layer: FloatConv) -> Factors | None:
        """Real factors of ``layer``; None where it is not worth it."""
        if layer.groups > 1 or layer.coded is not None or min(layer.kernel) == 1 or not layer.weight.any():
            return None
        limit = self.share * prod(layer.output_shape) * layer.weight[0].size
        for rank in RANKS if self.rank is None else (self.rank,):
            if macs(layer, rank) >= limit:
                return None
            if cp_bound(layer.weight, rank) <= self.error:
                factors = cp_als(layer.weight, rank, self.seed)
                if relative_error(layer.weight, factors) <= self.error:
                    return factors
        return None


def parameters(weight_shape: tuple[int, ...], rank: int) -> int:
    """Weights of the four layers for a kernel (O, kh, kw, I)."""
    return rank * sum(weight_shape)


def macs(layer: FloatConv, rank: int) -> int:
    """Multiplications per frame of the four layers in the place of ``layer``, which has one group."""
    in_height, in_width, inputs = layer.input_shape
    height, width, outputs = layer.output_shape
    kh, kw = layer.kernel
    return rank * (in_height * in_width * inputs + height * in_width * kh + height * width * (kw + outputs))


def factor_layers(layer: FloatConv, factors: CodedFactors, names: Names) -> list[FloatLayer]:
    """The four layers in the place of ``layer``, the last with its name, bias, clip and format.

    Padding is that of the two depthwise layers. They pad with what the first one makes of a padding pixel, and the
    second with what the vertical one makes of a column of those.
    """
    rank = len(factors.inputs.levels)
    top, left, bottom, right = layer.pads
    _, rows, columns, inputs = factors.values
    free = replace(
        layer, bias=np.zeros(rank), pads=(0, 0, 0, 0), clip=(-inf, inf), stride=(1, 1), dilation=(1, 1), fixed=None
    )
    first = _conv(replace(free, name=names.new(f"{layer.name}_in")), factors.inputs, (1, 1))
    outside = inputs @ layer.pad_value
    vertical = replace(
        free,
        name=names.new(f"{layer.name}_rows"),
        source=first.name,
        input_shape=first.output_shape,
        pad_value=outside,
        stride=(layer.stride[0], 1),
        pads=(top, 0, bottom, 0),
        dilation=(layer.dilation[0], 1),
        groups=rank,
    )
    vertical = _conv(vertical, factors.rows, (layer.kernel[0], 1))
    horizontal = replace(
        vertical,
        name=names.new(f"{layer.name}_columns"),
        source=vertical.name,
        input_shape=vertical.output_shape,
        pad_value=outside * rows.sum(axis=1),
        stride=(1, layer.stride[1]),
        pads=(0, left, 0, right),
        dilation=(1, layer.dilation[1]),
    )
    horizontal = _conv(horizontal, factors.columns, (1, layer.kernel[1]))
    last = replace(
        free,
        name=layer.name,
        source=horizontal.name,
        bias=layer.bias,
        input_shape=horizontal.output_shape,
        pad_value=outside * rows.sum(axis=1) * columns.sum(axis=1),
        clip=layer.clip,
        fixed=layer.fixed,
    )
    return [first, vertical, horizontal, _conv(last, factors.outputs, (1, 1))]


def _conv(layer: FloatConv, factor: Coded, kernel: tuple[int, int]) -> FloatConv:
    """``layer`` with the weights of ``factor`` (O, M), ``M = kh * kw * I / groups``."""
    levels: npt.NDArray[np.int64] = factor.levels.reshape(len(factor.levels), *kernel, -1)
    return replace(layer, weight=levels * factor.scale[:, None, None, None], coded=Coded(levels, factor.scale))
