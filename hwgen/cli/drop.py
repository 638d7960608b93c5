"""``hwgen drop``: a network with nested codes, cut down to fewer bits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from hwgen import api

from .options import Json, NetworkFile, NetworkOutput
from .output import execute, number, rows, short, table

__all__ = ["drop"]

Terms = Annotated[int, typer.Option("--terms", metavar="N", help="Terms of each code that stay, the first ones.")]
BiasData = Annotated[
    Path | None,
    typer.Option("--calib", metavar="X.npz", help="Typical inputs `x`, to correct the biases [default: they stay]."),
]


def drop(
    network: NetworkFile, output: NetworkOutput, terms: Terms, calib: BiasData = None, as_json: Json = False
) -> None:
    """Write the network of fewer bits that NET, quantized with `--method layering`, holds in its leading bits."""
    execute(
        lambda progress: api.drop(network, output, terms=terms, calibration=calib, progress=progress), _show, as_json
    )


def _show(console: Console, result: Mapping[str, Any]) -> None:
    samples = result["samples"]
    table(
        console,
        ("layer", ">weights", ">weight bits"),
        (
            (short(layer["name"]), number(layer["weights"]), number(layer["weight_bits"]))
            for layer in result["layers"]
            if layer["weights"]
        ),
    )
    for note in result["notes"]:
        console.print(f"note: {note}")
    rows(
        console,
        (
            ("biases", "as they were" if samples is None else f"corrected on {number(samples)} inputs"),
            ("network", result["network"]),
            ("identity", result["identity"]),
            ("seconds", number(result["seconds"], 1)),
        ),
    )
