from math import inf

import numpy as np
import pytest

from hwgen.floatnet import FloatConcat
from hwgen.interval import Interval
from hwgen.network import Rescale, Tensor
from hwgen.quantize.concat import quantize_concat
from hwgen.quantize.factors import WORST
from hwgen.quantize.formats import Format
from hwgen.reference.concat import concat

BYTE, SIGNED = Interval(0, 255), Interval(-128, 127)


def layer(*channels, clip=(-inf, inf)):
    shapes = tuple((2, 2, count) for count in channels)
    return FloatConcat("merged", tuple(f"x{index}" for index in range(len(channels))), shapes, clip)


def source(index, channels, interval, scale):
    return Tensor(f"x{index}", (2, 2, channels), interval, scale)


def test_what_has_the_unit_passes_and_what_has_not_is_rescaled():
    sources = [source(0, 1, SIGNED, 0.5), source(1, 2, Interval(0, 40), 0.5), source(2, 3, BYTE, 0.3)]
    found = quantize_concat(layer(1, 2, 3), sources, Format(SIGNED, 0.5))
    assert found.rescale[:2] == (None, None)
    assert found.output.interval == SIGNED
    assert found.output.shape == (2, 2, 6)
    rng = np.random.default_rng(0)
    maps = [rng.integers(s.interval.lo, s.interval.hi + 1, (20, *s.shape)) for s in sources]
    values = concat(found, *maps)
    real = np.concatenate([s.scale * x for s, x in zip(sources, maps, strict=True)], axis=-1)
    assert np.abs(values * 0.5 - np.clip(real, -64, 63.5)).max() <= 0.5 * (0.5 + 255 * WORST)


def test_the_interval_is_that_of_what_can_occur():
    sources = [source(0, 1, Interval(0, 10), 1.0), source(1, 1, Interval(0, 100), 0.5)]
    found = quantize_concat(layer(1, 1), sources, Format(SIGNED, 1.0))
    assert found.rescale == (None, Rescale(1, 1, 1, 0, 50))
    assert found.output.interval == Interval(0, 50)


@pytest.mark.parametrize("scale", [1.0, 0.7])
def test_a_clip_holds_for_every_source(scale):
    sources = [source(0, 1, SIGNED, scale), source(1, 1, Interval(0, 5), 1.0)]
    found = quantize_concat(layer(1, 1, clip=(0.0, 6.0)), sources, Format(SIGNED, 1.0))
    assert found.rescale[1] is None
    assert (found.rescale[0].lo, found.rescale[0].hi) == (0, 6)
    assert found.output.interval == Interval(0, 6)


def test_a_source_wider_than_the_output_saturates():
    found = quantize_concat(layer(1), [source(0, 1, BYTE, 1.0)], Format(SIGNED, 1.0))
    assert found.rescale == (Rescale(1, 0, 0, 0, 127),)
