"""The feeder without a buffer: order, repetition and the flags of every beat."""

import numpy as np
import pytest

from hwgen.interval import Interval
from hwgen.rtl.direct import Direct

from .drive import beats

SIGNED = Interval(-8, 7)


def expected(words, length, groups, channelwise):
    """(data, first, last) of every beat, from the definition."""
    result = []
    if channelwise:
        for number, word in enumerate(words):
            pixel = number // groups % length
            result.append((word, pixel == 0, pixel == length - 1))
    else:
        for number, word in enumerate(words):
            result += [(word, number % length == 0, number % length == length - 1)] * groups
    return result


@pytest.mark.parametrize("channelwise", [False, True])
@pytest.mark.parametrize(("length", "groups"), [(1, 1), (1, 3), (2, 1), (2, 2), (5, 3)])
@pytest.mark.parametrize("stalls", [{}, {"stall_in": 0.4, "no_room": 0.5, "seed": 1}])
def test_beats(channelwise, length, groups, stalls):
    rng = np.random.default_rng(0)
    words = rng.integers(-8, 8, (3 * length * (groups if channelwise else 1), 2)).tolist()
    want = expected(words, length, groups, channelwise)
    dut = Direct(SIGNED, 2, length=length, groups=groups, channelwise=channelwise)
    data, first, last, cycles = beats(dut, words, len(want), **stalls)
    assert list(zip(data, first, last, strict=True)) == want
    if not stalls:
        assert cycles == list(range(cycles[0], cycles[0] + len(want))), "a beat in every cycle"


def test_takes_a_word_only_for_its_last_group():
    """Four beats per word: the source waits, and the end of the reduction waits for room."""
    dut = Direct(SIGNED, 1, length=1, groups=4)
    data, _, _, cycles = beats(dut, [[1], [2]], 8, no_room=0.6, seed=3)
    assert [word for (word,) in data] == [1] * 4 + [2] * 4
    assert cycles[-1] - cycles[0] > 8
