"""The graph engine equals the reference, at the rate that its plan promises."""

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hwgen.codes import CODES
from hwgen.interval import Interval
from hwgen.network import Conv, Tensor
from hwgen.reference import run
from hwgen.rtl.graph_conv import GraphConvEngine
from hwgen.sim.stream import run_stream
from hwgen.sizing.folding import divisors, geometry_of
from hwgen.sizing.graph_engine import GraphFolding, plan_of, supports

from ..networks import BYTE, SIGNED, conv, frames, network, tensor
from .drive import simulate, words_of

STALLED = {"stall_in": 0.3, "stall_out": 0.4, "seed": 5}

# name: (input shape, outputs, kernel, options of the layer, foldings as (digit, lanes))
LAYERS = {
    "3x3": ((5, 4, 2), 4, (3, 3), {}, [(None, 4), (1, 1), (2, 2)]),
    "padded": ((4, 3, 3), 4, (3, 3), {"pads": (1, 1, 1, 1)}, [(None, 4), (None, 1), (1, 2)]),
    "lopsided": ((3, 4, 2), 2, (2, 3), {"pads": (0, 2, 1, 1)}, [(None, 2), (1, 1)]),
    "strided": ((6, 5, 2), 3, (3, 3), {"stride": (2, 2), "pads": (1, 0, 0, 1)}, [(None, 3), (1, 1), (2, 3)]),
    "skipping": ((5, 5, 2), 2, (1, 1), {"stride": (2, 3)}, [(None, 1), (1, 2)]),
    "long rows": ((3, 18, 4), 2, (2, 3), {"pads": (0, 1, 1, 1)}, [(None, 2), (1, 1)]),
    "1x1": ((3, 3, 4), 6, (1, 1), {}, [(None, 6), (None, 2), (1, 1), (4, 2)]),
    "dense": ((2, 3, 4), 6, (2, 3), {}, [(None, 6), (1, 1), (3, 2)]),
    "dense on one pixel": ((1, 1, 8), 4, (1, 1), {}, [(None, 4), (None, 1), (1, 1)]),
    "one column": ((6, 1, 2), 2, (3, 1), {"pads": (1, 0, 1, 0)}, [(None, 2), (1, 1)]),
    "2 groups": ((4, 4, 4), 6, (3, 3), {"groups": 2, "pads": (1, 0, 1, 1)}, [(None, 6), (1, 1)]),
    "depthwise": ((4, 3, 4), 4, (3, 3), {"groups": 4, "pads": (1, 1, 1, 1)}, [(None, 4), (1, 1), (2, 1)]),
    "dilated": ((5, 6, 2), 3, (3, 2), {"dilation": (2, 3), "pads": (1, 1, 2, 3)}, [(None, 3), (1, 1)]),
}
CASES = [(name, folding) for name, layer in LAYERS.items() for folding in layer[4]]


def make(name, *, interval=BYTE, output=BYTE, book="e2m1", seed=0):
    shape, outputs, kernel, options, _ = LAYERS[name]
    source = tensor(shape, interval)
    return conv(np.random.default_rng(seed), source, outputs, kernel, book=book, output=output, **options), source


def run_graph(layer: Conv, source: Tensor, folding: GraphFolding, x: np.ndarray, **stalls):
    """The engine's output (N, OH, OW, O), and the cycle of every frame's last word."""
    count = prod(layer.output.shape) // folding.lanes
    dut = GraphConvEngine(layer, source, folding)
    words, cycles = run_stream(dut, words_of(x, source.shape[2]), len(x) * count, **stalls)
    return np.array(words).reshape(len(x), *layer.output.shape), cycles[count - 1 :: count]


def assert_graph_exact(layer: Conv, source: Tensor, folding: GraphFolding, x: np.ndarray, **stalls) -> list[int]:
    y, ends = run_graph(layer, source, folding, x, **stalls)
    np.testing.assert_array_equal(y, run(network(layer, source=source), x))
    return ends


@pytest.mark.parametrize(("name", "folding"), CASES, ids=str)
def test_equals_reference_under_stalls(name, folding):
    layer, source = make(name)
    assert_graph_exact(layer, source, GraphFolding(*folding), frames(np.random.default_rng(1), source, 3), **STALLED)


@pytest.mark.parametrize(("name", "folding"), CASES, ids=str)
def test_initiation_interval(name, folding):
    """Without stalls the engine is exact too, and between two frames lie as many cycles as the plan says."""
    layer, source = make(name, interval=SIGNED)
    chosen = GraphFolding(*folding)
    ends = assert_graph_exact(layer, source, chosen, frames(np.random.default_rng(1), source, 5))
    assert set(np.diff(ends)[1:]) == {plan_of(layer, source.interval, chosen).cycles}


