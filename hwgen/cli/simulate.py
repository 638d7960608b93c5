"""``hwgen simulate``: the generated Verilog against the integer reference, frame by frame, bit by bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Console

from hwgen import api

from .options import Data, Folder, Frames, Json, Simulator, Stalls
from .output import execute, number, rows

__all__ = ["show_simulation", "simulate"]


def simulate(
    folder: Folder,
    data: Data,
    frames: Frames = None,
    simulator: Simulator = None,
    stalls: Stalls = None,
    as_json: Json = False,
) -> None:
    """Prove that the core in DIR computes the same integers as the reference, or show the first difference."""
    result = execute(
        lambda progress: api.simulate(
            folder, data, frames=frames, simulator=simulator, stalls=stalls, progress=progress
        ),
        show_simulation,
        as_json,
    )
    if result["mismatches"]:
        raise typer.Exit(1)


def show_simulation(console: Console, result: Mapping[str, Any]) -> None:
    """Print how many frames agreed and how many clock cycles they took."""
    rows(
        console,
        (
            ("frames simulated", number(result["frames"])),
            ("frames that differ", number(result["mismatches"])),
            ("cycles per frame", number(result["cycles_per_frame"])),
            ("latency, cycles", number(result["latency_cycles"])),
        ),
    )
    if result["first_difference"]:
        place = ", ".join(f"{name} {value}" for name, value in result["first_difference"].items())
        console.print(f"first difference: {place}")
