"""Coarse and fine weight splitting (CFWS, Yang et al. 2023, arXiv 2312.10588) of kernels whose centre dominates.

Re-parameterised convolutions (RepVGG) have the sum of a 3x3, a 1x1 and an identity branch in one kernel. The centre tap
then is so much larger than the others that one scale serves neither. The kernel becomes the sum of two::

    g         = max|C| / L                      one output channel's centre C, the largest level L of the codebook
    W_coarse  = C, rounded to levels times g    a 1x1 convolution
    W_fine    = W - W_coarse                    the old kernel with a small centre

The two are convolutions of their own, added up: 10 taps in the place of 9, and no weight changes until the fine part is
rounded. The paper's levels are -127..127; here they are those of the code that the engine runs, and ``g`` is rounded up
to the grid of requantization factors, by a fifth at most, so that the quantizer keeps the coarse levels as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor, inf, log2, sqrt
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...codes import Codebook
from ...floatnet import Coded, FloatAdd, FloatConv, FloatLayer, FloatNetwork, FloatRemap
from ..methods.method import Method, option
from ..scales import on_grid
from .graph import Names, replaced

__all__ = ["Split", "centre_ratio", "coarse_weights", "split_conv"]

NOTE = "the centre tap is a 1x1 convolution of its own, added to the rest of the kernel"

WIDEST_GAP = sqrt(1.2)
"""The nearest point of the grid of factors is at most this factor away: half of the way from 10 to 12."""


@dataclass(frozen=True)
class Split(Method):
    """Splits convolutions of odd kernels whose centre tap has more than ``ratio`` times the deviation of the others.

    ratio: of the root mean squares. The weights of Gaussian kernels gain, measured at 2, 4 and 10, 3.3, 9.5 and 17.5 dB
    in int8 and 2.2, 7.0 and 14.3 dB in E2M1; against that stand another tap, an addition, and two sums that are rounded
    to activations each. Trained kernels that were not re-parameterised stay below 2.4 (MLPerf Tiny, ResNet-20).
    """

    name: ClassVar[str] = "split"
    ratio: float = option(4.0, 0)

    def rewrite(self, network: FloatNetwork, codebook: Codebook) -> FloatNetwork:
        """``network`` with each such convolution in two, its outputs the same up to the rounding of a sum.

        Layers whose weights the model holds as codes stay. The coarse weights are ``coded`` by levels of ``codebook``.
        """
        names = Names(network)
        parts: dict[str, list[FloatLayer]] = {}
        for layer in network.layers:
            if isinstance(layer, FloatConv) and layer.coded is None and centre_ratio(layer.weight) > self.ratio:
                found = split_conv(layer, codebook, names)
                if found is not None:
                    parts[layer.name] = found
        return replaced(network, parts, {NOTE: list(parts)})


def centre_ratio(weight: npt.NDArray[np.float64]) -> float:
    """Root mean square of the centre tap over that of all others; 0 where there is no centre or nothing around it."""
    _, height, width, _ = weight.shape
    if height % 2 == 0 or width % 2 == 0 or height * width == 1:
        return 0.0
    energy = np.square(weight).sum(axis=(0, 3))
    centre = float(energy[height // 2, width // 2])
    others = float(energy.sum() - centre) / (height * width - 1)
    if centre == 0:
        return 0.0
    return sqrt(centre / others) if others > 0 else inf


def coarse_weights(centre: npt.NDArray[np.float64], codebook: Codebook) -> Coded:
    """The coarse part of ``centre`` (O, 1, 1, I): levels of ``codebook`` and each channel's ``g``, a legal scale.

    The scale has the few bits of a factor, so that ``levels * scale`` is exact in float64. So is what is left of the
    weight where 0 is a level: the nearest level leaves no more than the weight itself, and it is a multiple of the
    weight's last bit.
    """
    peak = np.abs(centre).reshape(len(centre), -1).max(axis=1)
    wanted = peak / codebook.max_level
    ratio = 2.0 ** floor(log2(float(wanted.max())))  # a power of two, so that scales have the few bits of a factor
    mul, shift = on_grid(wanted * WIDEST_GAP, ratio)
    scale = (ratio * mul / 2.0**shift).astype(np.float64)
    return Coded(codebook.nearest(centre / scale[:, None, None, None]), scale)


def split_conv(layer: FloatConv, codebook: Codebook, names: Names) -> list[FloatLayer] | None:
    """The layers in the place of ``layer``, the last with its name; None where all centre taps fall on padding.

    The 1x1 convolution reads the pixels under the centre taps: it has the part of the padding that they reach, and a
    remap before it cuts off the border that they do not.
    """
    channels = layer.input_shape[2]
    rows = _Axis.of(layer, 0)
    columns = _Axis.of(layer, 1)
    if rows.first >= rows.last or columns.first >= columns.last:
        return None
    middle = np.s_[:, layer.kernel[0] // 2 : layer.kernel[0] // 2 + 1, layer.kernel[1] // 2 : layer.kernel[1] // 2 + 1]
    coded = coarse_weights(layer.weight[middle], codebook)
    coarse_weight = coded.levels * coded.scale[:, None, None, None]
    fine_weight = layer.weight.copy()
    fine_weight[middle] -= coarse_weight

    nothing = np.zeros_like(layer.bias)
    plain = replace(layer, bias=nothing, clip=(-inf, inf), fixed=None)
    fine = replace(plain, name=names.new(f"{layer.name}_fine"), weight=fine_weight)
    found: list[FloatLayer] = [fine]
    source, shape = layer.source, (rows.last - rows.first, columns.last - columns.first, channels)
    if shape != layer.input_shape:
        source = names.new(f"{layer.name}_centre")
        offset, pixels = np.zeros(shape[0], np.int64), np.arange(columns.first, columns.last) * channels
        lines = np.arange(rows.first, rows.last)
        found.append(FloatRemap(source, layer.source, layer.input_shape, lines, offset, pixels, np.arange(channels)))
    coarse = replace(
        plain,
        name=names.new(f"{layer.name}_coarse"),
        source=source,
        weight=coarse_weight,
        input_shape=shape,
        pads=(rows.before, columns.before, rows.after, columns.after),
        dilation=(1, 1),
        coded=coded,
    )
    total = FloatAdd(
        layer.name, (fine.name, coarse.name), (1.0, 1.0), layer.bias, layer.output_shape, layer.clip, layer.fixed
    )
    return [*found, coarse, total]


@dataclass(frozen=True)
class _Axis:
    """What centre taps read along one axis: pixels ``first`` to ``last`` (not included), and padding around them."""

    first: int
    last: int
    before: int
    after: int

    @classmethod
    def of(cls, layer: FloatConv, axis: int) -> _Axis:
        length, outputs, step = layer.input_shape[axis], layer.output_shape[axis], layer.stride[axis]
        start = layer.kernel[axis] // 2 * layer.dilation[axis] - layer.pads[axis]
        end = start + (outputs - 1) * step + 1
        before, after = max(0, -start), max(0, end - length)
        if start <= 0 and (before + length + after - 1) // step + 1 == outputs:
            return cls(0, length, before, after)  # what a stride leaves over at the end need not be cut off
        return cls(max(0, start), min(end, length), before, after)
