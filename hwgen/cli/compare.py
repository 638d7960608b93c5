"""``hwgen compare``: ways to quantize a model, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from hwgen import api

from .options import (
    Calibration,
    ChannelMean,
    ChannelScale,
    ChannelStd,
    ClockMhz,
    Json,
    Model,
    normalization,
)
from .output import execute, number, percent, rows, short, table

__all__ = ["compare"]

Codes = Annotated[
    str, typer.Option("--codes", metavar="LIST", help="Weight codes, between commas, or spaces where one lists levels.")
]
Methods = Annotated[str, typer.Option("--methods", metavar="LIST", help="Methods, between commas; each for each code.")]
Widths = Annotated[str, typer.Option("--act-bits", metavar="LIST", help="Bits of an activation, 2..8, between commas.")]
CompareData = Annotated[
    Path | None,
    typer.Option("--data", metavar="X.npz", help="Inputs, and labels if any, to judge by [default: those of --calib]."),
]
ClassGroups = Annotated[
    str | None, typer.Option("--groups", metavar="GROUPS", help='Classes that count as one: "0,1,8,9;2,3,4,5,6,7".')
]
LutBoard = Annotated[str, typer.Option("--board", metavar="BOARD", help="The board that LUTs are estimated for.")]
SameFps = Annotated[
    float | None,
    typer.Option("--target-fps", metavar="N", help="Frames per second of all [default: the most of the first]."),
]
Record = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="OUT.json", help="The file to leave all figures in.")
]
Plot = Annotated[Path | None, typer.Option("--plot", metavar="OUT.svg", help="The picture to draw, an .svg or .png.")]
Layers = Annotated[bool, typer.Option("--layers", help="Print the figures of every layer, too.")]


def compare(
    model: Model,
    calib: Calibration,
    data: CompareData = None,
    codes: Codes = "e2m1,apot4,pot4,pot3,int4,int8",
    methods: Methods = "plain,auto",
    act_bits: Widths = "8",
    groups: ClassGroups = None,
    board: LutBoard = "ulx3s-85f",
    target_fps: SameFps = None,
    clock_mhz: ClockMhz = None,
    scale: ChannelScale = "1",
    mean: ChannelMean = "0",
    std: ChannelStd = "1",
    layers: Layers = False,
    output: Record = None,
    plot: Plot = None,
    as_json: Json = False,
) -> None:
    """Quantize MODEL in several ways and compare their weights, their accuracy and their size."""
    inputs = normalization(scale, mean, std)
    execute(
        lambda progress: api.compare(
            model,
            calib,
            data=data,
            codes=codes,
            methods=methods,
            act_bits=act_bits,
            groups=groups,
            board=board,
            target_fps=target_fps,
            clock_mhz=clock_mhz,
            **inputs,
            output=output,
            plot=plot,
            progress=progress,
        ),
        lambda console, result: _show(console, result, layers),
        as_json,
    )


def _show(console: Console, result: Mapping[str, Any], layers: bool) -> None:
    used = [scheme for scheme in result["schemes"] if scheme["failed"] is None]
    if layers:
        for scheme in used:
            _show_layers(console, scheme)
    coarse = result["float_coarse_accuracy"] is not None
    table(
        console,
        (
            *("scheme", ">KiB", ">Huffman KiB", ">entropy", ">zeros", ">distinct", ">weights dB", ">output dB"),
            *(">accuracy", *[">by group"] * coarse, ">LUTs", ">block RAMs"),
        ),
        (
            (
                scheme["name"],
                number(scheme["storage_bits"] / 8192, 2),
                number(scheme["best_bits"] / 8192, 2),
                number(scheme["entropy_bits"] / max(scheme["weights"], 1), 2),
                percent(scheme["zero_share"]),
                number(scheme["distinct"]),
                number(scheme["weight_sqnr_db"], 1),
                number(scheme["output_sqnr_db"], 1),
                percent(scheme["accuracy"]),
                *[percent(scheme["coarse_accuracy"])] * coarse,
                number(scheme["lut"]),
                number(scheme["bram"]),
            )
            for scheme in used
        ),
    )
    for line in _remarks(result):
        console.print(line, soft_wrap=True)
    rows(console, _about(result))


def _show_layers(console: Console, scheme: Mapping[str, Any]) -> None:
    table(
        console,
        (
            *("layer", "code", ">weights", ">lowest", ">highest", ">levels", ">zeros", ">distinct", ">bits"),
            *(">entropy", ">HAM", ">sHAM", ">weights dB", ">output dB", ">sensitivity"),
        ),
        (
            (
                short(layer["name"], 24),
                short(layer["code"], 20),
                number(layer["weights"]),
                f"{layer['lowest']:.3g}",
                f"{layer['highest']:.3g}",
                f"{layer['lowest_level']}..{layer['highest_level']}",
                percent(layer["zero_share"]),
                number(layer["distinct"]),
                *(
                    number(layer[name] / layer["weights"], digits)
                    for name, digits in (("storage_bits", 0), ("entropy_bits", 2), ("ham_bits", 2), ("sham_bits", 2))
                ),
                number(layer["weight_sqnr_db"], 1),
                number(layer["output_sqnr_db"], 1),
                "–" if layer["gradient_l1"] is None else f"{layer['gradient_l1']:.3g}",
            )
            for layer in scheme["layers"]
        ),
        title=scheme["name"],
    )
    console.print()


def _remarks(result: Mapping[str, Any]) -> Iterator[str]:
    """Why figures are missing."""
    for scheme in result["schemes"]:
        if scheme["failed"] is not None:
            yield f"{scheme['name']}: {scheme['failed']}"
        elif not scheme["fits"]:
            yield f"{scheme['name']}: {scheme['reason']}"


def _about(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "float accuracy", percent(result["float_accuracy"])
    if result["float_coarse_accuracy"] is not None:
        yield "float accuracy by group", percent(result["float_coarse_accuracy"])
    yield "samples", f"{number(result['calibrated_on'])} to calibrate, {number(result['samples'])} to judge"
    rate = f"{number(result['target_fps'])} frames/s" if result["target_fps"] is not None else "no rate"
    yield "LUTs, estimated", f"{result['board']} at {result['clock_mhz']:g} MHz, {rate}"
    for name in ("output", "plot"):
        if result[name] is not None:
            yield name, result[name]
    yield "seconds", number(result["seconds"], 1)
