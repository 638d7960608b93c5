"""Geometry: which pixels the reductions read, counted out one by one."""

import itertools

import pytest

from hwgen.sizing.geometry import Geometry

NO_PADS = (0, 0, 0, 0)


def windows(geometry: Geometry) -> list[list[tuple[int, int]]]:
    """(row, column) of every tap of every output pixel, in order; a tap outside the map too."""
    (top, left, bottom, right), (height, width, _) = geometry.pads, geometry.shape
    down, across = (
        [tap * step for tap in range(n)] for n, step in zip(geometry.kernel, geometry.dilation, strict=True)
    )
    rows = range(-top, height + bottom - down[-1], geometry.stride[0])
    columns = range(-left, width + right - across[-1], geometry.stride[1])
    taps = list(itertools.product(down, across))
    return [[(row + r, column + c) for r, c in taps] for row in rows for column in columns]


@pytest.mark.parametrize(
    ("kernel", "dilation"),
    [
        *(((rows, columns), (1, 1)) for rows, columns in ((1, 1), (3, 3), (2, 3), (5, 6), (5, 1))),
        ((3, 3), (2, 2)),
        ((2, 1), (4, 3)),
        ((1, 3), (7, 2)),
    ],
)
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 1)])
@pytest.mark.parametrize("pads", [NO_PADS, (1, 1, 1, 1), (0, 1, 2, 3)])
def test_outputs_and_reductions_are_the_windows(kernel, dilation, stride, pads):
    geometry = Geometry((5, 6, 4), kernel, stride, pads, dilation=dilation)
    found = windows(geometry)
    assert geometry.output[0] * geometry.output[1] == len(found)
    assert geometry.extent == tuple(last - first + 1 for first, last in zip(found[0][0], found[0][-1], strict=True))
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
        ((1, 1), (1, 1), NO_PADS, True, True),
        ((1, 1), (1, 2), NO_PADS, True, False),
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


@pytest.mark.parametrize(
    ("options", "simd", "turns", "reduction"),
    [
        ({}, 2, 1, 6 * 9),
        ({"channelwise": True}, 2, 6, 9),
        ({"channelwise": True}, 12, 1, 9),
        ({"groups": 2}, 2, 2, 3 * 9),
        ({"groups": 3}, 4, 3, 9),
        ({"groups": 12}, 1, 12, 9),
    ],
)
def test_sets_of_channels_take_turns(options, simd, turns, reduction):
    """All turns together read every word of a window once."""
    geometry = Geometry((5, 6, 12), (3, 3), (1, 1), NO_PADS, **options)
    assert (geometry.turns(simd), geometry.reduction(simd)) == (turns, reduction)
    assert turns * reduction == 9 * geometry.words_per_pixel(simd)


def test_groups_wait_for_their_turn():
    """A group reads some of the channels of a word-by-word stream, so it cannot take them as they come."""
    assert not Geometry((5, 6, 4), (1, 1), (1, 1), NO_PADS, groups=2).direct
    assert not Geometry((5, 6, 4), (5, 6), (1, 1), NO_PADS, groups=2).direct


def test_a_channel_on_its_own_is_a_shorter_reduction():
    assert Geometry((5, 6, 4), (3, 3), (1, 1), NO_PADS, channelwise=True).reduction(2) == 9


@pytest.mark.parametrize("simd", [0, -1, 3, 8])
def test_lanes_must_divide_the_channels(simd):
    geometry = Geometry((5, 6, 4), (3, 3), (1, 1), NO_PADS)
    with pytest.raises(ValueError, match=rf"SIMD must divide the 4 input channels, not {simd}"):
        geometry.words_per_pixel(simd)


def test_lanes_must_divide_the_channels_of_a_group():
    geometry = Geometry((5, 6, 12), (3, 3), (1, 1), NO_PADS, groups=2)
    with pytest.raises(ValueError, match="SIMD must divide the 6 input channels of a group, not 4"):
        geometry.words_per_pixel(4)
