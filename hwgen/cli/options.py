"""Options that several commands share, and how their text becomes values."""

from __future__ import annotations

from fractions import Fraction
from math import isfinite
from pathlib import Path
from typing import Annotated

import typer

from hwgen.errors import HwgenError

__all__ = [
    "ActBits",
    "ActScale",
    "Board",
    "BuildData",
    "Calibration",
    "ChannelMean",
    "ChannelScale",
    "ChannelStd",
    "ClockMhz",
    "Code",
    "CodeBoard",
    "CodeFps",
    "CodeLuts",
    "Codes",
    "Data",
    "Folder",
    "Frames",
    "Json",
    "MaxKib",
    "MaxLuts",
    "MeanActBits",
    "Method",
    "Model",
    "NetworkFile",
    "NetworkOutput",
    "OutputFolder",
    "Seed",
    "Simulator",
    "Stalls",
    "TargetFps",
    "Trace",
    "channel_values",
    "normalization",
]


def channel_values(text: str) -> tuple[float, ...]:
    """One number, or one per channel separated by commas; each may be a fraction: ``"1/255"``, ``"0.49,0.48,0.45"``."""
    try:
        values = tuple(float(Fraction(part.strip())) for part in text.split(","))
    except (ValueError, ZeroDivisionError, OverflowError):
        values = ()
    if not values or not all(isfinite(value) for value in values):
        raise HwgenError(f"{text!r} is not a number, a fraction or a comma-separated list of them, such as 1/255")
    return values


def normalization(scale: str, mean: str, std: str) -> dict[str, tuple[float, ...]]:
    """The three options as the arguments of the functions in :mod:`hwgen.api`."""
    return {"scale": channel_values(scale), "mean": channel_values(mean), "std": channel_values(std)}


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="The trained model, an ONNX or TFLite file.")]
NetworkFile = Annotated[Path, typer.Argument(metavar="NET", help="The quantized network, from `hwgen quantize`.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A folder from `hwgen generate` or `hwgen build`.")]
Calibration = Annotated[
    Path,
    typer.Option("--calib", metavar="X.npz", help="Typical inputs: an array `x`, (N, ...), as the board gets them."),
]
Data = Annotated[
    Path, typer.Option("--data", metavar="X.npz", help="Inputs `x`, (N, ...), and labels `y` if there are.")
]
BuildData = Annotated[
    Path | None,
    typer.Option("--data", metavar="X.npz", help="Inputs for accuracy and simulation [default: those of --calib]."),
]
NetworkOutput = Annotated[
    Path, typer.Option("-o", "--output", metavar="NET", help="The network file to write, an .npz.")
]
OutputFolder = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to write.")]
Board = Annotated[str, typer.Option("--board", metavar="BOARD", help="The board to generate for.")]
TargetFps = Annotated[
    float | None, typer.Option("--target-fps", metavar="N", help="Frames per second to reach with the fewest LUTs.")
]
MaxLuts = Annotated[
    int | None, typer.Option("--max-luts", metavar="N", help="LUTs to stay below, as fast as they allow.")
]
ClockMhz = Annotated[
    float | None, typer.Option("--clock-mhz", metavar="F", help="Clock frequency to plan for [default: the board's].")
]
Frames = Annotated[int | None, typer.Option("--frames", metavar="N", help="Simulate only the first N inputs.")]
Stalls = Annotated[
    int | None, typer.Option("--stalls", metavar="SEED", help="Stall input and output at random, from this seed.")
]
Simulator = Annotated[
    str | None, typer.Option("--simulator", metavar="NAME", help="verilator or icarus [default: what is installed].")
]
Trace = Annotated[
    bool, typer.Option("--trace", help="Compare the output of every layer, not only of the last (slower).")
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", help="Seed of nextpnr's placer; another one gives another Fmax.")
]
Code = Annotated[
    str,
    typer.Option(
        "--code", metavar="CODE", help="Weight code: e2m1, pot3, pot4, ..., integer levels, or own: the model's."
    ),
]
ActBits = Annotated[int, typer.Option("--act-bits", metavar="B", help="Bits of an activation, 2..8.")]
Method = Annotated[
    str,
    typer.Option(
        "--method",
        metavar="METHOD",
        help="How weights are rounded: auto, plain, feedback, gpfq, ...; see docs/quantizing.md.",
    ),
]
ActScale = Annotated[
    str, typer.Option("--act-scale", metavar="WAY", help="What an activation's scale makes least: mse or kl.")
]
Codes = Annotated[
    str | None,
    typer.Option(
        "--codes",
        metavar="LIST",
        help="With --max-kib or --max-luts: the codes that layers choose from, instead of --code [pot3,e2m1,e2m2].",
    ),
]
MaxKib = Annotated[
    float | None,
    typer.Option("--max-kib", metavar="K", help="KiB of weights to stay below: each layer gets a code of its own."),
]
CodeLuts = Annotated[
    int | None,
    typer.Option(
        "--max-luts", metavar="N", help="LUTs to stay below, on --board at --target-fps: each layer gets its own code."
    ),
]
CodeBoard = Annotated[str | None, typer.Option("--board", metavar="BOARD", help="The board of --max-luts.")]
CodeFps = Annotated[float | None, typer.Option("--target-fps", metavar="N", help="Frames per second of --max-luts.")]
MeanActBits = Annotated[
    float | None,
    typer.Option(
        "--mean-act-bits",
        metavar="B",
        help="4, 6 or 8 bits by activation, B on average over MACs.",
    ),
]
ChannelScale = Annotated[
    str,
    typer.Option("--scale", metavar="S", help="Model input is (x * scale - mean) / std: one value or one per channel."),
]
ChannelMean = Annotated[str, typer.Option("--mean", metavar="M", help="See --scale.")]
ChannelStd = Annotated[str, typer.Option("--std", metavar="D", help="See --scale.")]
