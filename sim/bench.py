"""The cocotb bench of a generated core. Needs cocotb and NumPy, nothing of hwgen: a copy lies beside every core.

``bench.json`` describes the core's ports and layers, ``vectors.npz`` holds frames and what they must become:
``input0``... (N, beats, lanes) bytes of ``s_axis_tdata``, ``output0``... (N, rows, columns, channels), and for a run
with ``HWGEN_TRACE=1`` every layer's tensor as ``layer0``, ... The result is written to ``result.json``.

Environment: ``HWGEN_BENCH`` (folder of bench.json), ``HWGEN_VECTORS``, ``HWGEN_RESULT`` (files, default in that
folder), ``HWGEN_STALLS`` (seed of the random stalls; empty for none), ``HWGEN_TRACE``.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, Timer
from cocotb.utils import get_sim_time

PERIOD_NS = 10
FOLDER = Path(os.environ.get("HWGEN_BENCH") or Path(__file__).parent)
BENCH = json.loads((FOLDER / "bench.json").read_text())
STALLS = os.environ.get("HWGEN_STALLS", "")
TRACE = os.environ.get("HWGEN_TRACE", "") not in ("", "0")
TAPPED = ("valid", "ready", "payload")
STEADY_FRAMES = 4
"""Frames sent without stalls at the start, to measure latency and the initiation interval."""


def load_vectors() -> dict[str, np.ndarray]:
    with np.load(os.environ.get("HWGEN_VECTORS") or FOLDER / "vectors.npz", allow_pickle=False) as file:
        return dict(file)


def cycle() -> int:
    """Clock cycles since the start of the simulation."""
    return round(get_sim_time("ns") / PERIOD_NS)


class Source:
    """Drives an AXI4-Stream slave; with ``rng`` it pauses before a third of the beats."""

    def __init__(self, dut, ports: str):
        self.clk = dut.clk
        self.data, self.valid, self.ready, self.last = (
            getattr(dut, f"{ports}t{name}") for name in ("data", "valid", "ready", "last")
        )
        self.data.value = self.valid.value = self.last.value = 0
        self.sent = 0
        self.started: list[int] = []

    async def send(self, frame: np.ndarray, rng: random.Random | None) -> None:
        for index, beat in enumerate(frame):
            if rng is not None and rng.random() < 1 / 3:
                await ClockCycles(self.clk, 1 + int(rng.expovariate(0.5)))
            self.data.value = int.from_bytes(beat.tobytes(), "little")
            self.last.value = int(index == len(frame) - 1)
            self.valid.value = 1
            await RisingEdge(self.clk)
            while not self.ready.value:
                # Sleep until ready rises, then look at it at a clock edge: far cheaper than a look in every cycle.
                await RisingEdge(self.ready)
                await RisingEdge(self.clk)
            self.valid.value = 0
            self.sent += 1
            if index == 0:
                self.started.append(cycle())


class Sink:
    """Takes int32 words, ``lanes`` per beat, from an AXI4-Stream master and checks its rules.

    With ``rng`` it refuses half of the time.
    """

    def __init__(self, dut, ports: str, lanes: int):
        self.clk, self.ports, self.lanes = dut.clk, ports, lanes
        self.data, self.valid, self.ready, self.last, self.user = (
            getattr(dut, f"{ports}t{name}") for name in ("data", "valid", "ready", "last", "user")
        )
        self.ready.value = 0
        self.taken = 0
        self.frames: list[list[int]] = []
        self.finished: list[int] = []

    async def receive(self, words: int, rng: random.Random | None) -> None:
        taken: list[int] = []
        waiting = None
        while len(taken) < words:
            ready = rng is None or rng.random() < 0.5
            self.ready.value = int(ready)
            await RisingEdge(self.clk)
            if not self.valid.value:
                assert waiting is None, f"{self.ports}tvalid fell before the word was taken"
                await RisingEdge(self.valid)
                continue
            beat = (self.data.value.to_unsigned(), bool(self.last.value), bool(self.user.value))
            assert waiting in (None, beat), f"a waiting word of {self.ports}* changed"
            waiting = None if ready else beat
            if ready:
                self.taken += self.lanes
                taken += np.frombuffer(beat[0].to_bytes(4 * self.lanes, "little"), "<i4").tolist()
                last = len(taken) == words
                assert beat[1] == last, (
                    f"{self.ports}tlast must come with word {words}, it is {beat[1]} at {len(taken)}"
                )
                assert not (last and beat[2]), f"{self.ports}tuser reports a damaged frame"
        self.ready.value = 0
        self.frames.append(taken)
        self.finished.append(cycle())


async def watch_progress(dut, sources: list[Source], sinks: list[Sink]) -> None:
    """Fails when nothing goes in and nothing comes out for a long time: a core that hangs must not hang the bench."""
    while True:
        before = [source.sent for source in sources], [sink.taken for sink in sinks]
        await Timer(BENCH["patience"] * PERIOD_NS, unit="ns")
        sent, taken = [source.sent for source in sources], [sink.taken for sink in sinks]
        if before == (sent, taken):
            raise TimeoutError(f"the core stopped after {sum(sent)} beats in and {sum(taken)} words out{stuck(dut)}")


def stuck(dut) -> str:
    """Which layers hold a word that nobody takes, and which offer none, when nothing moves."""
    full, empty = [], []
    for tap in BENCH["taps"]:
        valid, ready = (getattr(dut, f"{tap['engine']}_{name}").value for name in ("valid", "ready"))
        if not valid:
            empty.append(tap["layer"])
        elif not ready:
            full.append(tap["layer"])
    text = [f"{what}: {', '.join(names)}" for what, names in (("not taken", full), ("nothing offered", empty)) if names]
    return f" ({'; '.join(text)})" if text else ""


class Tap:
    """Watches one layer's output stream inside the core."""

    def __init__(self, dut, tap: dict):
        self.clk = dut.clk
        self.valid, self.ready, self.payload = (getattr(dut, f"{tap['engine']}_{n}") for n in TAPPED)
        self.tap = tap
        self.values: list[int] = []

    async def watch(self) -> None:
        bits, lanes = self.tap["bits"], self.tap["lanes"]
        half, mask = 1 << bits - 1, (1 << bits) - 1
        while True:
            await RisingEdge(self.clk)
            if self.valid.value and self.ready.value:
                word = self.payload.value.to_unsigned()
                for lane in range(lanes):
                    value = word >> lane * bits & mask
                    self.values.append(value - 2 * half if self.tap["signed"] and value >= half else value)

    def first_difference(self, expected: np.ndarray) -> dict | None:
        frames = len(self.values) // expected[0].size
        seen = np.array(self.values[: frames * expected[0].size], np.int64).reshape(frames, *expected.shape[1:])
        return first_difference(self.tap["layer"], seen, expected[:frames])


