"""AXI4-Stream on both ends of a component, with random stalls and the protocol's rules checked."""

from __future__ import annotations

import random
from collections.abc import Sequence

from .drive import simulate


def play_frames(
    dut,
    frames: Sequence[Sequence[int]],
    words: int,
    *,
    slave: str = "s_axis_",
    master: str = "m_axis_",
    stall_in: float = 0.0,
    stall_out: float = 0.0,
    seed: int = 0,
    limit: int = 3_000,
    quiet: int = 50,
    probe: Sequence[str] = (),
) -> tuple[list[tuple[int, int, int]], list[int], dict[str, int]]:
    """Send ``frames`` (lists of tdata; tlast with the last) and take ``words`` words.

    Returns (tdata, tlast, tuser) of every word, the cycle of each, and the members ``probe`` after ``quiet`` more
    cycles, in which nothing may come.
    """
    rng_in, rng_out = random.Random(f"in {seed}"), random.Random(f"out {seed}")
    taken: list[tuple[int, int, int]] = []
    cycles: list[int] = []
    probed: dict[str, int] = {}

    def port(prefix, name):
        return getattr(dut, prefix + name)

    async def source(ctx):
        for frame in frames:
            for index, beat in enumerate(frame):
                while rng_in.random() < stall_in:
                    await ctx.tick()
                ctx.set(port(slave, "tdata"), beat)
                ctx.set(port(slave, "tlast"), index == len(frame) - 1)
                ctx.set(port(slave, "tvalid"), 1)
                while not (await ctx.tick().sample(port(slave, "tready")))[2]:
                    pass
                ctx.set(port(slave, "tvalid"), 0)

    async def sink(ctx):
        names = [port(master, name) for name in ("tvalid", "tdata", "tlast", "tuser")]
        waiting = None
        cycle = idle = 0
        while len(taken) < words:
            ready = rng_out.random() >= stall_out
            ctx.set(port(master, "tready"), ready)
            _, _, valid, *word = await ctx.tick().sample(*names)
            assert waiting is None or (valid and word == waiting), "a waiting word must stay as it is"
            waiting = word if valid and not ready else None
            if valid and ready:
                taken.append((word[0], word[1], word[2]))
                cycles.append(cycle)
            cycle += 1
            idle = 0 if valid else idle + 1
            assert idle < limit, f"no word for {limit} cycles after {len(taken)} of {words}"
        ctx.set(port(master, "tready"), 1)
        for _ in range(quiet):
            _, _, valid = await ctx.tick().sample(names[0])
            assert not valid, f"more than {words} words"
        probed.update({name: ctx.get(getattr(dut, name)) for name in probe})

    simulate(dut, sink, background=[source])
    return taken, cycles, probed
