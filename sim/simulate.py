"""Running a generated core against the reference, and saying where they differ."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hwgen import store, tools
from hwgen.emit.generate import write_vectors
from hwgen.errors import HwgenError
from hwgen.files import MANIFEST, NETWORK, read_json, write_json
from hwgen.network import Network
from hwgen.reference import quantize_input

from .run_bench import SIMULATORS

__all__ = ["simulate"]

RESULT = "simulate.json"

Progress = Callable[[int, int, str], None]
"""Called with the frames done, the frames in all, and what is being done."""


def simulate(
    folder: str | Path,
    x: np.ndarray,
    *,
    frames: int | None = None,
    simulator: str | None = None,
    stalls: int | None = None,
    trace: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run raw frames ``x`` (N, H, W, C) through the core in ``folder`` and compare every word with the reference.

    frames: how many of them, default all. simulator: "verilator" or "icarus", default whichever is there. stalls: seed
    of random stalls on both sides after the first four frames, which run freely for the measurements; None for no
    stalls. trace: compare every layer's output, not only the network's (slower).

    Returns (and leaves in ``simulate.json``) ``frames, mismatches, cycles_per_frame, latency_cycles`` and
    ``first_difference``: None, or a dict with the layer, frame, row, column, channel, expected and actual value. A
    difference in the result is traced to the first layer that differs by a second run up to the frame in question.
    Raises :class:`HwgenError` when no simulator is installed, the folder is not a core, or the bench breaks off.
    """
    folder = Path(folder).absolute()
    manifest = read_json(folder / MANIFEST, "manifest")
    network = store.load(folder / NETWORK)
    chosen = _simulator(simulator)
    count = len(x) if frames is None else frames
    if not 1 <= count <= len(x):
        raise HwgenError(f"frames must be between 1 and the {len(x)} in the data, not {count}")
    integers = quantize_input(network, x[:count])
    lanes = manifest["input"]["lanes"]
    (folder / RESULT).unlink(missing_ok=True)  # a failure must not leave an earlier result that looks like its own

    result = _run(folder, network, lanes, integers, chosen, stalls, trace, progress)
    difference = result["first_difference"]
    if difference is not None and not trace:
        upto = difference["frame"] + 1
        traced = _run(folder, network, lanes, integers[:upto], chosen, stalls, True, progress)
        result["first_difference"] = traced["first_difference"] or difference
    result = {"simulator": chosen, "stalls": stalls, **result}
    write_json(folder / RESULT, result)
    return result


def _simulator(name: str | None) -> str:
    if name is None:
        name = next((s for s, program in SIMULATORS.items() if tools.is_available(program)), "verilator")
    if name not in SIMULATORS:
        raise HwgenError(f"simulator {name!r} is not known; choose one of {', '.join(SIMULATORS)}")
    tools.find(SIMULATORS[name])
    return name


def _run(
    folder: Path,
    network: Network,
    lanes: int,
    x: np.ndarray,
    simulator: str,
    stalls: int | None,
    trace: bool,
    progress: Progress | None,
) -> dict[str, Any]:
    """One run of the folder's bench in a process of its own; returns what the bench wrote."""
    with tempfile.TemporaryDirectory(prefix="hwgen-") as scratch:
        vectors, result, log = Path(scratch, "vectors.npz"), Path(scratch, "result.json"), folder / "simulate.log"
        write_vectors(network, lanes, x, vectors, layers=trace)
        environment = {
            **os.environ,
            "HWGEN_VECTORS": str(vectors),
            "HWGEN_RESULT": str(result),
            "PYTHONUNBUFFERED": "1",
        }
        command = [sys.executable, str(folder / "bench" / "run_bench.py"), "--simulator", simulator]
        command += ["--stalls", str(stalls)] if stalls is not None else []
        command += ["--trace"] if trace else []
        if progress is not None:
            progress(0, len(x), "building the simulation")
        lines = _watch(command, environment, log, len(x), progress)
        if not result.is_file():
            reason = next(
                (line for line in reversed(lines) if re.search(r"[Ee]rror|assert|timeout", line)), "no output"
            )
            raise HwgenError(f"the simulation broke off: {reason.strip()[:200]}; see {log}")
        return json.loads(result.read_text())


def _watch(command, environment, log: Path, total: int, progress: Progress | None) -> list[str]:
    """Run ``command``, log what it prints, report its frames; returns its lines. It does not outlive an exception."""
    lines: list[str] = []
    with (
        log.open("w", encoding="utf-8") as sink,
        subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # the simulator is a grandchild, so an interrupt must reach the whole group
        ) as process,
    ):
        try:
            assert process.stdout is not None
            for line in process.stdout:
                sink.write(line)
                lines.append(line)
                done = re.match(r"hwgen frame (\d+)/", line)
                if done and progress is not None:
                    progress(int(done[1]), total, "simulating")
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return lines
