import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.errors import HwgenError
from hwgen.floatnet import FloatConv
from hwgen.interval import Interval
from hwgen.network import Tensor
from hwgen.quantize.conv import quantize_conv
from hwgen.quantize.formats import Format

SOURCE = Tensor("input", (4, 4, 2), Interval(0, 255), 0.5)
INPUTS = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 2))


def quantized(model, codebook, target):
    return quantize_conv(model, SOURCE, codebook, target, INPUTS, INPUTS)[0]


def layer(**changes):
    rng = np.random.default_rng(1)
    fields = {"weight": rng.normal(0, 1, (3, 3, 3, 2)), "bias": np.array([1.0, -2.0, 0.3])}
    fields |= {"input_shape": (4, 4, 2), "pad_value": np.array([0.0, 200.3]), "pads": (1, 1, 1, 1)}
    return FloatConv("conv1", "input", **(fields | changes))


@pytest.mark.parametrize("code", sorted(CODES))
def test_weight_scale_is_what_the_requantization_multiplies_back(code):
    conv = quantized(layer(), CODES[code], Format(Interval(-128, 127), 3.0))
    rule = conv.requant
    assert (conv.weight_scale == conv.output.scale / SOURCE.scale * rule.mul / 2.0**rule.shift).all()


def test_padding_is_in_input_units_and_may_leave_the_interval():
    conv = quantized(layer(), CODES["e2m1"], Format(Interval(-128, 127), 3.0))
    assert conv.pad_value.tolist() == [0, 401]


def test_the_clip_becomes_the_output_interval():
    conv = quantized(layer(clip=(0.0, 6.0)), CODES["e2m1"], Format(Interval(0, 255), 0.1))
    assert (conv.requant.lo, conv.requant.hi) == (0, 60)
    assert conv.output.interval == Interval(0, 60)


def test_biases_are_rounded_finely():
    conv = quantized(layer(), CODES["e2m1"], Format(Interval(-128, 127), 3.0))
    real = (conv.requant.add - (1 << conv.requant.shift - 1)) * 3.0 / 2.0**conv.requant.shift
    assert real == pytest.approx(layer().bias, abs=3.0 / 32)


def test_an_output_finer_than_the_accumulator_gets_a_coarser_unit():
    weight = np.ones((3, 3, 3, 2))
    conv = quantized(layer(weight=weight), CODES["ternary"], Format(Interval(-32768, 32767), 1e-9))
    assert conv.output.scale > 1e-9
    assert conv.requant.shift >= 1
    assert (conv.codebook.decode(conv.codes) == 1).all()


def test_too_wide_a_requantization_is_one_sentence():
    with pytest.raises(HwgenError, match=r"'conv1'.*too large"):
        quantized(layer(bias=np.full(3, 1e15)), CODES["pot5"], Format(Interval(-128, 127), 3.0))
