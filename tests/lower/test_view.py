"""Which index arrays stream through a Remap, against its definition."""

import numpy as np
import pytest

from hwgen.floatnet import FloatRemap, Layout
from hwgen.lower.kernels import compute
from hwgen.lower.view import border, factor, from_map, natural, to_map

SHAPE = (4, 6, 8)
MAP = np.arange(4 * 6 * 8).reshape(SHAPE)


def _through(movement, fill=-1.0):
    layer = FloatRemap("r", "x", SHAPE, movement.rows, movement.row_offset, movement.columns, movement.channels, fill)
    return compute(layer, None, [MAP[None].astype(np.float64)])[0]


MOVEMENTS = {
    "crop": MAP[1:3, 2:5, 1:7],
    "stride": MAP[::2, 1::2, ::3],
    "flip columns": MAP[:, ::-1, ::-1],
    "repeat": MAP.repeat(2, 0).repeat(3, 1),
    "shuffle": MAP[:, :, [3, 1, 0, 2, 7, 5, 6, 4]],
    "pad": np.pad(MAP, ((1, 0), (2, 1), (0, 3)), constant_values=-1),
    "depth to space": MAP.reshape(4, 6, 2, 2, 2).transpose(0, 2, 1, 3, 4).reshape(8, 12, 2),
    "swapped": MAP.transpose(0, 2, 1),
    "one pixel": MAP[2:3, 3:4, :],
    "edge": np.pad(MAP, ((1, 1), (1, 1), (0, 0)), mode="edge"),
}


@pytest.mark.parametrize("name", MOVEMENTS)
def test_streams(name):
    index = MOVEMENTS[name]
    movement = factor(index, SHAPE)
    assert movement is not None
    np.testing.assert_array_equal(_through(movement), index)


NOT_STREAMING = {
    "rows backward": MAP[::-1],
    "rows and columns swapped": MAP.transpose(1, 0, 2),
    "channels to rows": MAP.transpose(2, 1, 0),
    "rows joined": MAP.reshape(1, 24, 8),
    "constants here and there": np.where(MAP % 7 == 0, -1, MAP),
    "nothing but constants": np.full(SHAPE, -1),
    "a shift that differs": np.where(np.arange(6)[:, None] > 2, np.roll(MAP, 1, axis=2), MAP),
}


@pytest.mark.parametrize("name", NOT_STREAMING)
def test_what_does_not_stream(name):
    assert factor(NOT_STREAMING[name], SHAPE) is None


def test_borders():
    padded = np.pad(MAP, ((1, 0), (2, 3), (0, 0)), constant_values=-1)
    pads, inside = border(padded)
    assert pads == (1, 2, 0, 3)
    assert natural(inside, SHAPE)
    for other in (MAP, np.pad(MAP, ((0, 0), (0, 0), (1, 0)), constant_values=-1), np.full(SHAPE, -1)):
        assert border(other)[0] == (0, 0, 0, 0)


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (1, 3, 4), (1, 7), (7,), (3, 4, 5), (2, 3), (1, 1, 1, 6, 7)])
def test_from_map_is_the_inverse_of_to_map(shape, layout):
    index = to_map(from_map(shape, layout), layout)
    assert natural(index, index.shape)
    assert from_map(shape, layout).shape == shape


def test_too_many_axes_are_no_map():
    assert to_map(np.zeros((1, 2, 3, 4, 5)), Layout.CHANNEL_FIRST) is None
