"""Geometry: which pixels the reductions read, counted out one by one."""

import itertools

import pytest

from hwgen.geometry import Geometry

NO_PADS = (0, 0, 0, 0)


def windows(geometry: Geometry) -> list[list[tuple[int, int]]]:
    """(row, column) of every tap of every output pixel, in order; a tap outside the map too."""
    (top, left, bottom, right), (height, width, _) = geometry.pads, geometry.shape
    rows = range(-top, height + bottom - geometry.kernel[0] + 1, geometry.stride[0])
    columns = range(-left, width + right - geometry.kernel[1] + 1, geometry.stride[1])
    taps = list(itertools.product(range(geometry.kernel[0]), range(geometry.kernel[1])))
    return [[(row + r, column + c) for r, c in taps] for row in rows for column in columns]


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 3), (5, 6), (5, 1)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 1)])
@pytest.mark.parametrize("pads", [NO_PADS, (1, 1, 1, 1), (0, 1, 2, 3)])
def test_outputs_and_reductions_are_the_windows(kernel, stride, pads):
    geometry = Geometry((5, 6, 4), kernel, stride, pads)
    found = windows(geometry)
    assert geometry.output[0] * geometry.output[1] == len(found)
    assert [geometry.reduction(simd) for simd in (1, 2, 4)] == [len(found[0]) * words for words in (4, 2, 1)]
    if geometry.direct:
        # Nothing needs to be stored: the windows one after the other are the pixels of the stream.
        assert list(itertools.chain(*found)) == list(itertools.product(range(5), range(6)))


@pytest.mark.parametrize(
    ("kernel", "stride", "pads", "channelwise", "direct"),
    [
        ((1, 1), (1, 1), NO_PADS, False, True),
        ((1, 1), (2, 2), NO_PADS, False, False),
        ((1, 1), (1, 1), (0, 0, 1, 0), False, False),
        ((1, 1), (1, 1), NO_PADS, True, False),
        ((5, 6), (1, 1), NO_PADS, False, True),
        ((5, 6), (1, 1), NO_PADS, True, True),
        ((5, 6), (4, 4), NO_PADS, False, True),
        ((5, 6), (1, 1), (1, 0, 0, 0), False, False),
        ((5, 5), (1, 1), NO_PADS, False, False),
        ((3, 3), (1, 1), (1, 1, 1, 1), False, False),
    ],
)
def test_direct(kernel, stride, pads, channelwise, direct):
    assert Geometry((5, 6, 4), kernel, stride, pads, channelwise).direct is direct


@pytest.mark.parametrize("kernel", [(1, 1), (2, 1), (3, 2)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 4), (9, 9)])
@pytest.mark.parametrize("pads", [NO_PADS, (3, 0, 0, 0), (0, 2, 0, 2), (4, 4, 4, 4)])
def test_reads_map_when_some_window_touches_it(kernel, stride, pads):
    geometry = Geometry((2, 3, 1), kernel, stride, pads)
    touched = {tap for window in windows(geometry) for tap in window} & set(itertools.product(range(2), range(3)))
    assert geometry.reads_map is bool(touched)


def test_a_channel_on_its_own_is_a_shorter_reduction():
    assert Geometry((5, 6, 4), (3, 3), (1, 1), NO_PADS, channelwise=True).reduction(2) == 9


@pytest.mark.parametrize("simd", [0, -1, 3, 8])
def test_lanes_must_divide_the_channels(simd):
    geometry = Geometry((5, 6, 4), (3, 3), (1, 1), NO_PADS)
    with pytest.raises(ValueError, match=rf"SIMD must divide the 4 input channels, not {simd}"):
        geometry.words_per_pixel(simd)
