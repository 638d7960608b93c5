"""Convolutions in groups, depthwise and dilated: they equal the reference, at the rate that their folding promises."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hwgen.codes import CODES
from hwgen.interval import Interval
from hwgen.sizing.bounds import accumulators
from hwgen.sizing.folding import Folding, geometry_of

from ..networks import BYTE, SIGNED, conv, depthwise, foldings, frames, tensor, unrolled
from .drive import assert_exact, run_engine
from .test_conv import STALLED

# name: (input shape, outputs, kernel, options of the layer, foldings as (pe, simd, lanes))
LAYERS = {
    "depthwise": ((5, 4, 6), 6, (3, 3), {"pads": (1, 1, 1, 1)}, [(1, 1, 1), (3, 3, 1), (2, 2, 2), (6, 6, 2)]),
    "depthwise strided": ((6, 7, 4), 4, (3, 3), {"stride": (2, 2), "pads": (0, 0, 1, 1)}, [(2, 2, 1), (4, 4, 4)]),
    "depthwise row": ((3, 6, 2), 2, (1, 5), {"pads": (0, 2, 0, 2)}, [(1, 1, 1), (2, 2, 1)]),
    "depthwise column, dilated": ((7, 3, 2), 2, (3, 1), {"dilation": (2, 5)}, [(1, 1, 1), (2, 2, 1)]),
    "depthwise dilated": ((6, 6, 4), 4, (3, 3), {"pads": (2, 2, 2, 2), "dilation": (2, 2)}, [(2, 2, 1), (4, 4, 4)]),
    "depthwise of the whole map": ((3, 2, 6), 6, (3, 2), {}, [(1, 1, 1), (2, 2, 2), (3, 3, 1), (6, 6, 1)]),
    "depthwise 1x1": ((3, 3, 4), 4, (1, 1), {}, [(1, 1, 1), (2, 2, 1), (2, 2, 2), (4, 4, 2)]),
    "depthwise, far padding": ((3, 3, 4), 4, (2, 2), {"pads": (3, 4, 5, 3), "stride": (1, 3)}, [(2, 2, 1)]),
    "2 groups": ((4, 4, 4), 6, (3, 3), {"groups": 2, "pads": (1, 0, 1, 1)}, [(1, 1, 1), (3, 2, 1), (3, 1, 3)]),
    "3 groups of 3": ((3, 3, 9), 6, (2, 2), {"groups": 3, "pads": (0, 1, 1, 0)}, [(1, 1, 1), (2, 3, 1), (2, 1, 2)]),
    "1x1 in groups": ((3, 3, 8), 8, (1, 1), {"groups": 2}, [(1, 1, 1), (2, 4, 2), (4, 2, 2)]),
    "dense in groups": ((2, 2, 4), 8, (2, 2), {"groups": 2}, [(2, 1, 1), (4, 2, 1)]),
    "two outputs for each channel": ((4, 4, 3), 6, (3, 3), {"groups": 3, "pads": (1, 1, 1, 1)}, [(1, 1, 1), (2, 1, 1)]),
    "fewer outputs than inputs": ((4, 4, 6), 3, (2, 3), {"groups": 3, "stride": (2, 1)}, [(1, 1, 1), (1, 2, 1)]),
    "dilated": ((6, 7, 2), 4, (3, 2), {"dilation": (2, 3), "pads": (1, 1, 2, 3)}, [(1, 1, 1), (4, 2, 1), (2, 1, 2)]),
    "dilated groups": ((5, 5, 4), 4, (2, 2), {"groups": 2, "dilation": (3, 2), "pads": (2, 1, 1, 1)}, [(2, 2, 1)]),
    "the map between the taps": ((2, 2, 2), 2, (2, 2), {"dilation": (4, 5), "pads": (3, 4, 2, 2)}, [(2, 1, 1)]),
}
CASES = [(name, folding) for name, layer in LAYERS.items() for folding in layer[4]]


def make(name, *, interval=BYTE, output=BYTE, book="e2m1", seed=0):
    shape, outputs, kernel, options, _ = LAYERS[name]
    source, rng = tensor(shape, interval), np.random.default_rng(seed)
    if name.startswith("depthwise"):
        return depthwise(rng, source, kernel, book=book, output=output, **options), source
    return conv(rng, source, outputs, kernel, book=book, output=output, **options), source


@pytest.mark.parametrize("stalls", [{}, STALLED], ids=["free", "stalled"])
@pytest.mark.parametrize(("name", "folding"), CASES, ids=str)
def test_equals_reference(name, folding, stalls):
    layer, source = make(name)
    assert_exact(layer, source, Folding(*folding), frames(np.random.default_rng(1), source, 3), **stalls)


@pytest.mark.parametrize("book", CODES)
@pytest.mark.parametrize("interval", [BYTE, SIGNED, Interval(-2, 1)], ids=str)
@pytest.mark.parametrize(("name", "folding"), [("depthwise", (3, 3, 1)), ("2 groups", (3, 2, 1))])
def test_every_codebook(name, folding, book, interval):
    layer, source = make(name, interval=interval, output=SIGNED, book=book, seed=2)
    assert_exact(layer, source, Folding(*folding), frames(np.random.default_rng(1), source, 2))


@pytest.mark.parametrize(("name", "folding"), CASES, ids=str)
def test_initiation_interval(name, folding):
    """Between two frames lie exactly as many cycles as the planner counts."""
    layer, source = make(name)
    chosen = Folding(*folding)
    _, ends = run_engine(layer, source, chosen, frames(np.random.default_rng(1), source, 6))
    assert np.diff(ends)[2:].mean() == chosen.cycles(layer)


@pytest.mark.parametrize(("name", "folding"), CASES, ids=str)
def test_lanes_are_busy(name, folding):
    """With as many output lanes as keep up, no lane multiplies by what lies between groups, and none ever waits."""
    layer, _ = make(name)
    chosen, geometry = Folding.of(layer, folding[0], folding[1]), geometry_of(layer)
    words_in = geometry.shape[0] * geometry.shape[1] * geometry.words_per_pixel(chosen.simd)
    busy = layer.macs / (chosen.cycles(layer) * chosen.macs_per_cycle(layer))
    assert busy == 1 or chosen.cycles(layer) == words_in or geometry.direct
    assert busy >= 0.9 or chosen.cycles(layer) == words_in


@pytest.mark.parametrize("interval", [BYTE, SIGNED], ids=["unsigned", "signed"])
def test_accumulator_of_a_channel_reaches_its_bounds(interval):
    """Depthwise: every tap at the worst value for its weight, and every channel its own sum."""
    source, wide = tensor((2, 3, 4), interval), Interval.of_bits(20, signed=True)
    layer = depthwise(np.random.default_rng(4), source, (2, 3), book="pot5", output=wide)
    levels = layer.codebook.decode(layer.codes)[..., 0]
    low = np.where(levels < 0, source.interval.hi, source.interval.lo).transpose(1, 2, 0)
    high = np.where(levels < 0, source.interval.lo, source.interval.hi).transpose(1, 2, 0)
    bounds = accumulators(layer, source.interval)
    negative = (levels < 0).sum(axis=(1, 2))
    assert ((levels.transpose(1, 2, 0) * low).sum(axis=(0, 1)) - negative).tolist() == [bound.lo for bound in bounds]
    for folding in (Folding(1, 1, 1), Folding(2, 2, 2), Folding(4, 4, 1)):
        assert_exact(layer, source, folding, np.array([low, high, low, low]))


def test_groups_do_not_see_each_other():
    """A change of one group's channels changes that group's outputs alone, whatever the folding."""
    layer, source = make("2 groups")
    x = frames(np.random.default_rng(3), source, 1)
    other = x.copy()
    other[..., 2:] = source.interval.hi - other[..., 2:]
    for folding in foldings(layer):
        (a, _), (b, _) = (run_engine(layer, source, folding, data) for data in (x, other))
        assert (a[..., :3] == b[..., :3]).all()
        assert (a[..., 3:] != b[..., 3:]).any()


INTERVALS = [BYTE, SIGNED, Interval(0, 15), Interval(-2, 1)]


@st.composite
def layers(draw):
    """A layer of any groups, dilation, stride and pads, the latter now and then far beyond the window."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    groups, inputs, outputs = (draw(st.integers(1, 4)) for _ in range(3))
    channelwise = draw(st.booleans())
    shape = (draw(st.integers(1, 6)), draw(st.integers(1, 6)), groups * (1 if channelwise else inputs))
    source = tensor(shape, draw(st.sampled_from(INTERVALS)))
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    dilation = (draw(st.sampled_from([1, 1, 2, 3])), draw(st.sampled_from([1, 1, 2, 3])))
    far = draw(st.sampled_from([1, 1, 3]))
    pads = tuple(draw(st.integers(0, far * step * (n - 1))) for n, step in zip(kernel * 2, dilation * 2, strict=True))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    options = {"stride": stride, "pads": pads, "dilation": dilation, "groups": groups}
    extent = [(n - 1) * step + 1 for n, step in zip(kernel, dilation, strict=True)]
    assume(all(shape[axis] + pads[axis] + pads[axis + 2] >= extent[axis] for axis in range(2)))
    count = groups * (1 if channelwise and draw(st.booleans()) else outputs)
    layer = conv(rng, source, count, kernel, output=draw(st.sampled_from(INTERVALS)), **options)
    chosen = draw(st.sampled_from(unrolled(layer, draw(st.sampled_from(foldings(layer))))))
    assume(chosen.cycles(layer) <= 1_500)  # simulated per frame
    stalls = {
        "stall_in": draw(st.sampled_from([0.0, 0.3, 0.9])),
        "stall_out": draw(st.sampled_from([0.0, 0.4, 0.8])),
        "seed": draw(st.integers(0, 9)),
    }
    return layer, source, chosen, frames(rng, source, 3), stalls


@settings(derandomize=True, max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(layers())
def test_any_layer(drawn):
    layer, source, folding, x, stalls = drawn
    assert_exact(layer, source, folding, x, **stalls)


@pytest.mark.parametrize(
    ("name", "folding", "message"),
    [
        ("depthwise", (2, 1, 1), "a depthwise convolution must have pe == simd"),
        ("depthwise", (4, 4, 1), "SIMD must divide the 6 input channels, not 4"),
        ("depthwise", (3, 3, 2), "PE must divide 6 channels and lanes PE"),
        ("2 groups", (6, 2, 1), "PE must divide 3 channels of a group and lanes PE"),
        ("2 groups", (3, 4, 1), "SIMD must divide the 2 input channels of a group, not 4"),
    ],
)
def test_refuses_illegal_foldings(name, folding, message):
    layer, source = make(name)
    with pytest.raises(ValueError, match=message):
        run_engine(layer, source, Folding(*folding), frames(np.random.default_rng(0), source, 1))
