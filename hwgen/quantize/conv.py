"""A float convolution to a coded one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..codes import Codebook
from ..floatnet import FloatConv
from ..interval import Interval
from ..network import Conv, Requant, Tensor
from ..reference.conv import partial_sum_bound
from .moments import variance_patch
from .requant import add_of, check_reach, clip_limits, round_half_up
from .weights import code_weights, smallest_ratio

__all__ = ["quantize_conv"]


def quantize_conv(
    layer: FloatConv,
    source: Tensor,
    codebook: Codebook,
    interval: Interval,
    scale: float,
    inputs: npt.NDArray[np.integer],
) -> Conv:
    """The coded convolution of ``layer``, reading ``source``, with an output inside ``interval`` in units of ``scale``.

    inputs: calibration integers (N, H, W, I) of ``source``. An error ``e`` in a weight makes output noise of power
    ``e**2 * var(input)`` (inputs taken as independent; the mean goes into the bias), so the scale of each channel is
    chosen for the least error weighted by the variance of the input under each weight.

    ``scale`` grows only where it is hundreds of times finer than one step of the accumulator could ever fill. The
    padding is what the model's zero is in input units, rounded; it may lie outside the input's interval. Raises
    :class:`HwgenError` when the accumulator could get too wide.
    """
    scale = max(scale, source.scale * smallest_ratio(layer.weight, codebook))
    pad_value = round_half_up(layer.pad_value / source.scale)
    importance = variance_patch(inputs, layer.kernel, layer.stride, layer.pads, pad_value)
    coded = code_weights(layer.weight, codebook, scale / source.scale, importance)
    lo, hi = clip_limits(layer.clip, scale, interval)
    requant = Requant(coded.mul, add_of(layer.bias, scale, coded.shift), coded.shift, lo, hi)
    levels = codebook.decode(coded.codes)
    padding: np.ndarray | int = pad_value if any(layer.pads) else 0
    check_reach(layer.name, partial_sum_bound(levels, source.interval, padding), requant)
    return Conv(
        name=layer.name,
        source=source.name,
        input_shape=source.shape,
        codes=coded.codes,
        codebook=codebook,
        weight_scale=coded.weight_scale,
        pad_value=pad_value,
        stride=layer.stride,
        pads=layer.pads,
        requant=requant,
        output=Tensor(layer.name, layer.output_shape, Interval(lo, hi), scale),
    )
