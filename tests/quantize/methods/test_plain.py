"""Plain rounding, linear and logarithmic."""

import numpy as np
import pytest

from hwgen.codes import CODES, Rounding
from hwgen.quantize.methods import method_of
from hwgen.quantize.methods.plain import Plain, plain

from .common import check_network, weights_only
from .problems import LAYERS, case


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("code", ["pot3", "pot4", "e2m1", "pot4-nozero"])
def test_logarithmic_rounding_has_the_least_ratio_at_the_same_scales(kind, code):
    asked = weights_only(case(kind)[0], CODES[code])
    linear, log = (Plain(rounding).coder(None, None)(asked) for rounding in ("linear", "log"))
    assert (linear.weight_scale == log.weight_scale).all()
    assert (linear.mul == log.mul).all()
    assert linear.shift == log.shift
    ratio = asked.weight / log.weight_scale[:, None, None, None]
    levels = CODES[code].sorted_levels
    # Beyond the smallest magnitude no level is nearer by its ratio; nearer to zero the boundary is half of it.
    outside = np.abs(ratio) > np.abs(levels[levels != 0]).min()
    chosen = CODES[code].decode(log.codes)[outside]
    same_sign = levels[:, None] * ratio[outside] > 0
    off = np.abs(np.log(np.where(same_sign, levels[:, None] / ratio[outside], np.inf)))
    assert np.abs(np.log(chosen / ratio[outside])) == pytest.approx(off.min(axis=0))


@pytest.mark.parametrize("code", ["pot3", "pot4"])
def test_powers_of_two_differ_between_the_root_of_two_and_one_and_a_half(code):
    asked = weights_only(case("dense")[0], CODES[code])
    linear, log = plain(asked), plain(asked, Rounding.LOGARITHMIC)
    magnitude = np.abs(asked.weight / log.weight_scale[:, None, None, None])
    octave = np.exp2(np.floor(np.log2(magnitude)))
    between = (np.sqrt(2) < magnitude / octave) & (magnitude / octave < 1.5)
    between &= (octave >= 1) & (magnitude < CODES[code].max_level)
    assert between.sum() > 3
    assert ((linear.codes != log.codes) == between).all()
    assert (np.abs(CODES[code].decode(log.codes))[between] == 2 * octave[between]).all()


def test_whole_networks(float_network):
    assert method_of("plain").methods == (Plain("linear"),)
    check_network(float_network(0), "plain:rounding=log", "pot3")