def first_difference(layer: str, seen: np.ndarray, expected: np.ndarray) -> dict | None:
    """Where two (N, rows, columns, channels) arrays differ first, or None."""
    wrong = np.argwhere(seen != expected)
    if not len(wrong):
        return None
    frame, row, column, channel = (int(v) for v in wrong[0])
    at = (frame, row, column, channel)
    return {
        "layer": layer,
        "frame": frame,
        "row": row,
        "column": column,
        "channel": channel,
        "expected": int(expected[at]),
        "actual": int(seen[at]),
        "around": neighbourhood(seen, expected, at),
    }


def neighbourhood(seen: np.ndarray, expected: np.ndarray, at: tuple[int, int, int, int]) -> dict:
    """Expected and actual values around ``at``: part of its channel's map, or for a map of one pixel of its channels.

    Returns ``along`` ("column" or "channel"), the numbers of the ``rows`` and of the ``columns`` (or channels), and
    ``expected`` and ``actual`` as lists of rows.
    """
    frame, row, column, channel = at
    _, height, width, channels = expected.shape

    def near(centre: int, size: int, reach: int) -> slice:
        return slice(max(centre - reach, 0), min(centre + reach + 1, size))

    rows = near(row, height, 1)
    in_map = height * width > 1
    columns = near(column, width, 3) if in_map else near(channel, channels, 3)
    part = (frame, rows, columns, channel) if in_map else (frame, rows, column, columns)
    return {
        "along": "column" if in_map else "channel",
        "rows": list(range(rows.start, rows.stop)),
        "columns": list(range(columns.start, columns.stop)),
        "expected": expected[part].tolist(),
        "actual": seen[part].tolist(),
    }


