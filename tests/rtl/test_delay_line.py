"""Delay lines: what comes out went in so many steps ago, whatever they are made of."""

import random

import pytest

from hwgen.rtl.delay_line import BlockDelayLine, DelayLine

from .drive import clocked


@pytest.mark.parametrize("stalls", [0.0, 0.4])
@pytest.mark.parametrize(("width", "length"), [(5, 1), (5, 3), (5, 4), (3, 8), (8, 16), (8, 40)])
def test_delay(width, length, stalls):
    rng = random.Random(f"{width} {length}")
    rows = [[int(rng.random() >= stalls), rng.getrandbits(width)] for _ in range(5 * length + 20)]
    (seen,) = clocked(DelayLine(width, length), rows, inputs=["step", "i"], outputs=["o"])
    steps: list[int] = []
    compared = 0
    for (step, word), out in zip(rows, seen, strict=True):
        if step:
            if len(steps) >= length:
                assert out == steps[-length]
                compared += 1
            steps.append(word)
    assert compared >= 10


@pytest.mark.parametrize("stalls", [0.0, 0.4])
@pytest.mark.parametrize(("width", "length"), [(5, 4), (40, 17), (40, 33)])
def test_delay_in_blocks(width, length, stalls):
    """Input and output come two cycles after their step."""
    rng = random.Random(f"{width} {length}")
    steps = [int(rng.random() >= stalls) for _ in range(5 * length + 20)]
    words = [rng.getrandbits(width) for _ in steps]
    late = BlockDelayLine.LATENCY
    rows = list(zip([*steps, *[0] * late], [*[0] * late, *words], strict=True))
    (seen,) = clocked(BlockDelayLine(width, length), rows, inputs=["step", "i"], outputs=["o"])
    taken = [(word, out) for step, word, out in zip(steps, words, seen[late:], strict=True) if step]
    assert len(taken) >= length + 10
    assert [out for _, out in taken[length:]] == [word for word, _ in taken[:-length]]
