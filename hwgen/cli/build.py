"""``hwgen build``: all the steps from a trained model to a verified bitstream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from hwgen import api

from .options import (
    ActBits,
    Board,
    BuildData,
    Calibration,
    ChannelMean,
    ChannelScale,
    ChannelStd,
    ClockMhz,
    Code,
    Frames,
    Json,
    MaxLuts,
    Method,
    Model,
    OutputFolder,
    Seed,
    Simulator,
    Stalls,
    TargetFps,
    normalization,
)
from .output import execute, number, percent, rows
from .simulate import fail_if_different, show_difference
from .synth import synthesis_rows

__all__ = ["build", "show_build"]


def build(
    model: Model,
    calib: Calibration,
    board: Board,
    output: OutputFolder,
    data: BuildData = None,
    code: Code = "e2m1",
    act_bits: ActBits = 8,
    method: Method = "auto",
    scale: ChannelScale = "1",
    mean: ChannelMean = "0",
    std: ChannelStd = "1",
    target_fps: TargetFps = None,
    max_luts: MaxLuts = None,
    clock_mhz: ClockMhz = None,
    frames: Frames = None,
    simulator: Simulator = None,
    stalls: Stalls = None,
    seed: Seed = 1,
    as_json: Json = False,
) -> None:
    """Quantize, evaluate, generate, simulate and synthesize MODEL."""
    inputs = normalization(scale, mean, std)
    result = execute(
        lambda progress: api.build(
            model,
            calib,
            output,
            board=board,
            data=data,
            code=code,
            act_bits=act_bits,
            method=method,
            target_fps=target_fps,
            max_luts=max_luts,
            clock_mhz=clock_mhz,
            frames=frames,
            simulator=simulator,
            stalls=stalls,
            seed=seed,
            **inputs,
            progress=progress,
        ),
        show_build,
        as_json,
    )
    fail_if_different(result["simulate"])


def show_build(console: Console, result: Mapping[str, Any]) -> None:
    """Print the figures of merit of a whole build and the seconds of each step."""
    evaluated, simulated, synthesized = result["eval"], result["simulate"], result["synth"]
    rows(
        console,
        (
            ("board", result["board"]),
            ("accuracy, float", percent(evaluated["float_accuracy"])),
            ("accuracy, quantized", f"{percent(evaluated['accuracy'])} of {number(evaluated['samples'])} samples"),
            ("frames simulated", number(simulated["frames"])),
            ("frames that differ", number(simulated["mismatches"])),
            *(synthesis_rows(synthesized) if synthesized else ()),
            ("seconds", ", ".join(f"{step} {number(seconds, 1)}" for step, seconds in result["seconds"].items())),
        ),
    )
    if synthesized is None:
        show_difference(console, simulated["first_difference"])
        console.print("not synthesized, because the core is not what the reference is")
