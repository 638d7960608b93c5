"""The convolution engine equals the reference, at the rate that its folding promises."""

import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.interval import Interval
from hwgen.plan import Folding
from hwgen.sizing.bounds import accumulators, tap_interval
from hwgen.sizing.folding import geometry_of

from ..networks import BYTE, SIGNED, conv, frames, tensor
from .drive import assert_exact, run_engine

STALLED = {"stall_in": 0.3, "stall_out": 0.4, "seed": 5}

# name: (input shape, outputs, kernel, stride, pads, foldings as (pe, simd, lanes))
LAYERS = {
    "3x3": ((5, 5, 2), 4, (3, 3), (1, 1), (0, 0, 0, 0), [(1, 1, 1), (2, 2, 1), (4, 2, 2), (4, 1, 4)]),
    "padded": ((4, 3, 3), 4, (3, 3), (1, 1), (1, 1, 1, 1), [(1, 3, 1), (4, 1, 1), (2, 3, 2)]),
    "lopsided": ((3, 4, 2), 2, (2, 3), (1, 1), (0, 2, 1, 1), [(2, 1, 1), (1, 2, 1)]),
    "strided": ((6, 5, 2), 3, (3, 3), (2, 2), (1, 0, 0, 1), [(3, 2, 1), (1, 1, 1)]),
    "skipping": ((5, 5, 2), 2, (1, 1), (2, 3), (0, 0, 0, 0), [(2, 2, 2), (1, 1, 1), (2, 1, 1)]),
    "1x1": ((3, 3, 4), 6, (1, 1), (1, 1), (0, 0, 0, 0), [(1, 1, 1), (2, 2, 2), (6, 4, 6), (3, 4, 1), (2, 1, 1)]),
    "dense": ((2, 3, 4), 6, (2, 3), (1, 1), (0, 0, 0, 0), [(1, 1, 1), (2, 4, 1), (6, 2, 2), (6, 4, 6), (3, 1, 3)]),
    "dense on one pixel": ((1, 1, 8), 4, (1, 1), (1, 1), (0, 0, 0, 0), [(1, 8, 1), (4, 1, 1), (4, 8, 4)]),
    "padded dense": ((2, 2, 2), 2, (4, 4), (1, 1), (1, 1, 1, 1), [(2, 1, 1), (1, 2, 1)]),
}
CASES = [(name, folding) for name, layer in LAYERS.items() for folding in layer[5]]


def make(name, *, interval=BYTE, output=BYTE, book="e2m1", seed=0):
    shape, outputs, kernel, stride, pads, _ = LAYERS[name]
    source = tensor(shape, interval)
    rng = np.random.default_rng(seed)
    return conv(rng, source, outputs, kernel, stride=stride, pads=pads, book=book, output=output), source


@pytest.mark.parametrize("stalls", [{}, STALLED], ids=["free", "stalled"])
@pytest.mark.parametrize(("name", "folding"), CASES, ids=str)
def test_equals_reference(name, folding, stalls):
    layer, source = make(name)
    x = frames(np.random.default_rng(1), source, 3)
    assert_exact(layer, source, Folding(*folding), x, **stalls)


@pytest.mark.parametrize("book", CODES)
@pytest.mark.parametrize("interval", [BYTE, SIGNED], ids=["unsigned", "signed"])
def test_every_codebook(book, interval):
    layer, source = make("padded", interval=interval, output=SIGNED, book=book, seed=2)
    assert_exact(layer, source, Folding(2, 3, 1), frames(np.random.default_rng(1), source, 2))


@pytest.mark.parametrize("interval", [Interval(0, 1), Interval(-2, 1), Interval(-8, 7), Interval(3, 9)], ids=str)
@pytest.mark.parametrize("name", ["padded", "dense"])
def test_input_intervals(name, interval):
    layer, source = make(name, interval=interval, output=Interval(-8, 7))
    assert_exact(layer, source, Folding(2, 1, 2), frames(np.random.default_rng(3), source, 2), **STALLED)


def test_wide_output():
    """Logits: many more bits than an activation, signed."""
    layer, source = make("dense", output=Interval.of_bits(20, signed=True))
    assert_exact(layer, source, Folding(3, 2, 1), frames(np.random.default_rng(3), source, 3))


@pytest.mark.parametrize(("name", "folding"), CASES, ids=str)
def test_initiation_interval(name, folding):
    """Between two frames lie exactly as many cycles as the planner counts."""
    layer, source = make(name)
    chosen = Folding(*folding)
    x = frames(np.random.default_rng(1), source, 6)
    _, ends = run_engine(layer, source, chosen, x)
    periods = np.diff(ends)[2:]  # the queue fills during the first frames
    assert periods.mean() == chosen.cycles(layer)


@pytest.mark.parametrize(("name", "folding"), CASES, ids=str)
def test_lanes_are_busy(name, folding):
    """With as many lanes as keep up, every PE multiplies in every cycle, unless the map cannot come in that fast."""
    layer, _ = make(name)
    chosen = Folding.of(layer, folding[0], folding[1])
    geometry = geometry_of(layer)
    words_in = geometry.shape[0] * geometry.shape[1] * geometry.words_per_pixel(chosen.simd)
    utilisation = layer.macs / (chosen.cycles(layer) * chosen.macs_per_cycle(layer))
    if geometry.direct:
        assert utilisation >= 0.9
    else:
        assert utilisation == 1 or chosen.cycles(layer) == words_in


def extremes(layer, source):
    """Frames that drive one output channel each to the low and to the high end of its accumulator."""
    levels = layer.codebook.decode(layer.codes)
    taps = tap_interval(layer, source.interval)
    assert (taps.lo, taps.hi) == (source.interval.lo, source.interval.hi)
    result = []
    for weights in levels:  # a kernel that covers the map, so weights and pixels are the same array
        result.append(np.where(weights < 0, taps.lo, taps.hi))
        result.append(np.where(weights < 0, taps.hi, taps.lo))
    return np.array(result)


@pytest.mark.parametrize("book", ["e2m1", "pot5", "ternary"])
@pytest.mark.parametrize("interval", [BYTE, SIGNED], ids=["unsigned", "signed"])
def test_accumulator_reaches_its_bounds(book, interval):
    """Every tap at the worst value for its weight: the accumulator is exactly wide enough."""
    rng = np.random.default_rng(4)
    source = tensor((2, 2, 4), interval)
    wide = Interval.of_bits(24, signed=True)
    layer = conv(rng, source, 3, (2, 2), book=book, output=wide)
    x = extremes(layer, source)
    levels = layer.codebook.decode(layer.codes)
    negative = (levels < 0).sum(axis=(1, 2, 3))
    sums = np.einsum("ohwi,nhwi->no", levels, x) - negative
    bound = Interval.hull(accumulators(layer, source.interval))
    assert sums.min() == bound.lo
    # Partial sums without the negative weights' missing ones reach the end itself.
    assert bound.hi - negative.max() <= sums.max() <= bound.hi
    for folding in (Folding(1, 2, 1), Folding(3, 4, 3)):
        assert_exact(layer, source, folding, x)


@pytest.mark.parametrize(
    ("folding", "message"),
    [
        (Folding(3, 1, 1), "PE must divide 4 channels"),
        (Folding(4, 1, 3), "PE must divide 4 channels and lanes PE"),
        (Folding(4, 3, 1), "SIMD must divide the 2 input channels, not 3"),
    ],
)
def test_refuses_illegal_foldings(folding, message):
    layer, source = make("3x3")
    with pytest.raises(ValueError, match=message):
        run_engine(layer, source, folding, frames(np.random.default_rng(0), source, 1))
