"""Components with several streams, driven from NumPy arrays under independent stalls."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import numpy as np

from hwgen.network import Add, Concat, Remap, Table, Tensor
from hwgen.reference.network import layer_function
from hwgen.rtl.add import AddEngine
from hwgen.rtl.concat import ConcatEngine
from hwgen.rtl.remap import RemapEngine
from hwgen.rtl.table import TableEngine
from hwgen.sim.stream import Stalled

from .drive import simulate, words_of

IDLE = 50
"""Cycles after the last word in which no other may come."""


def run_streams(
    dut,
    inputs: Mapping[str, Sequence],
    counts: Mapping[str, int],
    *,
    stall_in: float = 0.0,
    stall_out: float = 0.0,
    seed: int = 0,
    limit: int = 2_000,
) -> tuple[dict[str, list], dict[str, list[int]]]:
    """Feed ``inputs`` (port: words), take ``counts`` (port: words); every port stalls by itself.

    Returns the words of every output and the cycle of each. What ``hwgen.sim.stream.run_stream`` checks is checked
    here for every output.
    """
    taken: dict[str, list] = {name: [] for name in counts}
    cycles: dict[str, list[int]] = {name: [] for name in counts}

    def source(name):
        async def drive(ctx):
            rng, port = random.Random(f"{name} {seed}"), getattr(dut, name)
            for word in inputs[name]:
                while rng.random() < stall_in:
                    await ctx.tick()
                ctx.set(port.payload, word)
                ctx.set(port.valid, 1)
                while not (await ctx.tick().sample(port.ready))[2]:
                    pass
                ctx.set(port.valid, 0)

        return drive

    def sink(name):
        async def drive(ctx):
            rng, port = random.Random(f"{name} {seed}"), getattr(dut, name)
            cycle = idle = extra = 0
            waiting = None
            while extra < IDLE:
                extra = extra + 1 if len(taken[name]) == counts[name] else 0
                ready = bool(extra) or rng.random() >= stall_out
                ctx.set(port.ready, ready)
                _, _, valid, payload = await ctx.tick().sample(port.valid, port.payload)
                word = list(payload)
                assert not (extra and valid), f"more than {counts[name]} words"
                assert waiting is None or (valid and word == waiting), "a waiting word must stay as it is"
                waiting = word if valid and not ready else None
                if valid and ready:
                    taken[name].append(word)
                    cycles[name].append(cycle)
                idle = 0 if valid else idle + 1
                cycle += 1
                if idle > limit:
                    raise Stalled(f"{name}: no word for {limit} cycles after {len(taken[name])} of {counts[name]}")

        return drive

    simulate(dut, *(sink(name) for name in counts), background=[source(name) for name in inputs])
    return taken, cycles


def streaming_engine(layer: Add | Concat | Table | Remap, sources: Sequence[Tensor], lanes: int):
    match layer:
        case Add():
            return AddEngine(layer, sources, lanes)
        case Concat():
            return ConcatEngine(layer, sources, lanes)
        case Table():
            return TableEngine(layer, sources[0], lanes)
        case Remap():
            return RemapEngine(layer, sources[0], lanes)


def assert_streams_exactly(layer, sources: Sequence[Tensor], lanes: int, maps: Sequence[np.ndarray], **stalls):
    """The engine equals the reference on ``maps`` (N, H, W, C), one per source; returns the cycle of every word."""
    want = layer_function(layer, [source.interval for source in sources])(*maps)
    ports = [f"i{number}" for number in range(len(sources))] if isinstance(layer, Add | Concat) else ["i"]
    inputs = {port: words_of(x, lanes) for port, x in zip(ports, maps, strict=True)}
    taken, cycles = run_streams(streaming_engine(layer, sources, lanes), inputs, {"o": want.size // lanes}, **stalls)
    np.testing.assert_array_equal(np.array(taken["o"]).reshape(want.shape), want)
    return cycles["o"]


def frame_ends(cycles: Sequence[int], frames: int) -> np.ndarray:
    """The cycle of the last word of each of ``frames`` frames."""
    return np.array(cycles).reshape(frames, -1)[:, -1]
