"""Rows of accumulators to a stream: order, pace and room."""

import random

import numpy as np
import pytest

from hwgen.interval import Interval
from hwgen.rtl.requant import Channel, Requantizer
from hwgen.rtl.results import Results

from .drive import simulate

ACC = Interval(-100, 99)


def play(rows, lanes, *, requantizer=None, period=1, latency=3, drain=1.0, count=24, seed=0):
    """Claim whenever there is room (at least ``period`` cycles apart), push a random row ``latency`` cycles later.

    Returns the rows, the words taken and the cycle of every claim.
    """
    rng = random.Random(seed)
    dut = Results(ACC, rows, lanes, requantizer, period=period, latency=latency)
    data = np.random.default_rng(seed).integers(ACC.lo, ACC.hi + 1, (count, rows))
    taken, claims = [], []

    async def drive(ctx):
        cycle = 0
        while len(taken) < count * rows // lanes:
            claim = ctx.get(dut.room) and len(claims) < count and (not claims or cycle - claims[-1] >= period)
            ctx.set(dut.claim, claim)
            if claim:
                claims.append(cycle)
            arriving = next((n for n, c in enumerate(claims) if c + latency == cycle), None)
            ctx.set(dut.push, arriving is not None)
            # Without a push the accumulators hold something else: only a row that is pushed may be captured.
            ctx.set(dut.accs, data[arriving].tolist() if arriving is not None else [rng.randint(-100, 99)] * rows)
            ready = rng.random() < drain
            ctx.set(dut.o.ready, ready)
            _, _, valid, word = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid and ready:
                taken.append(list(word))
            cycle += 1
            assert cycle < 5_000, "no progress"

    simulate(dut, drive)
    return data, np.array(taken).reshape(count, rows), claims


@pytest.mark.parametrize(("rows", "lanes"), [(1, 1), (4, 4), (4, 2), (4, 1), (6, 2), (3, 1)])
@pytest.mark.parametrize("drain", [1.0, 0.3])
def test_order(rows, lanes, drain):
    data, taken, claims = play(rows, lanes, drain=drain)
    np.testing.assert_array_equal(taken, data)
    if drain == 1.0:
        assert np.diff(claims).tolist() == [rows // lanes] * 23, "one row per rows / lanes cycles"


@pytest.mark.parametrize("period", [1, 3, 5])
@pytest.mark.parametrize("latency", [2, 9])
def test_the_queue_never_limits(period, latency):
    """Depth follows from period and latency: while the sink takes everything, claims come at their own pace."""
    _, _, claims = play(4, 2, period=period, latency=latency)
    assert np.diff(claims).tolist() == [max(period, 2)] * 23


@pytest.mark.parametrize("lanes", [1, 2])
def test_requantizes_on_the_way(lanes):
    channels = [Channel(8 << k, 4, ACC) for k in range(2)]
    data, taken, _ = play(2, lanes, requantizer=Requantizer(channels, 3, -50, 60, lanes=lanes), drain=0.5)
    np.testing.assert_array_equal(taken, np.clip((data * [8, 16] + 4) >> 3, -50, 60))


def test_refuses_lanes_that_do_not_divide():
    with pytest.raises(ValueError, match="lanes must divide the 3 rows, not 2"):
        Results(ACC, 3, 2, None, period=1, latency=1)
