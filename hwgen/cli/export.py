"""``hwgen export``: the quantized network as a QONNX model that other tools read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from hwgen import api

from .options import Json, NetworkFile
from .output import execute, number, rows

__all__ = ["export"]

ModelOutput = Annotated[Path, typer.Option("-o", "--output", metavar="MODEL.onnx", help="The QONNX model to write.")]


def export(network: NetworkFile, output: ModelOutput, as_json: Json = False) -> None:
    """Write the quantized network NET as QONNX: it computes the same integers as the hardware."""
    execute(lambda progress: api.export(network, output, progress=progress), _show, as_json)


def _show(console: Console, result: Mapping[str, Any]) -> None:
    rows(
        console,
        (
            ("model", result["model"]),
            ("identity", result["identity"]),
            ("nodes", number(result["nodes"])),
            ("seconds", number(result["seconds"], 1)),
        ),
    )
