"""A whole core in simulation: frames on all its inputs, results of all its outputs, random stalls on every port."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from amaranth.sim import Simulator

from hwgen.network import Network
from hwgen.reference import run
from hwgen.rtl.top import Core, InputPort, OutputPort


class Deadlock(AssertionError):
    """Nothing has moved on any port for a long time."""


@dataclass
class Played:
    """beats: (tdata, tlast, tuser) of every output by tensor, cycles: when each was taken, counters: at the end."""

    beats: dict[str, list[tuple[int, int, int]]]
    cycles: dict[str, list[int]]
    counters: dict[str, int] = field(default_factory=dict)

    def ends(self, o: OutputPort) -> list[int]:
        """The cycle of the last beat of every frame."""
        return self.cycles[o.tensor][o.beats - 1 :: o.beats]

    def values(self, o: OutputPort) -> np.ndarray:
        """All int32 of an output, the low bits of a beat first."""
        size = 4 * o.lanes
        octets = b"".join((tdata % (1 << 8 * size)).to_bytes(size, "little") for tdata, _, _ in self.beats[o.tensor])
        return np.frombuffer(octets, "<i4")


def beats_of(x: np.ndarray, lanes: int) -> list[int]:
    """tdata of one frame: a byte per lane, the lowest channel in the low byte."""
    return [int.from_bytes(beat.tobytes(), "little") for beat in (x & 255).astype(np.uint8).reshape(-1, lanes)]


def play(
    core: Core,
    sent: Mapping[str, Sequence[Sequence[int]]],
    frames: int,
    *,
    stall_in: float = 0.0,
    stall_out: float = 0.0,
    seed: int = 0,
    limit: int = 3_000,
) -> Played:
    """Send frames (lists of tdata) into every input and take ``frames`` frames from every output."""
    played = Played({o.tensor: [] for o in core.outputs}, {o.tensor: [] for o in core.outputs})
    wanted = {o.tensor: o.beats * frames for o in core.outputs}
    moved = [0]  # cycle of the last transfer on any port

    def port(of, name):
        return getattr(core, of.prefix + name)

    def source(i: InputPort):
        rng = random.Random(f"{i.prefix} {seed}")

        async def drive(ctx):
            for frame in sent[i.tensor]:
                for index, beat in enumerate(frame):
                    while rng.random() < stall_in:
                        await ctx.tick()
                    ctx.set(port(i, "tdata"), beat)
                    ctx.set(port(i, "tlast"), index == len(frame) - 1)
                    ctx.set(port(i, "tvalid"), 1)
                    while not (await ctx.tick().sample(port(i, "tready")))[2]:
                        pass
                    moved[0] += 1
                    ctx.set(port(i, "tvalid"), 0)

        return drive

    async def sinks(ctx):
        rngs = [random.Random(f"{o.prefix} {seed}") for o in core.outputs]
        signals = [port(o, name) for o in core.outputs for name in ("tvalid", "tdata", "tlast", "tuser")]
        waiting: list = [None] * len(core.outputs)
        cycle = idle = before = 0
        while any(len(beats) < wanted[name] for name, beats in played.beats.items()):
            ready = [rng.random() >= stall_out for rng in rngs]
            for o, r in zip(core.outputs, ready, strict=True):
                ctx.set(port(o, "tready"), r)
            _, _, *seen = await ctx.tick().sample(*signals)
            for k, o in enumerate(core.outputs):
                valid, *word = seen[4 * k : 4 * k + 4]
                assert waiting[k] is None or (valid and word == waiting[k]), "a waiting word must stay as it is"
                waiting[k] = word if valid and not ready[k] else None
                if valid and ready[k]:
                    played.beats[o.tensor].append((word[0], word[1], word[2]))
                    played.cycles[o.tensor].append(cycle)
                    moved[0] += 1
            cycle += 1
            idle = 0 if moved[0] != before else idle + 1
            before = moved[0]
            if idle > limit:
                counts = {name: len(beats) for name, beats in played.beats.items()}
                raise Deadlock(f"nothing moved for {limit} cycles after {counts} of {wanted} beats")
        for o in core.outputs:
            ctx.set(port(o, "tready"), 1)
        for _ in range(50):
            _, _, *valid = await ctx.tick().sample(*(port(o, "tvalid") for o in core.outputs))
            assert not any(valid), "more beats than frames have"
        for name in ("identity", "frames", "errors", "stalled_in", "stalled_out"):
            played.counters[name] = ctx.get(getattr(core, name))

    simulator = Simulator(core)
    simulator.add_clock(1e-6)
    for i in core.inputs:
        simulator.add_testbench(source(i), background=True)
    simulator.add_testbench(sinks)
    simulator.run()
    return played


def check_frames(
    net: Network, core: Core, data: Mapping[str, np.ndarray], *, wrong: Sequence[int] = (), sent=None, **stalls
) -> Played:
    """Play ``data`` (frames by input) and compare every word of every output with the reference.

    ``sent``: beats to play instead of those of ``data``, which then holds what the core must make of them; frames in
    ``wrong`` must be flagged, and no other.
    """
    count = len(next(iter(data.values())))
    if sent is None:
        sent = {i.tensor: [beats_of(frame, i.lanes) for frame in data[i.tensor]] for i in core.inputs}
    played = play(core, sent, count, **stalls)
    single = len(net.inputs) == 1
    expected = run(net, data[net.inputs[0].name] if single else data, every=True)
    for o in core.outputs:
        beats = played.beats[o.tensor]
        got = played.values(o).reshape(count, *net.tensor(o.tensor).shape)
        want = expected[o.tensor] if o.tensor in expected else data[o.tensor]
        np.testing.assert_array_equal(got, want)
        ends = [number % o.beats == o.beats - 1 for number in range(len(beats))]
        assert [bool(last) for _, last, _ in beats] == ends
        flagged = [end and number // o.beats in wrong for number, end in enumerate(ends)]
        assert [bool(user) for _, _, user in beats] == flagged
    assert played.counters["frames"] == count
    assert played.counters["errors"] == len(set(wrong))
    return played
