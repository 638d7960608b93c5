"""A float convolution to a coded one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..codes import CODES, Codebook
from ..floatnet import FloatConv
from ..interval import Interval
from ..network import Conv, Requant, Tensor
from ..reference.conv import partial_sum_bound
from .coded import book_of, exact_codes, integers_of
from .formats import Format
from .gram import measure, sampled
from .methods import Coder, Problem
from .methods.plain import plain
from .moments import variance_patch
from .requant import add_of, check_reach, clip_limits, round_half_up
from .scales import CodedWeights, smallest_ratio

__all__ = ["quantize_conv"]


def quantize_conv(
    layer: FloatConv,
    source: Tensor,
    codebook: Codebook,
    target: Format,
    inputs: npt.NDArray[np.integer],
    floats: npt.NDArray[np.floating],
    coder: Coder = plain,
) -> tuple[Conv, CodedWeights]:
    """The coded convolution of ``layer``, reading ``source``, with an output inside ``target``, and its weights.

    inputs: calibration integers (N, H, W, I) of ``source``. An error ``e`` in a weight makes output noise of power
    ``e**2 * var(input)`` (inputs taken as independent; the mean goes into the bias), so each weight's importance is the
    variance of its input. floats: the float layer's inputs on the same samples. coder: chooses scales and codes.

    Weights that the model holds as codes keep them, and a codebook of their own; where their scales are off the grid of
    factors they are rounded anew to that codebook. The scale of ``target`` gives way a few percent to such codes, and
    grows where it is hundreds of times finer than one step of the accumulator could ever fill. The padding is what the
    model's zero is in input units, rounded; it may lie outside the input's interval. Raises :class:`HwgenError` when
    the accumulator could get too wide.
    """
    pad_value = round_half_up(layer.pad_value / source.scale)
    scale, coded = _codes(layer, source, codebook, target.scale, inputs, pad_value, floats, coder)
    codebook = coded.codebook
    # A format that the model prescribes limits the values, not the integers of another unit.
    lo, hi = clip_limits(target.real if layer.fixed is not None else layer.clip, scale, target.interval)
    requant = Requant(coded.mul, add_of(layer.bias, scale, coded.shift), coded.shift, lo, hi)
    padding: np.ndarray | int = pad_value if any(layer.pads) else 0
    check_reach(layer.name, partial_sum_bound(codebook.decode(coded.codes), source.interval, padding), requant)
    conv = Conv(
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
        dilation=layer.dilation,
        groups=layer.groups,
    )
    return conv, coded


def _codes(
    layer: FloatConv,
    source: Tensor,
    codebook: Codebook,
    scale: float,
    inputs: npt.NDArray[np.integer],
    pad_value: npt.NDArray[np.int64],
    floats: npt.NDArray[np.floating],
    coder: Coder,
) -> tuple[float, CodedWeights]:
    """Output scale and weights: the model's own codes where it has them and they fit, else what ``coder`` makes."""
    if layer.coded is not None and (own := book_of(layer.coded.levels)) is not None:
        if (found := exact_codes(layer.coded, own, source.scale, scale, keep=layer.fixed is not None)) is not None:
            return found
        # Levels that no scale can keep may fall between those that occur.
        codebook = own if own.name in CODES else integers_of(layer.coded.levels) or own
    scale = max(scale, source.scale * smallest_ratio(layer.weight, codebook))
    importance = variance_patch(layer, inputs, pad_value)
    problem = Problem(
        layer,
        codebook,
        scale / source.scale,
        importance,
        lambda: measure(layer, source.scale, inputs, pad_value, floats),
        lambda count: sampled(layer, source.scale, inputs, pad_value, floats, count),
    )
    return scale, coder(problem)
