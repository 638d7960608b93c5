"""The table equals the reference for every value, one word per cycle."""

import numpy as np
import pytest

from hwgen.interval import Interval
from hwgen.sizing.streaming import MemoryShape, cycles, legal_lanes, memories, table_words

from ..networks import BYTE, SIGNED, frames, table, tensor
from .streams import assert_streams_exactly, frame_ends, streaming_engine

SHAPES = {"map": (3, 4, 4), "single channel": (2, 3, 1), "single pixel": (1, 1, 6), "single value": (1, 1, 1)}
CASES = [(name, lanes) for name, shape in SHAPES.items() for lanes in range(1, 7) if shape[2] % lanes == 0]
STALLS = [{}, {"stall_in": 0.3, "stall_out": 0.4, "seed": 5}, {"stall_in": 0.05, "stall_out": 0.7, "seed": 6}]


def make(name, per_channel, interval=BYTE, output=SIGNED):
    source = tensor(SHAPES[name], interval)
    return table(np.random.default_rng(7), source, per_channel=per_channel, output=output), source


@pytest.mark.parametrize("stalls", STALLS, ids=["free", "stalled", "sink stalled"])
@pytest.mark.parametrize("per_channel", [False, True], ids=["shared", "per channel"])
@pytest.mark.parametrize(("name", "lanes"), CASES, ids=str)
def test_equals_reference(name, lanes, per_channel, stalls):
    layer, source = make(name, per_channel)
    assert_streams_exactly(layer, [source], lanes, [frames(np.random.default_rng(1), source, 3)], **stalls)


@pytest.mark.parametrize("per_channel", [False, True], ids=["shared", "per channel"])
@pytest.mark.parametrize("output", [BYTE, SIGNED, Interval(-3, -1)], ids=str)
@pytest.mark.parametrize(
    "interval",
    [BYTE, SIGNED, Interval(-3, 0), Interval(-128, -100), Interval(5, 9), Interval(-256, 255), Interval(0, 0)],
    ids=str,
)
def test_every_value(interval, output, per_channel):
    layer, source = make("single pixel", per_channel, interval, output)
    values = np.arange(interval.lo, interval.hi + 1)
    x = values[:, None, None, None].repeat(6, axis=3)
    assert_streams_exactly(layer, [source], 2, [x])


@pytest.mark.parametrize(("name", "lanes"), CASES, ids=str)
def test_initiation_interval(name, lanes):
    layer, source = make(name, per_channel=True)
    x = frames(np.random.default_rng(1), source, 12)
    ends = frame_ends(assert_streams_exactly(layer, [source], lanes, [x]), 12)
    assert (np.diff(ends) == cycles(layer, lanes)).all()


def test_latency():
    layer, source = make("map", False)
    x = frames(np.random.default_rng(1), source, 1)
    assert assert_streams_exactly(layer, [source], 4, [x])[0] == 2 + 2


def test_memories():
    shared, source = make("single pixel", False, Interval(-3, 9))
    each, _ = make("single pixel", True, Interval(-3, 9))
    assert memories(shared, source, 3) == [MemoryShape(8, 32, 3)]
    assert memories(each, source, 3) == [MemoryShape(8, 64)] * 3
    assert memories(each, source, 2) == [MemoryShape(8, 128)] * 2  # three tables, two bits of address
    assert memories(each, source, 6) == [MemoryShape(8, 32)] * 6
    assert len(table_words(shared, source.interval, 0, 3)) == 32


def test_lanes_divide_the_channels():
    layer, source = make("map", False)
    assert legal_lanes(layer) == [1, 2, 4]
    with pytest.raises(ValueError, match=r"table: lanes must be one of \[1, 2, 4\], not 3"):
        streaming_engine(layer, [source], 3)
