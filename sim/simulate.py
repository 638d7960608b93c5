"""Running a generated core against the reference, and saying where they differ."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from hwgen import store, tools
from hwgen.emit.generate import write_vectors
from hwgen.errors import HwgenError
from hwgen.files import MANIFEST, NETWORK, SIMULATION, generated_file, read_generated
from hwgen.network import Network
from hwgen.reference import quantize_input
from hwgen.tools import Progress

from .run_bench import BUILT, SIMULATORS

__all__ = ["check_frames", "choose_simulator", "simulate"]


def simulate(
    folder: str | Path,
    x: np.ndarray | Mapping[str, np.ndarray],
    *,
    frames: int | None = None,
    simulator: str | None = None,
    stalls: int | None = None,
    trace: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run raw frames ``x`` through the core in ``folder`` and compare every word with the reference.

    x: (N, H, W, C), or a dict of such by input name, needed for several inputs. frames: how many of them, default all.
    simulator: "verilator" or "icarus", default whichever is there. stalls: seed of random stalls on all ports after the
    first four frames, which run freely for the measurements; None for no stalls. trace: compare every layer's output,
    not only the network's (slower). progress: called with short lines.

    Returns ``simulator, stalls, trace, frames, mismatches, cycles_per_frame, latency_cycles, cycles`` and
    ``first_difference``: None, or a dict with the layer, frame, row, column, channel, expected and actual value, and
    ``around``, see ``bench.neighbourhood``. A difference in the result is traced to the first layer that differs by a
    second run up to the frame in question. ``mismatches`` counts frames whose *result* differs; with trace there may be
    a first difference without any, when a later layer hides it.

    Leaves ``simulate.log``. An earlier ``simulate.json`` is removed, so that a failure leaves none that could be taken
    for its own; writing it is the caller's. Raises :class:`HwgenError` when no simulator is installed, a file of the
    folder is missing or damaged, or the bench breaks off.
    """
    folder = Path(folder).absolute()
    network = store.load(generated_file(folder / NETWORK))
    lanes = _lanes(folder, network)
    _check_bench(folder / "bench")
    chosen = choose_simulator(simulator)
    data = dict(x) if isinstance(x, Mapping) else {network.input.name: x}
    available = min(map(len, data.values()))
    count = available if frames is None else frames
    check_frames(count, available)
    integers = quantize_input(network, {name: part[:count] for name, part in data.items()})
    (folder / SIMULATION).unlink(missing_ok=True)

    result = _run(folder, network, lanes, integers, chosen, stalls, trace, progress)
    difference = result["first_difference"]
    if difference is not None and not trace:
        upto = difference["frame"] + 1
        start = {name: part[:upto] for name, part in integers.items()}
        traced = _run(folder, network, lanes, start, chosen, stalls, True, progress)
        result["first_difference"] = traced["first_difference"] or difference
    return {"simulator": chosen, "stalls": stalls, "trace": trace, **result}


def choose_simulator(name: str | None) -> str:
    """``name``, or the first simulator there is; :class:`HwgenError` when it is unknown or cannot be found."""
    if name is None:
        name = next((s for s, program in SIMULATORS.items() if tools.is_available(program)), "verilator")
    if name not in SIMULATORS:
        raise HwgenError(f"simulator {name!r} is not known; choose one of {', '.join(SIMULATORS)}")
    tools.find(SIMULATORS[name])
    return name


def check_frames(frames: int, available: int) -> None:
    """Raise :class:`HwgenError` unless ``frames`` can be taken from the data."""
    if not 1 <= frames <= available:
        raise HwgenError(f"frames must be between 1 and the {available} in the data, not {frames}")


def _lanes(folder: Path, network: Network) -> list[int]:
    """Bytes per beat of the core's inputs."""
    inputs = read_generated(folder / MANIFEST, {"inputs": list})["inputs"]
    lanes = [part.get("lanes") if isinstance(part, dict) else None for part in inputs]
    sizes = [prod(tensor.shape) for tensor in network.inputs]
    usable = [count for count in lanes if isinstance(count, int) and count > 0]
    if len(usable) != len(sizes) or any(size % count for count, size in zip(usable, sizes, strict=True)):
        raise HwgenError(f"{str(folder / MANIFEST)!r} has no usable 'lanes'; run hwgen generate again")
    return usable


def _check_bench(bench: Path) -> None:
    """What the bench consists of is there, before a simulation is built for minutes."""
    fields = {"core": str, "sources": list, "inputs": list, "outputs": list, "patience": int, "taps": list}
    sources = read_generated(bench / "bench.json", fields)["sources"]
    for name in ("bench.py", "run_bench.py", *sources):
        generated_file((bench / name).resolve())


def _run(
    folder: Path,
    network: Network,
    lanes: list[int],
    x: Mapping[str, np.ndarray],
    simulator: str,
    stalls: int | None,
    trace: bool,
    progress: Progress | None,
) -> dict[str, Any]:
    """One run of the folder's bench in a process of its own; returns what the bench wrote."""
    with tempfile.TemporaryDirectory(prefix="hwgen-") as scratch:
        vectors, result, log = Path(scratch, "vectors.npz"), Path(scratch, "result.json"), folder / "simulate.log"
        write_vectors(network, lanes, x, vectors, layers=trace)
        program = SIMULATORS[simulator]
        environment = {
            **os.environ,
            tools.TOOLS[program].variable: str(tools.find(program)),
            "HWGEN_VECTORS": str(vectors),
            "HWGEN_RESULT": str(result),
            "PYTHONUNBUFFERED": "1",
        }
        command = [sys.executable, str(folder / "bench" / "run_bench.py"), "--simulator", simulator]
        command += ["--stalls", str(stalls)] if stalls is not None else []
        command += ["--trace"] if trace else []
        if progress is not None:
            progress("building the simulation")
        lines = _watch(command, environment, log, progress)
        if not result.is_file():
            raise HwgenError(_failure(lines, folder, log))
        return json.loads(result.read_text())


def _failure(lines: list[str], folder: Path, log: Path) -> str:
    """Why there is no result: the Verilog, what builds the simulation, or what happened while it ran."""
    spoken = [line.strip() for line in lines if not line.lstrip().startswith("File ")]  # of a traceback
    errors = [line for line in spoken if re.search(r"[Ee]rror\b|\bassert\b", line)]
    if BUILT not in spoken:
        # The first error is the cause, later ones follow from it. Verilator and Icarus name the file.
        core = str(folder / "core.v")
        refused = next((line for line in errors if core in line or line.startswith("%Error")), None)
        if refused is not None:
            return f"the simulator refuses {core!r}: {_short(refused, core)}; run hwgen generate again, or see {log}"
        return f"the simulation cannot be built: {_short(next(iter(errors), 'no output'))}; see {log}"
    return f"the simulation broke off: {_short(errors[-1] if errors else 'no output')}; see {log}"


def _short(line: str, path: str = "") -> str:
    """``line`` without ``path`` and the word error at its beginning."""
    line = line.replace(f"{path}:", "line ") if path else line
    return re.sub(r"^(%Error(-\w+)?|[Ee]rror): ", "", line).rstrip(".")[:200]


def _watch(command, environment, log: Path, progress: Progress | None) -> list[str]:
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
                done = re.match(r"hwgen frame (\d+/\d+)", line)
                if done and progress is not None:
                    progress(f"simulating, frame {done[1]}")
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return lines
