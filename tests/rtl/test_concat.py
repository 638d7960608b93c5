"""The concatenation equals the reference, one word per cycle."""

from dataclasses import replace

import numpy as np
import pytest

from hwgen.interval import Interval
from hwgen.network import Rescale
from hwgen.sizing.streaming import cycles, legal_lanes, memories

from ..networks import BYTE, SIGNED, concat, frames, tensor
from .streams import assert_streams_exactly, frame_ends, streaming_engine

# name: (height, width, (channels, interval) of each source, output or None)
LAYERS = {
    "two": (2, 3, [(4, BYTE), (8, BYTE)], None),
    "mixed signs": (2, 2, [(2, BYTE), (4, SIGNED), (2, Interval(-256, -250))], None),
    "single channels": (3, 1, [(1, BYTE), (1, SIGNED)], SIGNED),
    "single pixel": (1, 1, [(6, SIGNED), (3, BYTE)], BYTE),
    "four rescaled": (2, 2, [(2, Interval(0, 100)), (2, SIGNED), (4, Interval(0, 15)), (2, Interval(5, 9))], SIGNED),
    "five": (1, 2, [(1, BYTE)] * 5, None),
}


def make(name, seed=7):
    height, width, parts, output = LAYERS[name]
    sources = [
        tensor((height, width, channels), interval, f"x{number}", scale=1.0 + number)
        for number, (channels, interval) in enumerate(parts)
    ]
    return concat(np.random.default_rng(seed), sources, output=output), sources


def maps_of(sources, count, seed=1):
    rng = np.random.default_rng(seed)
    return [frames(rng, source, count) for source in sources]


CASES = [(name, lanes) for name in LAYERS for lanes in legal_lanes(make(name)[0])]
STALLS = [{}, {"stall_in": 0.3, "stall_out": 0.4, "seed": 5}, {"stall_in": 0.05, "stall_out": 0.7, "seed": 6}]


@pytest.mark.parametrize("stalls", STALLS, ids=["free", "stalled", "sink stalled"])
@pytest.mark.parametrize(("name", "lanes"), CASES, ids=str)
def test_equals_reference(name, lanes, stalls):
    layer, sources = make(name)
    assert_streams_exactly(layer, sources, lanes, maps_of(sources, 3), **stalls)


@pytest.mark.parametrize("seed", range(6))
def test_rescalings(seed):
    layer, sources = make("four rescaled", seed)
    assert_streams_exactly(layer, sources, 2, maps_of(sources, 8, seed))


@pytest.mark.parametrize(("name", "lanes"), CASES, ids=str)
def test_initiation_interval(name, lanes):
    layer, sources = make(name)
    ends = frame_ends(assert_streams_exactly(layer, sources, lanes, maps_of(sources, 12)), 12)
    assert (np.diff(ends) == cycles(layer, lanes)).all()


@pytest.mark.parametrize(
    ("mul", "cycles"), [(None, 1 + 2), (1, 1 + 1 + 1 + 2), (3, 1 + 2 + 1 + 2), (85, 1 + 3 + 1 + 2)]
)
def test_latency(mul, cycles):
    """A register, the tree and the clip of a rescaling, and the queue."""
    layer, sources = make("two")
    if mul is not None:
        layer = replace(layer, rescale=(Rescale(mul, 8, 4, 0, 255), None))
    assert assert_streams_exactly(layer, sources, 4, maps_of(sources, 1))[0] == cycles


def test_lanes_divide_every_source():
    layer, sources = make("two")
    assert legal_lanes(layer) == [1, 2, 4]
    assert memories(layer, sources[0], 2) == []
    with pytest.raises(ValueError, match=r"concat: lanes must be one of \[1, 2, 4\], not 8"):
        streaming_engine(layer, sources, 8)