async def start(dut) -> None:
    dut.rst.value = 1
    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


@cocotb.test()
async def equals_reference(dut) -> None:
    """Every frame comes out as the reference says; the first few without stalls, for the measurements."""
    vectors = load_vectors()
    inputs = [vectors[f"input{index}"] for index in range(len(BENCH["inputs"]))]
    expected = [vectors[f"output{index}"] for index in range(len(BENCH["outputs"]))]
    total = len(inputs[0])
    sources = [Source(dut, port["ports"]) for port in BENCH["inputs"]]
    sinks = [Sink(dut, port["ports"], port["lanes"]) for port in BENCH["outputs"]]
    await start(dut)
    cocotb.start_soon(watch_progress(dut, sources, sinks))
    taps = [Tap(dut, tap) for tap in BENCH["taps"]] if TRACE else []
    for tap in taps:
        cocotb.start_soon(tap.watch())

    steady = total if STALLS == "" else min(STEADY_FRAMES, total)
    result: dict = {
        "frames": 0,
        "mismatches": 0,
        "cycles_per_frame": None,
        "latency_cycles": None,
        "first_difference": None,
    }

    async def phase(first: int, last: int, seed: str | None) -> None:
        def rng(what: str) -> random.Random | None:
            return None if seed is None else random.Random(f"{what} {seed}")

        async def drive(number: int) -> None:
            own = rng(f"source {number}")
            for frame in inputs[number][first:last]:
                await sources[number].send(frame, own)

        async def take(number: int) -> None:
            own = rng(f"sink {number}")
            for index in range(first, last):
                await sinks[number].receive(expected[number][0].size, own)
                if number == 0:
                    print(f"hwgen frame {index + 1}/{total}", flush=True)

        tasks = [cocotb.start_soon(drive(number)) for number in range(len(sources))]
        tasks += [cocotb.start_soon(take(number)) for number in range(len(sinks))]
        for task in tasks:
            await task

    await phase(0, steady, None)
    if steady < total:
        await phase(steady, total, STALLS)

    got = [np.array(sink.frames, np.int64).reshape(want.shape) for sink, want in zip(sinks, expected, strict=True)]
    wrong = [(a != b).reshape(total, -1).any(axis=1) for a, b in zip(got, expected, strict=True)]
    result["frames"] = total
    result["mismatches"] = int(np.any(wrong, axis=0).sum())
    result["latency_cycles"] = max(sink.finished[0] for sink in sinks) - min(s.started[0] for s in sources) + 1
    if steady > 1:
        result["cycles_per_frame"] = max((s.finished[steady - 1] - s.finished[0]) / (steady - 1) for s in sinks)
    differences = [tap.first_difference(vectors[f"layer{index}"]) for index, tap in enumerate(taps)]
    for port, seen, want in zip(BENCH["outputs"], got, expected, strict=True):
        differences.append(first_difference(port["name"], seen, want))
    result["first_difference"] = next((d for d in differences if d is not None), None)
    result["cycles"] = cycle()
    Path(os.environ.get("HWGEN_RESULT") or FOLDER / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    found = {k: v for k, v in (result["first_difference"] or {}).items() if k != "around"}
    assert not found, f"differs from the reference: {found}"
