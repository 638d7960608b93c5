"""Bias correction: take out the mean error that weight rounding leaves in each output channel.

Rounded weights shift the mean of a channel, which the next layer cannot tell from signal. The shift is measured on
calibration data and subtracted from the bias (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization
and Bias Correction", in its empirical form), layer by layer, each on the quantized output of the layers before.

The mean error needs no convolution to run: it follows from the mean patch, see :mod:`hwgen.quantize.moments`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..floatnet import FloatConv
from ..network import Conv, Requant, Tensor
from ..reference.conv import ConvKernel, partial_sum_bound
from ..reference.dequantized import real_bias
from ..reference.requant import requantize
from .moments import mean_patch
from .requant import check_reach, round_half_up

__all__ = ["correct_bias", "mean_error"]

Real = npt.NDArray[np.float64]


def mean_error(
    layer: Conv, model: FloatConv, integers: npt.NDArray[np.integer], floats: npt.NDArray[np.floating]
) -> Real:
    """Mean of quantized minus float output before the clip, per channel, in real units: (O,) float64.

    integers, floats: the inputs (N, H, W, I) of the quantized and of the float layer, on the same samples.
    """
    quantized = mean_patch(model, integers, layer.pad_value)
    real = mean_patch(model, floats, model.pad_value)
    levels = layer.codebook.decode(layer.codes)
    requant, scale = layer.requant, layer.output.scale
    factor = requant.mul * (scale / 2.0**requant.shift)
    mean = np.einsum("oyxi,oyxi->o", levels, quantized) * factor + real_bias(requant, scale)
    return mean - (np.einsum("oyxi,oyxi->o", model.weight, real) + model.bias)


def correct_bias(
    layer: Conv,
    model: FloatConv,
    source: Tensor,
    integers: npt.NDArray[np.integer],
    floats: npt.NDArray[np.floating],
    target: npt.NDArray[np.floating],
    batch: int,
) -> tuple[Conv, npt.NDArray[np.int32]]:
    """``layer`` with corrected biases, and its output (N, OH, OW, O) int32 on ``integers``.

    integers, floats: inputs as of :func:`mean_error`; target: the float layer's output (N, OH, OW, O). A channel keeps
    its correction only if that lowers the squared error of its output after the clip. ``batch`` frames run at a time.
    """
    old = layer.requant
    step = round_half_up(mean_error(layer, model, integers, floats) / layer.output.scale * 2.0**old.shift)
    new = Requant(old.mul, old.add - step, old.shift, old.lo, old.hi)
    kernel = ConvKernel(layer, source.interval)
    outputs: list[list[npt.NDArray[np.int32]]] = [[], []]
    errors = np.zeros((2, old.mul.size))
    for start in range(0, len(integers), batch):
        acc = kernel.accumulate(integers[start : start + batch])
        for which, requant in enumerate((old, new)):
            y = requantize(acc, requant)
            outputs[which].append(y)
            errors[which] += np.square(layer.output.scale * y - target[start : start + batch]).sum(axis=(0, 1, 2))
    better = errors[1] < errors[0]
    requant = Requant(old.mul, np.where(better, new.add, old.add), old.shift, old.lo, old.hi)
    padding: np.ndarray | int = layer.pad_value if any(layer.pads) else 0
    check_reach(layer.name, partial_sum_bound(layer.codebook.decode(layer.codes), source.interval, padding), requant)
    output = np.where(better, np.concatenate(outputs[1]), np.concatenate(outputs[0]))
    return replace(layer, requant=requant), output
