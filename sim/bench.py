"""The cocotb bench of a generated core. Needs cocotb and NumPy, nothing of hwgen: a copy lies beside every core.

``bench.json`` describes the core's ports and layers, ``vectors.npz`` holds frames and what they must become:
``frames`` (N, beats, lanes) bytes of ``s_axis_tdata``, ``expected`` (N, rows, columns, channels), and for a run with
``HWGEN_TRACE=1`` every layer's tensor as ``layer0``, ``layer1``, ... The result is written to ``result.json``.

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
    """Drives the AXI4-Stream slave; with ``rng`` it pauses before a third of the beats."""

    def __init__(self, dut):
        self.dut = dut
        self.sent = 0
        self.started: list[int] = []

    async def send(self, frame: list[int], rng: random.Random | None) -> None:
        dut = self.dut
        for index, beat in enumerate(frame):
            if rng is not None and rng.random() < 1 / 3:
                await ClockCycles(dut.clk, 1 + int(rng.expovariate(0.5)))
            dut.s_axis_tdata.value = beat
            dut.s_axis_tlast.value = int(index == len(frame) - 1)
            dut.s_axis_tvalid.value = 1
            await RisingEdge(dut.clk)
            while not dut.s_axis_tready.value:
                # Sleep until ready rises, then look at it at a clock edge: far cheaper than a look in every cycle.
                await RisingEdge(dut.s_axis_tready)
                await RisingEdge(dut.clk)
            dut.s_axis_tvalid.value = 0
            self.sent += 1
            if index == 0:
                self.started.append(cycle())


class Sink:
    """Takes words from the AXI4-Stream master and checks its rules; with ``rng`` it refuses half of the time."""

    def __init__(self, dut):
        self.dut = dut
        self.taken = 0
        self.finished: list[int] = []

    async def receive(self, words: int, rng: random.Random | None) -> list[int]:
        dut = self.dut
        taken: list[int] = []
        waiting = None
        while len(taken) < words:
            ready = rng is None or rng.random() < 0.5
            dut.m_axis_tready.value = int(ready)
            await RisingEdge(dut.clk)
            if not dut.m_axis_tvalid.value:
                assert waiting is None, "m_axis_tvalid fell before the word was taken"
                await RisingEdge(dut.m_axis_tvalid)
                continue
            word = (dut.m_axis_tdata.value.to_signed(), bool(dut.m_axis_tlast.value), bool(dut.m_axis_tuser.value))
            assert waiting in (None, word), "a waiting word of m_axis changed"
            waiting = None if ready else word
            if ready:
                self.taken += 1
                taken.append(word[0])
                last = len(taken) == words
                assert word[1] == last, f"m_axis_tlast must come with word {words}, it was {word[1]} at {len(taken)}"
                assert not (last and word[2]), "m_axis_tuser reports a damaged frame"
        dut.m_axis_tready.value = 0
        self.finished.append(cycle())
        return taken


async def watch_progress(source: Source, sink: Sink) -> None:
    """Fails when nothing goes in and nothing comes out for a long time: a core that hangs must not hang the bench."""
    while True:
        before = source.sent, sink.taken
        await Timer(BENCH["patience"] * PERIOD_NS, unit="ns")
        if before == (source.sent, sink.taken):
            raise TimeoutError(f"the core stopped after {source.sent} beats in and {sink.taken} words out")


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
    dut.s_axis_tvalid.value = dut.s_axis_tlast.value = dut.s_axis_tdata.value = dut.m_axis_tready.value = 0
    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


@cocotb.test()
async def equals_reference(dut) -> None:
    """Every frame comes out as the reference says; the first few without stalls, for the measurements."""
    vectors = load_vectors()
    frames, expected = vectors["frames"], vectors["expected"]
    words = expected[0].size
    await start(dut)
    source, sink = Source(dut), Sink(dut)
    cocotb.start_soon(watch_progress(source, sink))
    taps = [Tap(dut, tap) for tap in BENCH["taps"]] if TRACE else []
    for tap in taps:
        cocotb.start_soon(tap.watch())

    steady = len(frames) if STALLS == "" else min(STEADY_FRAMES, len(frames))
    seen: list[list[int]] = []
    result = {"frames": 0, "mismatches": 0, "cycles_per_frame": None, "latency_cycles": None, "first_difference": None}

    async def phase(first: int, last: int, seed: str | None) -> None:
        rngs = (None, None) if seed is None else (random.Random(f"source {seed}"), random.Random(f"sink {seed}"))

        async def drive() -> None:
            for frame in frames[first:last]:
                await source.send([int.from_bytes(beat.tobytes(), "little") for beat in frame], rngs[0])

        driver = cocotb.start_soon(drive())
        for index in range(first, last):
            seen.append(await sink.receive(words, rngs[1]))
            print(f"hwgen frame {index + 1}/{len(frames)}", flush=True)
        await driver

    await phase(0, steady, None)
    if steady < len(frames):
        await phase(steady, len(frames), STALLS)

    got = np.array(seen, np.int64).reshape(expected.shape)
    result["frames"] = len(frames)
    result["mismatches"] = int((got != expected).reshape(len(frames), -1).any(axis=1).sum())
    result["latency_cycles"] = sink.finished[0] - source.started[0] + 1
    if steady > 1:
        result["cycles_per_frame"] = (sink.finished[steady - 1] - sink.finished[0]) / (steady - 1)
    differences = [tap.first_difference(vectors[f"layer{index}"]) for index, tap in enumerate(taps)]
    differences.append(first_difference(BENCH["output"], got, expected))
    result["first_difference"] = next((d for d in differences if d is not None), None)
    result["cycles"] = cycle()
    Path(os.environ.get("HWGEN_RESULT") or FOLDER / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    found = {k: v for k, v in (result["first_difference"] or {}).items() if k != "around"}
    assert not found, f"differs from the reference: {found}"
