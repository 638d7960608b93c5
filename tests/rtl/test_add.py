"""The adder equals the reference, one word per cycle."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Const, Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from hwgen.interval import Interval
from hwgen.network import Add
from hwgen.rtl.rescale import Operand, rescale
from hwgen.sizing.streaming import cycles, legal_lanes, memories

from ..networks import BYTE, SIGNED, add, frames, tensor
from .streams import assert_streams_exactly, frame_ends, streaming_engine

# name: (shape, interval of each source)
LAYERS = {
    "residual": ((3, 4, 4), [BYTE, SIGNED]),
    "single channel": ((2, 3, 1), [BYTE, BYTE]),
    "single pixel": ((1, 1, 6), [SIGNED, SIGNED]),
    "single value": ((1, 1, 1), [BYTE, SIGNED]),
    "three": ((2, 2, 2), [BYTE, Interval(-3, 9), Interval(5, 6)]),
    "five": ((2, 1, 2), [BYTE, SIGNED, Interval(-256, 255), Interval(-128, -100), Interval(0, 1)]),
    "far from zero": ((2, 2, 3), [Interval(-128, -100), Interval(200, 255)]),
}
CASES = [(name, lanes) for name, (shape, _) in LAYERS.items() for lanes in range(1, 7) if shape[2] % lanes == 0]
STALLS = [{}, {"stall_in": 0.3, "stall_out": 0.4, "seed": 5}, {"stall_in": 0.05, "stall_out": 0.7, "seed": 6}]


def make(name, output=BYTE, seed=7):
    shape, intervals = LAYERS[name]
    sources = [tensor(shape, interval, f"x{number}") for number, interval in enumerate(intervals)]
    return add(np.random.default_rng(seed), sources, output=output), sources


def maps_of(sources, count, seed=1):
    rng = np.random.default_rng(seed)
    return [frames(rng, source, count) for source in sources]


@pytest.mark.parametrize("stalls", STALLS, ids=["free", "stalled", "sink stalled"])
@pytest.mark.parametrize(("name", "lanes"), CASES, ids=str)
def test_equals_reference(name, lanes, stalls):
    layer, sources = make(name)
    assert_streams_exactly(layer, sources, lanes, maps_of(sources, 3), **stalls)


@pytest.mark.parametrize("output", [BYTE, SIGNED, Interval(-256, 255), Interval(3, 4)], ids=str)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["residual", "five", "far from zero"])
def test_factors_and_clips(name, seed, output):
    layer, sources = make(name, output, seed)
    assert_streams_exactly(layer, sources, 1, maps_of(sources, 4, seed))


@pytest.mark.parametrize("mul", [(1, -1), (-1, -1), (-3, -85), (85, -85), (1, 1), (64, -1)], ids=str)
@pytest.mark.parametrize("shift", [0, 3])
def test_ends_of_the_interval(mul, shift):
    """All pairs of extremes, for factors of either sign, without a bias and with one."""
    sources = [tensor((1, 2, 2), SIGNED, "a"), tensor((1, 2, 2), BYTE, "b")]
    ends = [np.array([-128, 127, -128, 127]), np.array([0, 0, 255, 255])]
    maps = [values.reshape(1, 1, 2, 2) for values in ends]
    output = tensor((1, 2, 2), Interval(-40000, 40000), "add")
    for bias in ([0, 0], [7, 7], [-1000, 4]):
        layer = Add("add", ("a", "b"), mul, np.array(bias), shift, -40000, 40000, output)
        assert_streams_exactly(layer, sources, 1, maps)


@pytest.mark.parametrize(("name", "lanes"), CASES, ids=str)
def test_initiation_interval(name, lanes):
    layer, sources = make(name)
    ends = frame_ends(assert_streams_exactly(layer, sources, lanes, maps_of(sources, 12)), 12)
    assert (np.diff(ends) == cycles(layer, lanes)).all()


@pytest.mark.parametrize(("mul", "levels"), [((1, 1), 2), ((1, -3), 2), ((5, 21), 3), ((85, 85), 4)], ids=str)
def test_latency(mul, levels):
    """A register, the tree, the clip and the queue."""
    layer, sources = make("residual")
    cycle = assert_streams_exactly(replace(layer, mul=mul), sources, 4, maps_of(sources, 1))[0]
    assert cycle == 1 + levels + 1 + 2


def test_lanes_divide_the_channels():
    layer, sources = make("single pixel")
    assert legal_lanes(layer) == [1, 2, 3, 6]
    with pytest.raises(ValueError, match=r"add: lanes must be one of \[1, 2, 3, 6\], not 4"):
        streaming_engine(layer, sources, 4)


def test_biases_are_memory_only_where_they_differ():
    layer, sources = make("single pixel")
    assert [words for _, words, _ in memories(layer, sources[0], 2)] == [3, 3]
    assert memories(layer, sources[0], 6) == []


def test_a_sum_needs_a_positive_term():
    class Negative(wiring.Component):
        o: Out(signed(8))

        def elaborate(self, platform):
            m = Module()
            m.d.comb += self.o.eq(rescale(m, [Operand(Const(1), Interval(0, 1), -1)], 0, -8, 7, name="y"))
            return m

    with pytest.raises(ValueError, match="operands must have at least one positive power of two"):
        Negative().elaborate(None)
