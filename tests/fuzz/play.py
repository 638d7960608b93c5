"""A whole core in ``amaranth.sim``: frames into every input, words out of every output, all stalling at random."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
from amaranth.sim import Simulator

from hwgen.rtl.top import Core, InputPort, OutputPort

__all__ = ["Hang", "play"]


class Hang(AssertionError):
    """Nothing went in or came out for a long time."""


def play(
    core: Core,
    frames: Mapping[str, np.ndarray],
    *,
    stall_in: float,
    stall_out: float,
    seed: int,
    patience: int,
) -> dict[str, np.ndarray]:
    """What every output makes of ``frames``, (N, H, W, C) integers by input name: (N, values of a frame) by name.

    stall_in, stall_out: probability per cycle that a source has nothing, or a sink takes nothing. Raises
    :class:`Hang` when no port moves a word for ``patience`` cycles, ``AssertionError`` when a port breaks the rules of
    its stream or a word too many comes.
    """
    count = len(next(iter(frames.values())))
    taken: dict[str, list[int]] = {port.prefix: [] for port in core.outputs}
    moved = [0]  # beats and words so far, by which the watchdog sees progress

    def signals(port: InputPort | OutputPort, *names: str):
        return [getattr(core, port.prefix + name) for name in names]

    def source(port: InputPort):
        rng = random.Random(f"{port.prefix} {seed}")
        tdata, tvalid, tlast, tready = signals(port, "tdata", "tvalid", "tlast", "tready")
        beats = (frames[port.tensor] & 255).astype(np.uint8).reshape(count, port.beats, port.lanes)

        async def drive(ctx):
            for frame in beats:
                for index, beat in enumerate(frame):
                    while rng.random() < stall_in:
                        await ctx.tick()
                    ctx.set(tdata, int.from_bytes(beat.tobytes(), "little"))
                    ctx.set(tlast, index == port.beats - 1)
                    ctx.set(tvalid, 1)
                    while not (await ctx.tick().sample(tready))[2]:
                        pass
                    ctx.set(tvalid, 0)
                    moved[0] += 1

        return drive

    def sink(port: OutputPort):
        rng = random.Random(f"{port.prefix} {seed}")
        (tready,) = signals(port, "tready")
        names = signals(port, "tvalid", "tdata", "tlast", "tuser")

        async def take(ctx):
            words, waiting = taken[port.prefix], None
            while True:
                ready = rng.random() >= stall_out
                ctx.set(tready, ready)
                _, _, valid, *word = await ctx.tick().sample(*names)
                assert waiting is None or (valid and word == waiting), "a waiting word must stay as it is"
                waiting = word if valid and not ready else None
                if valid and ready:
                    words.append(word[0])
                    moved[0] += 1
                    assert len(words) <= port.words * count, f"more than {port.words * count} words of {port.tensor}"
                    assert bool(word[1]) == (len(words) % port.words == 0), f"tlast of {port.tensor} must end a frame"
                    assert not (word[1] and word[2]), f"tuser of {port.tensor} reports a damaged frame"

        return take

    async def watch(ctx):
        idle, before = 0, -1
        while any(len(taken[port.prefix]) < port.words * count for port in core.outputs):
            await ctx.tick()
            idle = idle + 1 if moved[0] == before else 0
            before = moved[0]
            if idle > patience:
                got = ", ".join(f"{len(taken[port.prefix])} of {port.words * count}" for port in core.outputs)
                raise Hang(f"nothing moves for {patience} cycles after {got} words")
        for _ in range(50):
            await ctx.tick()

    simulator = Simulator(core)
    simulator.add_clock(1e-6)
    for port in core.inputs:
        simulator.add_testbench(source(port), background=True)
    for port in core.outputs:
        simulator.add_testbench(sink(port), background=True)
    simulator.add_testbench(watch)
    simulator.run()
    return {port.tensor: np.array(taken[port.prefix]).reshape(count, port.words) for port in core.outputs}
