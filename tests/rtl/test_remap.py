"""The remap equals the reference, at the rate that its row map promises."""

import numpy as np
import pytest

from hwgen.interval import Interval
from hwgen.sizing.rowmap import LONG_ROW, RowMap
from hwgen.sizing.streaming import MemoryShape, cycles, legal_lanes, memories

from ..networks import SIGNED, crop, depth_to_space, frames, remap, tensor, upsample
from .streams import assert_streams_exactly, frame_ends, streaming_engine


def shape(height, width, channels):
    return tensor((height, width, channels), SIGNED)


def wide(height, width, channels):
    """Channels that come out of two pixels: what a space-to-depth does within a row."""
    source = shape(height, width, channels)
    columns = [2 * channels * column for column in range(width // 2)]
    return source, remap(source, range(height), columns, range(2 * channels))


def made(function, source, *arguments, **options):
    return source, function(source, *arguments, **options)


LAYERS = {
    "identity": lambda: made(crop, shape(3, 4, 2), range(3), range(4)),
    "single value": lambda: made(crop, shape(1, 1, 1), range(1), range(1)),
    "single pixel": lambda: made(crop, shape(1, 1, 8), range(1), range(1), range(4, 8)),
    "one column": lambda: made(crop, shape(9, 1, 4), range(9), range(1)),
    "one row": lambda: made(crop, shape(1, 9, 2), range(1), range(2, 7)),
    "crop": lambda: made(crop, shape(6, 5, 2), range(2, 5), range(1, 4)),
    "crop the top": lambda: made(crop, shape(5, 3, 2), range(3, 5), range(3)),
    "crop the bottom": lambda: made(crop, shape(5, 3, 2), range(1), range(3)),
    "pad": lambda: made(crop, shape(3, 4, 2), range(-1, 4), range(-1, 5)),
    "pad a lot": lambda: made(crop, shape(2, 2, 1), range(-4, 5), range(-3, 6)),
    "pad and crop": lambda: made(crop, shape(4, 4, 4), range(-1, 3), range(2, 6)),
    "stride": lambda: made(crop, shape(7, 6, 2), range(0, 7, 3), range(1, 6, 2)),
    "pick channels": lambda: made(crop, shape(3, 3, 8), range(3), range(3), [4, 5, 6, 7, 0, 1]),
    "shuffle channels": lambda: made(crop, shape(2, 3, 6), range(2), range(3), [0, 3, 1, 4, 2, 5]),
    "channels and fill": lambda: made(crop, shape(2, 3, 4), range(2), range(3), [2, 3, -1, -1, 0, 1, -1, -1]),
    "mixed fill": lambda: made(crop, shape(2, 3, 2), range(2), range(3), [0, -1, 1]),
    "mirror columns": lambda: made(crop, shape(3, 4, 2), range(3), range(3, -1, -1)),
    "twice": lambda: made(upsample, shape(3, 4, 4), 2),
    "three times": lambda: made(upsample, shape(2, 3, 1), 3),
    "one and a half": lambda: made(remap, shape(4, 4, 1), [0, 0, 1, 2, 2, 3], [0, 0, 1, 2, 2, 3], [0]),
    "depth to space": lambda: made(depth_to_space, shape(3, 4, 8), 2),
    "depth to space of one": lambda: made(depth_to_space, shape(3, 2, 4), 2),
    "two pixels": lambda: wide(3, 4, 2),
    "fill between": lambda: made(remap, shape(3, 2, 1), [-1, 0, -1, -1, 2, -1], [0, -1, 1], [0], fill=5),
    "nothing but fill": lambda: made(remap, shape(3, 2, 2), [-1, -1], [0, 2], [0, 1], fill=-7),
    "twice, cropped": lambda: made(
        remap, shape(8, 4, 1), [0, 0, 1, 1, 2, 2, 3, 3], [0, 0, 1, 1, 2, 2, 3, 3], [0]
    ),
    "top dropped, rest twice": lambda: made(remap, shape(8, 4, 1), [4, 5, 6, 7], [0, 0, 1, 1, 2, 2, 3, 3], [0]),
    "long rows": lambda: made(crop, shape(3, LONG_ROW // 2, 2), range(3), range(LONG_ROW // 2)),
}  # fmt: skip
CASES = [(name, lanes) for name in LAYERS for lanes in legal_lanes(LAYERS[name]()[1])]
STALLS = [{}, {"stall_in": 0.3, "stall_out": 0.4, "seed": 5}, {"stall_in": 0.02, "stall_out": 0.8, "seed": 6}]


@pytest.mark.parametrize("stalls", STALLS, ids=["free", "stalled", "sink stalled"])
@pytest.mark.parametrize(("name", "lanes"), CASES, ids=str)
def test_equals_reference(name, lanes, stalls):
    source, layer = LAYERS[name]()
    assert_streams_exactly(layer, [source], lanes, [frames(np.random.default_rng(1), source, 4)], **stalls)


@pytest.mark.parametrize("stalls", STALLS, ids=["free", "stalled", "sink stalled"])
@pytest.mark.parametrize("seed", range(12))
def test_random_remaps(seed, stalls):
    rng = np.random.default_rng(seed)
    source = shape(*rng.integers(1, 6, 3).tolist())
    height, width, channels = source.shape
    rows = np.sort(rng.integers(0, height, rng.integers(1, 8)))
    rows = np.where(rng.random(len(rows)) < 0.2, -1, rows)
    columns = rng.integers(-1, width, rng.integers(1, 8)) * channels
    layer = remap(
        source, rows, np.where(columns < 0, -1, columns), rng.integers(-1, channels, rng.integers(1, 8)), fill=99
    )
    for lanes in legal_lanes(layer):
        assert_streams_exactly(layer, [source], lanes, [frames(rng, source, 4)], **stalls)


FRAMES = 24


@pytest.mark.parametrize(("name", "lanes"), CASES, ids=str)
def test_initiation_interval(name, lanes):
    source, layer = LAYERS[name]()
    x = frames(np.random.default_rng(1), source, FRAMES)
    ends = frame_ends(assert_streams_exactly(layer, [source], lanes, [x]), FRAMES)
    mean = (ends[-1] - ends[FRAMES // 2 - 1]) / (FRAMES // 2)
    assert np.ceil(mean) == cycles(layer, lanes)


@pytest.mark.parametrize(("name", "lanes"), CASES, ids=str)
def test_even_rows_cost_nothing(name, lanes):
    """The larger of input and output, wherever the rows of a map are read alike."""
    source, layer = LAYERS[name]()
    overhead = cycles(layer, lanes) - max(np.prod(source.shape), np.prod(layer.output.shape)) // lanes
    known = {"twice, cropped": 0, "top dropped, rest twice": 3, "long rows": 5 if lanes == 1 else 0}
    assert overhead == known.get(name, 0)


def test_latency():
    """From the last word of an input row to the first of the output row."""
    source, layer = LAYERS["one row"]()
    first = assert_streams_exactly(layer, [source], 2, [frames(np.random.default_rng(1), source, 1)])[0]
    assert first - (9 - 1) == 8


def test_legal_lanes():
    legal = {name: legal_lanes(LAYERS[name]()[1]) for name in LAYERS}
    assert legal["identity"] == [1, 2]
    assert legal["single pixel"] == [1, 2, 4]
    assert legal["pick channels"] == [1, 2]
    assert legal["shuffle channels"] == [1]
    assert legal["channels and fill"] == [1, 2]
    assert legal["mixed fill"] == [1]
    assert legal["depth to space"] == [1, 2]
    assert legal["two pixels"] == [1, 2]
    source, layer = LAYERS["identity"]()
    with pytest.raises(ValueError, match=r"crop: lanes must be one of \[1, 2\], not 4"):
        streaming_engine(layer, [source], 4)


def test_offsets_between_words_leave_one_lane():
    source = shape(2, 4, 4)
    assert legal_lanes(remap(source, [0, 1], [0, 4], range(4), row_offset=[2, 0])) == [1, 2]
    assert legal_lanes(remap(source, [0, 1], [1, 5], range(4), row_offset=[0, 4])) == [1]


def test_buffer():
    source, layer = LAYERS["twice"]()
    assert memories(layer, source, 4) == [MemoryShape(32, 3 * 4)]
    assert memories(layer, source, 1) == [MemoryShape(8, 3 * 16)]
    assert RowMap(LAYERS["single value"]()[1], 1).buffer_rows == 5
    assert RowMap(LAYERS["long rows"]()[1], 1).buffer_rows == 2


def test_rows_are_held_until_the_next_is_needed():
    row_map = RowMap(LAYERS["fill between"]()[1], 1)
    assert row_map.held == (0, 0, 2, 2, 2, 2)
    assert row_map.releases == [False, True, False, False, False, True]
    assert row_map.keeps == [True, False, True]


def test_a_narrow_interval():
    source = tensor((2, 3, 2), Interval(-9, -5))
    layer = crop(source, range(-1, 3), range(-1, 3))
    assert layer.fill == -9
    assert_streams_exactly(layer, [source], 2, [frames(np.random.default_rng(1), source, 2)])