@pytest.mark.parametrize(("name", "folding"), CASES, ids=str)
def test_latency(name, folding):
    """From reset to the first word: padding before the frame, pixels up to the first window's last, its latency."""
    layer, source = make(name)
    chosen = GraphFolding(*folding)
    plan = plan_of(layer, source.interval, chosen)
    raster = plan.raster
    words = words_of(frames(np.random.default_rng(1), source, 1), source.shape[2])
    _, cycles = run_stream(GraphConvEngine(layer, source, chosen), words, prod(layer.output.shape) // chosen.lanes)
    row, column = raster.start
    before = (raster.positions - row * raster.columns - column) % raster.positions
    pixels = raster.row_hits[0] * raster.columns + raster.column_hits[0]
    relay = 1 if plan.data == 1 else 0
    assert cycles[0] == max(before * plan.data, relay) + pixels * plan.data + plan.latency - relay


@pytest.mark.parametrize("book", ["e2m1", "pot3", "ternary", "apot4"])
@pytest.mark.parametrize("interval", [BYTE, SIGNED, Interval(-2, 1), Interval(3, 9)], ids=str)
def test_codebooks_and_intervals(book, interval):
    assert book in CODES
    layer, source = make("padded", interval=interval, output=SIGNED, book=book, seed=2)
    x = frames(np.random.default_rng(1), source, 2)
    for folding in (GraphFolding(None, 2, levels=2), GraphFolding(1, 1)):
        assert_graph_exact(layer, source, folding, x, **STALLED)


WEIGHTS = {
    "an output of nothing": [[0, 0, 0], [1, 2, 3]],
    "nothing at all": [[0, 0, 0], [0, 0, 0]],
    "one weight": [[0, 4, 0], [0, 0, 0]],
    "negative only": [[-1, -2, -12], [-4, 0, 0]],
}


@pytest.mark.parametrize("folding", [GraphFolding(None, 2), GraphFolding(1, 1), GraphFolding(2, 2)], ids=str)
@pytest.mark.parametrize("name", WEIGHTS)
def test_special_weights(name, folding):
    source = tensor((1, 4, 1))
    layer = conv(np.random.default_rng(0), source, 2, (1, 3), output=Interval.of_bits(16, signed=True))
    layer = replace(layer, codes=layer.codebook.encode(np.array(WEIGHTS[name]).reshape(2, 1, 3, 1)))
    assert_graph_exact(layer, source, folding, frames(np.random.default_rng(1), source, 4), **STALLED)


@pytest.mark.parametrize("folding", [GraphFolding(None, 4), GraphFolding(1, 1)], ids=str)
def test_one_pixel_is_a_frame(folding):
    """Frames follow each other through the pipeline before the first of them is out."""
    layer, source = make("dense on one pixel")
    ends = assert_graph_exact(layer, source, folding, frames(np.random.default_rng(1), source, 60))
    assert np.diff(ends)[10:].mean() == plan_of(layer, source.interval, folding).cycles


@pytest.mark.parametrize(
    ("name", "folding"),
    [("dense on one pixel", (None, 4)), ("dense on one pixel", (1, 1)), ("padded", (1, 1)), ("one column", (None, 2))],
    ids=str,
)
def test_frames_held(name, folding):
    """While nothing is taken from it, the engine takes no more frames than it says, and then no more at all."""
    layer, source = make(name)
    dut = GraphConvEngine(layer, source, GraphFolding(*folding))
    taken = [0]

    async def feed(ctx):
        ctx.set(dut.i.valid, 1)
        for _ in range(4000):
            taken[0] += (await ctx.tick().sample(dut.i.ready))[2]

    simulate(dut, feed)
    pixels = source.shape[0] * source.shape[1]
    assert 0 < taken[0] <= dut.frames_held * pixels
    assert dut.frames_held <= taken[0] // pixels + 6


@st.composite
def layers(draw):
    """A layer of any groups, dilation, stride and pads that the engine takes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    groups, inputs, outputs = (draw(st.integers(1, 3)) for _ in range(3))
    source = tensor(
        (draw(st.integers(1, 5)), draw(st.integers(1, 5)), groups * inputs),
        draw(st.sampled_from([BYTE, SIGNED, Interval(0, 15), Interval(-2, 1)])),
    )
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    dilation = (draw(st.sampled_from([1, 1, 2])), draw(st.sampled_from([1, 1, 2])))
    pads = tuple(draw(st.integers(0, 2 * step * (n - 1))) for n, step in zip(kernel * 2, dilation * 2, strict=True))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    extent = [(n - 1) * step + 1 for n, step in zip(kernel, dilation, strict=True)]
    assume(all(source.shape[axis] + pads[axis] + pads[axis + 2] >= extent[axis] for axis in range(2)))
    count = groups * outputs
    layer = conv(rng, source, count, kernel, stride=stride, pads=pads, dilation=dilation, groups=groups)
    assume(supports(layer))
    folding = GraphFolding(draw(st.sampled_from([None, 1, 2, 3, 4])), draw(st.sampled_from(divisors(count))))
    assume(plan_of(layer, source.interval, folding).cycles <= 400)
    return layer, source, folding, frames(rng, source, 3), draw(st.sampled_from([{}, STALLED]))


@settings(derandomize=True, max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(layers())
def test_any_layer(drawn):
    layer, source, folding, x, stalls = drawn
    assert_graph_exact(layer, source, folding, x, **stalls)


def test_what_is_not_supported():
    source = tensor((3, 3, 1))
    far = conv(np.random.default_rng(0), source, 2, (2, 2), pads=(3, 0, 0, 0))
    assert not supports(far)
    with pytest.raises(ValueError, match="every window must reach the map"):
        plan_of(far, BYTE, GraphFolding(1, 1))
    assert supports(conv(np.random.default_rng(0), source, 2, (2, 2), pads=(1, 1, 1, 1)))


@pytest.mark.parametrize(
    ("folding", "message"),
    [
        (GraphFolding(1, 3), "lanes must divide 4 channels"),
        (GraphFolding(0, 1), "digit and levels must be at least 1"),
        (GraphFolding(None, 1, 0), "digit and levels must be at least 1"),
    ],
)
def test_refuses_illegal_foldings(folding, message):
    layer, source = make("3x3")
    with pytest.raises(ValueError, match=message):
        GraphConvEngine(layer, source, folding)


def test_rows_and_columns_are_delayed_in_memories_of_the_plan():
    layer, source = make("padded")
    pixel = 3
    for digit, data in ((1, 8), (4, 2)):
        plan = plan_of(layer, source.interval, GraphFolding(digit, 1))
        assert plan.memories() == [(pixel * digit * 2, 4 * data, 1), (pixel * digit * 3 * 2, data, 1)]
    assert geometry_of(layer).kernel == (3, 3)
