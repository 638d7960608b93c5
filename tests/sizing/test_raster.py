"""Rasters: the window that has passed over the padded map, position by position, is the one that ends there."""

import numpy as np
import pytest

from hwgen.sizing.geometry import Geometry
from hwgen.sizing.raster import Raster

GEOMETRIES = {
    "plain": Geometry((5, 6, 1), (3, 3), (1, 1), (0, 0, 0, 0)),
    "padded": Geometry((4, 5, 1), (3, 3), (1, 1), (1, 1, 1, 1)),
    "lopsided": Geometry((4, 5, 1), (3, 4), (1, 1), (0, 1, 2, 3)),
    "strided": Geometry((7, 6, 1), (3, 3), (2, 2), (1, 0, 0, 1)),
    "dilated": Geometry((6, 7, 1), (2, 3), (1, 2), (1, 2, 0, 2), dilation=(2, 2)),
    "1x1": Geometry((3, 4, 1), (1, 1), (2, 3), (0, 0, 0, 0)),
    "the whole map": Geometry((3, 4, 1), (3, 4), (1, 1), (0, 0, 0, 0)),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_windows_of_three_frames(name):
    """The stream of pixels is cut into windows by position alone, across the ends of rows and frames."""
    geometry = GEOMETRIES[name]
    raster = Raster(geometry)
    height, width, _ = geometry.shape
    frames = np.random.default_rng(0).integers(1, 100, (3, height, width))
    maps = np.zeros((3, raster.rows, raster.columns), int)
    maps[:, :height, :width] = frames
    row, column = raster.start
    lead = (raster.positions - row * raster.columns - column) % raster.positions
    stream = np.concatenate([np.zeros(lead, int), maps.ravel()])
    reach = (geometry.extent[0] - 1) * raster.columns + geometry.extent[1]
    top, left, bottom, right = geometry.pads
    for number, frame in enumerate(frames):
        padded = np.pad(frame, ((top, bottom), (left, right)))
        for y, r in enumerate(raster.row_hits):
            for x, c in enumerate(raster.column_hits):
                end = lead + number * raster.positions + r * raster.columns + c
                assert end - reach + 1 >= 0, "a window reads nothing from before the start"
                (down, across), (kh, kw) = geometry.dilation, geometry.kernel
                got = [
                    [stream[end - (kh - 1 - i) * down * raster.columns - (kw - 1 - j) * across] for j in range(kw)]
                    for i in range(kh)
                ]
                rows = slice(y * geometry.stride[0], y * geometry.stride[0] + geometry.extent[0], down)
                columns = slice(x * geometry.stride[1], x * geometry.stride[1] + geometry.extent[1], across)
                np.testing.assert_array_equal(got, padded[rows, columns])


def test_padding_is_shared():
    raster = Raster(GEOMETRIES["padded"])
    assert (raster.rows, raster.columns, raster.positions, raster.hits) == (5, 6, 30, 20)


@pytest.mark.parametrize("pads", [(3, 0, 0, 0), (0, 3, 0, 0)])
def test_refuses_windows_before_the_map(pads):
    with pytest.raises(ValueError, match="every window must reach the map"):
        Raster(Geometry((4, 4, 1), (3, 3), (1, 1), pads))
