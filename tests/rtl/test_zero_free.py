"""Layers in codes without zero equal the reference: where a design takes code 0 for nothing, these do not."""

import numpy as np
import pytest

import hwgen.rtl.conv
import hwgen.rtl.pe
from hwgen.codes import CODES
from hwgen.interval import Interval
from hwgen.rtl.conv import ConvEngine
from hwgen.sizing.bounds import accumulators
from hwgen.sizing.folding import Folding
from hwgen.sizing.product import recipe

from ..networks import BYTE, SIGNED, conv, depthwise, frames, tensor
from .drive import assert_exact
from .mutants import mutate
from .test_conv import extremes

ZERO_FREE = sorted(name for name, book in CODES.items() if book.zero_free)
STALLS = [{}, {"stall_in": 0.3, "stall_out": 0.5, "seed": 3}, {"stall_out": 0.9, "seed": 4}]

# name: (input shape, outputs, kernel, options, foldings as (pe, simd, lanes)); channels with few divisors, and foldings
# that leave a word of each pixel, or a set of channels, for a turn of its own.
LAYERS = {
    "dense": ((2, 3, 5), 6, (2, 3), {}, [(3, 5, 1), (2, 1, 2), (6, 5, 6)]),
    "dense on one pixel": ((1, 1, 7), 5, (1, 1), {}, [(5, 1, 1), (1, 7, 1)]),
    "padded 3x3": ((4, 3, 3), 5, (3, 3), {"pads": (1, 1, 1, 1)}, [(1, 3, 1), (5, 1, 1)]),
    "padding wider than the kernel": ((2, 3, 2), 4, (2, 2), {"pads": (2, 3, 3, 1)}, [(4, 2, 2), (2, 1, 1)]),
    "strided, dilated": (
        (6, 5, 4), 3, (2, 2), {"stride": (2, 1), "dilation": (2, 3), "pads": (0, 1, 1, 0)}, [(3, 2, 1)]
    ),
    "groups": ((3, 4, 6), 9, (3, 2), {"groups": 3, "pads": (1, 1, 1, 0)}, [(1, 2, 1), (3, 1, 3)]),
    "two outputs for each channel": ((4, 3, 3), 6, (2, 2), {"groups": 3, "pads": (0, 1, 1, 0)}, [(2, 1, 1)]),
    "depthwise": ((4, 4, 6), 6, (3, 3), {"pads": (1, 1, 1, 1)}, [(1, 1, 1), (3, 3, 1), (6, 6, 2)]),
    "depthwise of the map": ((2, 3, 4), 4, (2, 3), {}, [(2, 2, 1), (4, 4, 4)]),
}  # fmt: skip
CASES = [(name, folding) for name, layer in LAYERS.items() for folding in layer[4]]


def make(name, book, interval=BYTE, output=SIGNED):
    shape, outputs, kernel, options, _ = LAYERS[name]
    rng, source = np.random.default_rng(len(name)), tensor(shape, interval)
    if name.startswith("depthwise"):
        return depthwise(rng, source, kernel, book=book, output=output, **options), source
    return conv(rng, source, outputs, kernel, book=book, output=output, **options), source


@pytest.mark.parametrize("stalls", STALLS, ids=["free", "stalled", "slow sink"])
@pytest.mark.parametrize("book", ["binary", "e2m1-nozero", "pot3-nozero"])
@pytest.mark.parametrize(("name", "folding"), CASES, ids=str)
def test_equals_reference(name, folding, book, stalls):
    layer, source = make(name, book)
    assert_exact(layer, source, Folding(*folding), frames(np.random.default_rng(1), source, 3), **stalls)


@pytest.mark.parametrize("book", ZERO_FREE)
@pytest.mark.parametrize("interval", [SIGNED, Interval(3, 9), Interval(-5, -2)], ids=str)
def test_input_intervals(interval, book):
    """Also those in which no activation is zero."""
    layer, source = make("padded 3x3", book, interval)
    assert_exact(layer, source, Folding(5, 3, 1), frames(np.random.default_rng(1), source, 2), **STALLS[1])


@pytest.mark.parametrize("book", ZERO_FREE)
def test_accumulator_reaches_its_bounds(book):
    """Weights of one sign per channel, every tap at its worst: the correction counts every tap of the layer."""
    rng, source = np.random.default_rng(4), tensor((2, 2, 3), SIGNED)
    layer = conv(rng, source, 4, (2, 2), book=book, output=Interval.of_bits(24, signed=True))
    levels = layer.codebook.decode(layer.codes)
    levels[0], levels[1] = np.abs(levels[0]), -np.abs(levels[1])
    layer.codes[:] = layer.codebook.encode(levels)
    x = extremes(layer, source)
    sums = np.einsum("ohwi,nhwi->no", levels, x) - (levels < 0).sum(axis=(1, 2, 3))
    bounds = accumulators(layer, source.interval)
    assert [bound.lo for bound in bounds] == sums.min(axis=0).tolist()
    assert bounds[0].hi == sums[:, 0].max()
    for folding in (Folding(1, 3, 1), Folding(4, 1, 4)):
        assert_exact(layer, source, folding, x, **STALLS[1])


@pytest.mark.parametrize("name", ZERO_FREE)
def test_zero_takes_no_input_of_a_multiplexer(name):
    """Of powers of two every choice with every shift and every step is a level: full multiplexers."""
    book, how = CODES[name], recipe(CODES[name])
    assert (how.zero.bits, how.zeroes_choice) == (0, False)
    if book.max_terms == 1:
        assert len(how.choices) * len(how.shifts) * (2 if how.step else 1) == len(book.levels) // 2


MUTANTS = {
    # name: (book, owner, function, old, new)
    "code 0 makes zero": (
        "pot4-nozero", hwgen.rtl.pe, "operand", "if how.zeroes_choice else never", "if how.zeroes_choice else word == 0"
    ),
    "the smallest level has no sign": (
        "pot3-nozero", hwgen.rtl.conv, "negative_codes", "levels < 0", "levels < -1"
    ),
    "negative taps are not counted": (
        "binary", ConvEngine, "_requantizer", "add + mul * negative", "add"
    ),
    "multiples change places": (
        "e2m1-nozero", hwgen.rtl.pe, "operand", "m.Case(index)", "m.Case(len(how.choices) - 1 - index)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", [("dense", (3, 5, 1)), ("padded 3x3", (5, 1, 1)), ("depthwise", (3, 3, 1))], ids=str)
@pytest.mark.parametrize("mutant", MUTANTS)
def test_faults_are_caught(mutant, case, monkeypatch):
    book, owner, function, old, new = MUTANTS[mutant]
    name, folding = case
    layer, source = make(name, book)
    x = frames(np.random.default_rng(1), source, 3)
    assert_exact(layer, source, Folding(*folding), x, **STALLS[1])
    mutate(monkeypatch, owner, function, old, new)
    with pytest.raises(AssertionError):
        assert_exact(layer, source, Folding(*folding), x, **STALLS[1])
