"""Sizes of line buffers, against a reader and a writer that are followed tap by tap."""

from dataclasses import replace
from itertools import product

import pytest

from hwgen.sizing.folding import divisors
from hwgen.sizing.geometry import Geometry
from hwgen.sizing.line_buffer import ahead, awaited, buffer_words, overhang, span, touching


@pytest.mark.parametrize(
    ("geometry", "pixels"),
    [
        # Full padding: K-1 rows, K pixels, a pixel on its way and a row.
        (Geometry((28, 28, 1), (5, 5), (1, 1), (2, 2, 2, 2)), 4 * 28 + 5 + 1 + 28),
        # Without: K-1 rows and K-1 pixels more, waited for at the start of each frame and dropped at its end.
        (Geometry((28, 28, 1), (5, 5), (1, 1), (0, 0, 0, 0)), 2 * (4 * 28 + 5) + 28),
        # A stride keeps a row more until the next row of windows.
        (Geometry((16, 16, 1), (3, 3), (2, 2), (1, 1, 1, 1)), 3 * 16 + 5 + 16),
        (Geometry((16, 16, 1), (2, 2), (2, 2), (0, 0, 0, 0)), 2 * 16 + 4 + 16),
        # Taps that lie apart span as much as a kernel of that size.
        (Geometry((28, 28, 1), (3, 3), (1, 1), (2, 2, 2, 2), dilation=(2, 2)), 4 * 28 + 5 + 1 + 28),
        (Geometry((28, 28, 1), (3, 1), (1, 1), (4, 0, 4, 0), dilation=(4, 9)), 8 * 28 + 1 + 1 + 28),
    ],
)
def test_buffer_words(geometry, pixels):
    wide = replace(geometry, shape=(*geometry.shape[:2], 6))
    for simd in (1, 2, 3, 6):
        needed = pixels * 6 // simd + 1
        words = buffer_words(wide, simd)
        assert words // 2 < needed <= words
        assert words & (words - 1) == 0


def taps(geometry, frames):
    """(base, address, whether in the map) of every tap, in pixels since the first frame's start."""
    height, width, _ = geometry.shape
    top, left, _, _ = geometry.pads
    rows, columns = geometry.output
    for frame in range(frames):
        for y in range(rows):
            for x in range(columns):
                row, column = y * geometry.stride[0] - top, x * geometry.stride[1] - left
                start = frame * height * width
                for i in range(geometry.kernel[0]):
                    for j in range(geometry.kernel[1]):
                        y_tap, x_tap = row + i * geometry.dilation[0], column + j * geometry.dilation[1]
                        inside = 0 <= y_tap < height and 0 <= x_tap < width
                        yield start + row * width + column, start + y_tap * width + x_tap, inside


WINDOWS = [
    window
    for shape in ((4, 5, 1), (1, 3, 1), (6, 2, 1))
    for kernel, dilation in (((1, 1), (1, 1)), ((2, 1), (1, 1)), ((1, 3), (1, 1)), ((2, 2), (5, 2)), ((2, 1), (7, 1)))
    for stride in ((1, 1), (2, 3), (5, 4))
    for pads in ((0, 0, 0, 0), (1, 0, 0, 2), (0, 7, 3, 1), (6, 2, 9, 9))
    if min((window := Geometry(shape, kernel, stride, pads, dilation=dilation)).output) > 0
]


@pytest.mark.parametrize("geometry", WINDOWS, ids=str)
def test_which_windows_touch_the_map(geometry):
    rows, columns = touching(geometry)
    steps = [inside for _, _, inside in taps(geometry, 1)]
    area = geometry.kernel[0] * geometry.kernel[1]
    windows = [any(steps[start : start + area]) for start in range(0, len(steps), area)]
    assert [bool(row and column) for row in rows for column in columns] == windows


@pytest.mark.parametrize("geometry", WINDOWS, ids=str)
def test_how_far_the_reader_strays(geometry):
    """It stops only for taps in the map and for the start of a frame whose first window lies outside of it."""
    height, width, _ = geometry.shape
    steps = list(taps(geometry, 3))
    waited_for = furthest = 0
    for index, (_, address, inside) in enumerate(steps):
        furthest = max(furthest, address - waited_for)
        frame, first = divmod(index, len(steps) // 3)
        if first == 0 and not all(part[0] for part in touching(geometry)):
            waited_for = max(waited_for, frame * height * width + 1)
        if inside:
            waited_for = max(waited_for, address + 1)
    assert furthest <= ahead(geometry)

    needed = len(steps) * [0]
    lowest = 3 * height * width  # the next frame's first pixel
    for index in reversed(range(len(steps))):
        if steps[index][2]:
            lowest = min(lowest, steps[index][1])
        needed[index] = lowest
    assert all(base - needed[index] <= overhang(geometry) for index, (base, _, _) in enumerate(steps))
    # A frame can begin while its first window keeps the writer as far back as it ever does.
    top, left, _, _ = geometry.pads
    assert buffer_words(geometry, 1) - overhang(geometry) - 1 > top * width + left
    assert span(geometry) == max(address - base for base, address, _ in steps) + 1


@pytest.mark.parametrize("geometry", WINDOWS, ids=str)
def test_when_the_awaited_taps_have_come_all_have(geometry):
    """Of every block: the last tap in the map is among them; and each of them is the last one of some block."""
    columns = geometry.kernel[1]
    area = geometry.kernel[0] * columns
    steps = list(taps(geometry, 1))
    for unroll in product(divisors(geometry.kernel[0]), divisors(columns)):
        last = set()
        for start, row, column in product(
            range(0, len(steps), area), range(0, geometry.kernel[0], unroll[0]), range(0, columns, unroll[1])
        ):
            block = list(product(range(unroll[0]), range(unroll[1])))
            found = [(steps[start + (row + i) * columns + column + j], (i, j)) for i, j in block]
            inside = [(address, place) for (_, address, is_inside), place in found if is_inside]
            if inside:
                last.add(max(inside)[1])
        assert last <= set(awaited(geometry, unroll))
        if last:
            rows, across = (sorted({place[axis] for place in last}) for axis in range(2))
            assert list(awaited(geometry, unroll)) == list(product(rows, across))
