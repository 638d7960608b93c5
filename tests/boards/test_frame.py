"""The frame buffer: what comes out are exactly the complete frames, whatever is dropped between them."""

import random

import pytest
from amaranth.sim import Simulator

from hwgen.boards.frame import FrameBuffer, buffer_depth


def test_depth():
    assert [buffer_depth(n) for n in (1, 512, 513, 784, 3072)] == [512, 512, 1024, 1024, 4096]


def test_frame_bytes_must_be_positive():
    with pytest.raises(ValueError, match="frame_bytes must be positive, not 0"):
        FrameBuffer(0)


@pytest.mark.parametrize("frame_bytes", [1, 7, 300])
@pytest.mark.parametrize("ready", [0.05, 1.0])
def test_random_pushes_and_drops(frame_bytes, ready):
    """Against a model: the pointers wrap many times, the reader is slow or fast, drops hit any moment."""
    dut = FrameBuffer(frame_bytes)
    rng = random.Random(frame_bytes)
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    expected, partial, taken, events = [], [], [], {"overrun": 0, "drop": 0, "complete": 0}

    async def write(ctx):
        for _ in range(6000):
            data, drop = rng.randrange(256), rng.random() < 0.3 / max(frame_bytes, 20)
            push = not drop and rng.random() < 0.4
            ctx.set(dut.push, push)
            ctx.set(dut.drop, drop)
            ctx.set(dut.data, data)
            assert ctx.get(dut.partial) == bool(partial)
            if drop:
                partial.clear()
                events["drop"] += 1
            elif push and ctx.get(dut.overrun):
                events["overrun"] += 1
            elif push:
                partial.append(data)
            complete = len(partial) == frame_bytes
            assert ctx.get(dut.complete) == complete
            if complete:
                expected.extend(partial)
                partial.clear()
                events["complete"] += 1
            await ctx.tick()
        ctx.set(dut.push, 0)
        ctx.set(dut.drop, 0)
        await ctx.tick().repeat(50 * dut.depth)

    async def read(ctx):
        other = random.Random(0)
        while True:
            ctx.set(dut.o.ready, other.random() < ready)
            _clk, _rst, valid, taking, data = await ctx.tick().sample(dut.o.valid, dut.o.ready, dut.o.payload)
            if valid and taking:
                taken.append(data)

    sim.add_testbench(write)
    sim.add_testbench(read, background=True)
    sim.run()
    assert taken == expected
    assert events["complete"] > 1
    assert events["drop"] > 1
    assert (events["overrun"] > 0) == (ready < 0.5)
