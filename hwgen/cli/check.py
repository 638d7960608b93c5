"""``hwgen check``: is the model supported, what is in it, and which boards would it fit?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from hwgen import api
from hwgen.errors import HwgenError

from .options import ChannelMean, ChannelScale, ChannelStd, Json, Model, normalization
from .output import execute, number, rows, short, table

__all__ = ["check"]


def check(
    model: Model,
    scale: ChannelScale = "1",
    mean: ChannelMean = "0",
    std: ChannelStd = "1",
    as_json: Json = False,
) -> None:
    """Say whether MODEL is supported, layer by layer, and which boards it fits."""
    inputs = normalization(scale, mean, std)
    result = execute(lambda progress: api.check(model, **inputs, progress=progress), _show, as_json)
    if not result["supported"]:
        raise HwgenError(result["reason"])


def _show(console: Console, result: Mapping[str, Any]) -> None:
    table(
        console,
        ("layer", "operator", "output shape", ">MACs", ">parameters", "supported"),
        (
            (
                short(layer["name"]),
                layer["operator"],
                "–" if layer["shape"] is None else "x".join(map(str, layer["shape"])),
                number(layer["macs"]),
                number(layer["parameters"]),
                layer["reason"] or "yes",
            )
            for layer in result["layers"]
        ),
    )
    rows(console, (("MACs", number(result["macs"])), ("parameters", number(result["parameters"]))))
    for note in result["notes"]:
        console.print(f"note: {note}")
    if result["boards"]:
        console.print()
        table(
            console,
            ("board", "fits", ">LUTs", ">block RAMs", ">frames/s", "because"),
            (
                (
                    board["board"],
                    "yes" if board["fits"] else "no",
                    number(board["lut"]),
                    number(board["bram"]),
                    number(board["frames_per_second"]),
                    board["reason"] or "",
                )
                for board in result["boards"]
            ),
        )
        console.print("Estimates, before any synthesis.")
