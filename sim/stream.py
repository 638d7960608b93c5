"""Driving stream components in ``amaranth.sim``: the vocabulary of the unit tests.

``run_stream(dut, words, count)`` is a function from input words to output words; the simulator, the stalls and the
watchdog hide behind it, so a test is one equality.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from amaranth.lib import data
from amaranth.sim import Simulator

__all__ = ["Stalled", "run_stream"]


class Stalled(AssertionError):
    """The component stopped making progress."""


def _plain(value):
    return list(value) if isinstance(value, data.Const) else value


def run_stream(
    dut,
    words: Sequence,
    count: int,
    *,
    stall_in: float = 0.0,
    stall_out: float = 0.0,
    seed: int = 0,
    limit: int = 2_000,
) -> tuple[list, list[int]]:
    """Feed ``words`` to ``dut.i``, take ``count`` words from ``dut.o``.

    stall_in, stall_out: probability per cycle that the source has nothing, or the sink takes nothing.
    limit: cycles without an output word after which :class:`Stalled` is raised.
    Returns the words and the cycle in which each was taken. A word that changes or vanishes while it waits is an
    ``AssertionError``; so is an output beyond ``count`` in the 50 cycles after the last one.
    """
    rng_in, rng_out = random.Random(f"in {seed}"), random.Random(f"out {seed}")
    taken: list = []
    cycles: list[int] = []

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

    async def sink(ctx):
        cycle = idle = 0
        waiting = None
        while len(taken) < count:
            ready = rng_out.random() >= stall_out
            ctx.set(dut.o.ready, ready)
            _, _, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            payload = _plain(payload)
            assert waiting is None or (valid and payload == waiting), "a waiting word must stay as it is"
            waiting = payload if valid and not ready else None
            if valid and ready:
                taken.append(payload)
                cycles.append(cycle)
            idle = 0 if valid else idle + 1
            cycle += 1
            if idle > limit:
                raise Stalled(f"no word for {limit} cycles after {len(taken)} of {count}")
        ctx.set(dut.o.ready, 1)
        for _ in range(50):
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            assert not valid, f"more than {count} words"

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(source, background=True)
    simulator.add_testbench(sink)
    simulator.run()
    return taken, cycles
