"""Driving the components that are no plain streams, and whole engines, from NumPy arrays."""

from __future__ import annotations

import random

import numpy as np
from amaranth.lib import data
from amaranth.sim import Simulator

from hwgen.network import Conv, Pool, Tensor
from hwgen.plan import Folding
from hwgen.reference import run
from hwgen.rtl.engines import engine_of
from hwgen.sim.stream import run_stream

from ..networks import network


def simulate(dut, *testbenches, background=()) -> None:
    """Run ``testbenches`` on ``dut`` until the last of them ends."""
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for testbench in background:
        simulator.add_testbench(testbench, background=True)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    simulator.run()


def words_of(x: np.ndarray, lanes: int) -> list[list[int]]:
    """A channel-last array as words of ``lanes`` channels."""
    return x.reshape(-1, lanes).tolist()


def beats(dut, words, count, *, stall_in=0.0, no_room=0.0, seed=0, limit=500):
    """Feed ``words`` to a feeder and take ``count`` beats: lists of data, first, last, and the cycle of each.

    ``no_room`` is the probability per cycle that the end of a reduction has no place. Checks what holds in every
    cycle: no claim without room, and one claim for every last beat.
    """
    rng_in, rng_room = random.Random(f"in {seed}"), random.Random(f"room {seed}")
    taken: list[tuple[list[int], int, int, int]] = []
    counts = {"claims": 0, "lasts": 0}

    async def source(ctx):
        for word in words:
            while rng_in.random() < stall_in:
                await ctx.tick()
            ctx.set(dut.i.payload, word)
            ctx.set(dut.i.valid, 1)
            # Not until(): a testbench that is dropped in the middle of it raises when it is collected.
            while not (await ctx.tick().sample(dut.i.ready))[2]:
                pass
            ctx.set(dut.i.valid, 0)

    async def watch(ctx):
        cycle = idle = 0
        while len(taken) < count:
            room = rng_room.random() >= no_room
            ctx.set(dut.room, room)
            _, _, valid, first, last, payload, claim = await ctx.tick().sample(
                dut.o.valid, dut.o.first, dut.o.last, dut.o.data, dut.claim
            )
            assert room or not claim, "a reduction may not end without room"
            counts["claims"] += claim
            if valid:
                counts["lasts"] += last
                taken.append((list(payload), first, last, cycle))
            cycle += 1
            idle = 0 if valid else idle + 1
            assert idle <= limit, f"no beat for {limit} cycles after {len(taken)} of {count}"
        assert counts["claims"] >= counts["lasts"]

    simulate(dut, watch, background=[source])
    return tuple([beat[field] for beat in taken] for field in range(4))


def clocked(dut, rows, *, inputs, outputs, cycles=None):
    """Set ``inputs`` (members by name) to each of ``rows`` in turn and sample ``outputs`` in every cycle.

    Returns one list per output; entry ``n`` is what was there just before the edge that ends cycle ``n``.
    """
    seen: list[list] = [[] for _ in outputs]

    async def drive(ctx):
        for number in range(cycles or len(rows)):
            if number < len(rows):
                for name, value in zip(inputs, rows[number], strict=True):
                    ctx.set(getattr(dut, name), value)
            sampled = await ctx.tick().sample(*(getattr(dut, name) for name in outputs))
            for column, value in zip(seen, sampled[2:], strict=True):
                column.append(list(value) if isinstance(value, data.Const) else value)

    simulate(dut, drive)
    return seen


def run_engine(layer: Conv | Pool, source: Tensor, folding: Folding, x: np.ndarray, **stalls):
    """The engine's output (N, OH, OW, O) for frames ``x`` (N, H, W, C), and the cycle of every frame's last word."""
    count = len(x) * int(np.prod(layer.output.shape)) // folding.lanes
    words, cycles = run_stream(engine_of(layer, [source], folding), words_of(x, folding.simd), count, **stalls)
    y = np.array(words).reshape(len(x), *layer.output.shape)
    per_frame = count // len(x)
    return y, cycles[per_frame - 1 :: per_frame]


def assert_exact(layer: Conv | Pool, source: Tensor, folding: Folding, x: np.ndarray, **stalls) -> list[int]:
    """The engine equals the reference on ``x``; returns the cycle of every frame's last word."""
    y, ends = run_engine(layer, source, folding, x, **stalls)
    np.testing.assert_array_equal(y, run(network(layer, source=source), x))
    return ends
