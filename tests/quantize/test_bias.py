from dataclasses import replace
from math import inf

import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.floatnet import FloatInput, FloatNetwork
from hwgen.interval import Interval
from hwgen.lower import evaluate
from hwgen.network import Requant, Tensor
from hwgen.quantize.bias import correct_bias, mean_error
from hwgen.quantize.conv import quantize_conv
from hwgen.quantize.formats import Format
from hwgen.reference.conv import ConvKernel
from hwgen.reference.dequantized import real_bias
from hwgen.reference.requant import requantize

from .conftest import random_conv


@pytest.fixture(params=[{}, {"groups": 2, "dilation": (2, 1)}], ids=["dense", "depthwise"])
def case(request):
    """A layer in a coarse code, on pixels: (float layer, coded layer, source, pixels, output)."""
    rng, outputs = np.random.default_rng(1), 4
    model = random_conv(
        rng, "conv1", "input", (8, 9, 2), outputs, (3, 3), pads=(1, 1, 1, 0), clip=(0, inf), **request.param
    )
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 9, 2)).astype(np.uint8)
    model = replace(model, weight=model.weight / 100, pad_value=np.array([100.0, 3.0]))
    source = Tensor("input", (8, 9, 2), Interval(0, 255), 1.0)
    output = _output(model, pixels)
    target = Format(Interval(0, 255), output.max() / 255)
    layer, _ = quantize_conv(model, source, CODES["ternary"], target, pixels, pixels)
    return model, layer, source, pixels, output


def test_mean_error_is_that_of_the_accumulators(case):
    model, layer, source, pixels, _ = case
    acc = ConvKernel(layer, source.interval).accumulate(pixels).astype(float)
    quantized = acc * layer.requant.mul * layer.output.scale / 2.0**layer.requant.shift
    quantized += real_bias(layer.requant, layer.output.scale)
    free = replace(model, clip=(-np.inf, np.inf))
    network_output = _output(free, pixels)
    expected = (quantized - network_output).mean(axis=(0, 1, 2))
    assert mean_error(layer, model, pixels, pixels) == pytest.approx(expected)


def _output(model, pixels):
    network = FloatNetwork("one", (FloatInput("input", model.input_shape),), (model,), (model.name,))
    return evaluate(network, pixels.astype(float))


def test_the_mean_error_falls_and_no_channel_gets_worse(case):
    model, layer, source, pixels, output = case
    corrected, result = correct_bias(layer, model, source, pixels, pixels, output, batch=7)
    before, after = (np.abs(mean_error(each, model, pixels, pixels)) for each in (layer, corrected))
    assert (after <= before).all()
    changed = corrected.requant.add != layer.requant.add
    assert changed.any()
    # What is left is the rounding of the bias itself: half a step of 2**-shift output units.
    assert (after[changed] <= layer.output.scale / 2.0 ** (layer.requant.shift + 1) * (1 + 1e-6)).all()
    assert after.sum() < 0.5 * before.sum()

    old, new = (layer.output.scale * ConvKernel(each, source.interval)(pixels) for each in (layer, corrected))
    errors = [np.square(each - output).sum(axis=(0, 1, 2)) for each in (old, new)]
    assert (errors[1] <= errors[0]).all()
    assert errors[1].sum() < errors[0].sum()
    assert (result == ConvKernel(corrected, source.interval)(pixels)).all()


def test_a_correction_that_does_not_help_is_dropped(case):
    """A channel that the clip always silences keeps its bias: correcting its mean would change nothing that is seen."""
    model, layer, source, pixels, output = case
    silent = replace(model, bias=np.full(4, -1e3))
    rule = layer.requant
    shifted = np.full(4, -1000 * (1 << rule.shift))
    layer = replace(layer, requant=Requant(rule.mul, shifted, rule.shift, rule.lo, rule.hi))
    corrected, result = correct_bias(layer, silent, source, pixels, pixels, np.zeros_like(output), batch=64)
    assert (corrected.requant.add == shifted).all()
    assert not result.any()
    assert (requantize(ConvKernel(layer, source.interval).accumulate(pixels), layer.requant) == result).all()
