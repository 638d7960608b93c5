"""``hwgen generate``: a quantized network becomes Verilog, a board top and a test bench."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from hwgen import api

from .options import Board, ClockMhz, Json, MaxLuts, NetworkFile, OutputFolder, TargetFps
from .output import execute, number, percent, rows, short, table

__all__ = ["bottleneck", "generate", "show_plan"]


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
    """Print the plan: what each layer gets and costs, what limits the rate, and the totals against the budget."""
    plan = result["plan"]
    table(
        console,
        ("layer", "kind", ">PE", ">SIMD", ">taps", ">cycles", ">utilisation", ">LUTs", ">block RAMs"),
        (
            (
                short(layer["name"]),
                layer["kind"],
                number(layer["pe"]),
                number(layer["simd"]),
                "x".join(map(str, layer["unroll"])),
                number(layer["cycles"]),
                percent(layer["utilisation"]),
                number(layer["lut"]),
                number(layer["bram"]),
            )
            for layer in plan["layers"]
        ),
    )
    if plan["fifos"]:
        words = ", ".join(
            f"{fifo['source']} to {fifo['consumer'] or 'output'}: {fifo['depth']}" for fifo in plan["fifos"]
        )
        console.print(f"FIFOs that keep the branches in step, in words: {words}.", soft_wrap=True)
    for port in plan["outputs"]:
        if port["lanes"] > 1:
            console.print(f"Output {port['name']!r} has {port['lanes']} values per beat.", soft_wrap=True)
    console.print(f"The bottleneck is {bottleneck(plan)}.", soft_wrap=True)
    rows(
        console,
        (
            ("board", result["board"]),
            ("inferences/s, predicted", f"{number(plan['frames_per_second'])} at {plan['clock_mhz']:g} MHz"),
            ("cycles per frame", number(plan["cycles_per_frame"])),
            ("LUTs, estimated", _share(plan["lut"], plan["lut_budget"])),
            ("block RAMs, estimated", _share(plan["bram"], plan["bram_budget"])),
            ("folder", result["folder"]),
        ),
    )


def bottleneck(plan: Mapping[str, Any]) -> str:
    """The stage that sets the rate, and why it takes as long as it does."""
    name, cycles = plan["bottleneck"], number(plan["cycles_per_frame"])
    layer = next((layer for layer in plan["layers"] if layer["name"] == name), None)
    if layer is None:
        way = {"input": "for a frame to come in", "output": "for its results to leave"}[name]
        return f"the {name} of the core, not a layer: {cycles} cycles {way}"
    if not layer["macs"]:
        return f"{name!r}: {cycles} cycles at {layer['pe']} channels per cycle"
    together = -(-layer["macs"] // layer["cycles"])
    return f"{name!r}: {cycles} cycles for {number(layer['macs'])} MACs, {together} of them per cycle"


def _share(used: int, budget: int) -> str:
    return f"{number(used)} of {number(budget)} ({percent(used / budget if budget else None)})"
