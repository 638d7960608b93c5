"""``hwgen simulate``: the generated Verilog against the integer reference, frame by frame, bit by bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Console

from hwgen import api

from .options import Data, Folder, Frames, Json, Simulator, Stalls, Trace
from .output import execute, number, rows, table

__all__ = ["fail_if_different", "show_difference", "show_simulation", "simulate"]


def simulate(
    folder: Folder,
    data: Data,
    frames: Frames = None,
    simulator: Simulator = None,
    stalls: Stalls = None,
    trace: Trace = False,
    as_json: Json = False,
) -> None:
    """Prove that the core in DIR computes the same integers as the reference, or show the first difference."""
    result = execute(
        lambda progress: api.simulate(
            folder, data, frames=frames, simulator=simulator, stalls=stalls, trace=trace, progress=progress
        ),
        show_simulation,
        as_json,
    )
    fail_if_different(result)


def fail_if_different(result: Mapping[str, Any]) -> None:
    """Exit with 1 when a simulation found a value that is not the reference's, in whatever layer."""
    if result["first_difference"]:
        raise typer.Exit(1)


def show_simulation(console: Console, result: Mapping[str, Any]) -> None:
    """Print how many frames agreed and how many clock cycles they took."""
    rows(
        console,
        (
            ("compared", "every layer" if result["trace"] else "the result"),
            ("frames simulated", number(result["frames"])),
            ("frames that differ", number(result["mismatches"])),
            ("cycles per frame", number(result["cycles_per_frame"])),
            ("latency, cycles", number(result["latency_cycles"])),
        ),
    )
    if result["first_difference"]:
        show_difference(console, result["first_difference"])


def show_difference(console: Console, difference: Mapping[str, Any]) -> None:
    """Print where the first wrong value is, and what is around it: the wrong ones are marked with a star."""
    place = ", ".join(f"{name} {difference[name]}" for name in ("layer", "frame", "channel", "row", "column"))
    console.print(
        f"first difference: {place}: expected {difference['expected']}, actual {difference['actual']}", soft_wrap=True
    )
    around = difference["around"]
    pairs = list(zip(around["rows"], around["expected"], around["actual"], strict=True))
    headings = (f"row \\ {around['along']}", *(f">{number}" for number in around["columns"]))
    table(
        console, headings, ((str(row), *map(str, expected)) for row, expected, _ in pairs), title="expected around it"
    )
    marked = ((row, [f"{'*' if a != e else ''}{a}" for e, a in zip(*both, strict=True)]) for row, *both in pairs)
    table(console, headings, ((str(row), *values) for row, values in marked), title="actual around it")
