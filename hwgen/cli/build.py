"""``hwgen build``: all the steps from a trained model to a verified bitstream."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from hwgen import api

from .options import (
    ActBits,
    Board,
    Calibration,
    ChannelMean,
    ChannelScale,
    ChannelStd,
    ClockMhz,
    Code,
    Frames,
    Json,
    MaxLuts,
    Model,
    OutputFolder,
    Simulator,
    Stalls,
    TargetFps,
    channel_values,
)
from .output import execute, number, percent, rows

__all__ = ["build", "show_build"]


def build(
    model: Model,
    calib: Calibration,
    board: Board,
    output: OutputFolder,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="X.npz", help="Inputs for accuracy and simulation [default: those of --calib]."),
    ] = None,
    code: Code = "e2m1",
    act_bits: ActBits = 8,
    scale: ChannelScale = "1",
    mean: ChannelMean = "0",
    std: ChannelStd = "1",
    target_fps: TargetFps = None,
    max_luts: MaxLuts = None,
    clock_mhz: ClockMhz = None,
    frames: Frames = None,
    simulator: Simulator = None,
    stalls: Stalls = None,
    as_json: Json = False,
) -> None:
    """Quantize, evaluate, generate, simulate and synthesize MODEL."""
    normalization = {"scale": channel_values(scale), "mean": channel_values(mean), "std": channel_values(std)}
    result = execute(
        lambda progress: api.build(
            model,
            calib,
            output,
            board=board,
            data=data,
            code=code,
            act_bits=act_bits,
            target_fps=target_fps,
            max_luts=max_luts,
            clock_mhz=clock_mhz,
            frames=frames,
            simulator=simulator,
            stalls=stalls,
            **normalization,
            progress=progress,
        ),
        show_build,
        as_json,
    )
    if result["simulate"]["mismatches"]:
        raise typer.Exit(1)


def show_build(console: Console, result: Mapping[str, Any]) -> None:
    """Print the figures of merit of a whole build and the seconds of each step."""
    evaluated, simulated, synthesized = result["eval"], result["simulate"], result["synth"]
    rows(
        console,
        (
            ("board", f"{result['board']} ({synthesized['device']})"),
            ("accuracy, float", percent(evaluated["float_accuracy"])),
            ("accuracy, quantized", f"{percent(evaluated['accuracy'])} of {number(evaluated['samples'])} samples"),
            ("frames simulated", number(simulated["frames"])),
            ("frames that differ", number(simulated["mismatches"])),
            ("LUTs", number(synthesized["lut"])),
            ("block RAMs", number(synthesized["bram"])),
            ("DSP blocks", number(synthesized["dsp"])),
            ("Fmax", f"{number(synthesized['fmax_mhz'], 1)} MHz"),
            ("cycles per frame", number(synthesized["cycles_per_frame"])),
            ("inferences/s", number(synthesized["inferences_per_second"])),
            ("bitstream", synthesized["bitstream"] or "–"),
            ("seconds", ", ".join(f"{step} {number(seconds, 1)}" for step, seconds in result["seconds"].items())),
        ),
    )
