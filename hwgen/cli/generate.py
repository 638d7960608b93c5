"""``hwgen generate``: a quantized network becomes Verilog, a board top and a test bench."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from hwgen import api

from .options import Board, ClockMhz, Json, MaxLuts, NetworkFile, OutputFolder, TargetFps
from .output import execute, number, rows, short, table

__all__ = ["generate", "show_plan"]


def generate(
    network: NetworkFile,
    board: Board,
    output: OutputFolder,
    target_fps: TargetFps = None,
    max_luts: MaxLuts = None,
    clock_mhz: ClockMhz = None,
    as_json: Json = False,
) -> None:
    """Plan NET for a board and write Verilog, constraints, a manifest and a cocotb bench."""
    execute(
        lambda progress: api.generate(
            network,
            output,
            board=board,
            target_fps=target_fps,
            max_luts=max_luts,
            clock_mhz=clock_mhz,
            progress=progress,
        ),
        show_plan,
        as_json,
    )


def show_plan(console: Console, result: Mapping[str, Any]) -> None:
    """Print the plan's layers and totals, and where the files are."""
    plan = result["plan"]
    table(
        console,
        ("layer", "kind", ">PE", ">SIMD", ">cycles", ">LUTs", ">block RAMs"),
        (
            (
                short(layer["name"]),
                layer["kind"],
                number(layer["pe"]),
                number(layer["simd"]),
                number(layer["cycles"]),
                number(layer["lut"]),
                number(layer["bram"]),
            )
            for layer in plan["layers"]
        ),
    )
    rows(
        console,
        (
            ("board", result["board"]),
            ("cycles per frame", number(plan["cycles_per_frame"])),
            ("LUTs, estimated", number(plan["lut"])),
            ("block RAMs, estimated", number(plan["bram"])),
            ("folder", result["folder"]),
        ),
    )
