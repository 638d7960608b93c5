"""The queue whose room is claimed in advance: it never loses a word, and it never refuses a place that it has."""

import random

import pytest
from amaranth.hdl import unsigned

from hwgen.rtl.queue import Queue
from hwgen.sizing.pipeline import queue_depth

from .drive import simulate


def play(words, depth, *, latency=0, eager=True, drain=0.5, seed=0, cycles=250):
    """Claim whenever there is room (or at random), push the words ``latency`` cycles later, take at random.

    Returns what went in, what came out, and how often room was refused although words were free.
    """
    rng = random.Random(seed)
    dut = Queue(unsigned(16), words=words, depth=depth)
    sent, taken = [], []
    dishonest = 0

    async def drive(ctx):
        nonlocal dishonest
        due: list[int] = []  # cycles in which a word must be pushed, ascending
        pending = 0  # claimed and not yet taken
        for cycle in range(cycles):
            room = ctx.get(dut.room)
            dishonest += bool(room) != (depth - pending >= words)
            claim = room and (eager or rng.random() < 0.4)
            ctx.set(dut.claim, claim)
            if claim:
                start = max(cycle + latency, (due[-1] + 1) if due else 0)
                due += range(start, start + words)
                pending += words
            push = bool(due) and due[0] == cycle
            if push:
                due.pop(0)
                sent.append(len(sent) + 1)
                ctx.set(dut.data, sent[-1])
            ctx.set(dut.push, push)
            ready = rng.random() < drain
            ctx.set(dut.o.ready, ready)
            _, _, valid, word = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid and ready:
                taken.append(word)
                pending -= 1

    simulate(dut, drive)
    return sent, taken, dishonest


@pytest.mark.parametrize(("words", "depth"), [(1, 3), (2, 3), (3, 3), (1, 4), (2, 4), (4, 4), (3, 8), (4, 16)])
@pytest.mark.parametrize("latency", [0, 1, 5])
@pytest.mark.parametrize("drain", [0.2, 0.9, 1.0])
def test_keeps_every_word(words, depth, latency, drain):
    for eager in (True, False):
        sent, taken, dishonest = play(words, depth, latency=latency, eager=eager, drain=drain)
        assert len(taken) > 20
        assert taken == sent[: len(taken)]
        assert dishonest == 0, "room exactly when the words fit"


def test_full_rate():
    """With the depth that ``queue_depth`` asks for, a claim of one word per cycle never waits."""
    depth = queue_depth(1, 1, 9)
    sent, _, _ = play(1, depth, latency=9, drain=1.0, cycles=200)
    assert len(sent) == 200 - 9


@pytest.mark.parametrize(
    ("words", "period", "latency", "depth"),
    # ceil((latency + words + 3) / period) + 1 results in flight, up to a power of two, at least 4.
    [(1, 100, 10, 4), (1, 1, 9, 16), (4, 4, 12, 32), (8, 16, 12, 32), (1, 9, 14, 4)],
)
def test_depth(words, period, latency, depth):
    assert queue_depth(words, period, latency) == depth


@pytest.mark.parametrize(("words", "depth"), [(0, 4), (5, 4), (1, 2), (2, 2)])
def test_refuses_too_little_depth(words, depth):
    """Two words are too few although they would hold two: found by this test, see the class."""
    with pytest.raises(ValueError, match="depth must be at least 3 and words"):
        Queue(unsigned(8), words=words, depth=depth)
