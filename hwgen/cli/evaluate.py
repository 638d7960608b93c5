"""``hwgen eval``: float against quantized accuracy, noise and similarity of weights of every layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from hwgen import api

from .options import Data, Json, NetworkFile
from .output import execute, number, percent, rows, short, table

__all__ = ["evaluate", "show_evaluation"]


def evaluate(network: NetworkFile, data: Data, as_json: Json = False) -> None:
    """Compare the quantized network NET with the float model that it came from."""
    execute(lambda progress: api.evaluate(network, data, progress=progress), show_evaluation, as_json)


def show_evaluation(console: Console, result: Mapping[str, Any]) -> None:
    """Print the layers' SQNR and the accuracies."""
    table(
        console,
        ("layer", ">SQNR dB", ">weight similarity"),
        (
            (short(layer["name"]), number(layer["sqnr_db"], 1), number(layer["weight_similarity"], 4))
            for layer in result["layers"]
        ),
    )
    rows(
        console,
        (
            ("samples", number(result["samples"])),
            ("float accuracy", percent(result["float_accuracy"])),
            ("quantized accuracy", percent(result["accuracy"])),
            ("output SQNR, dB", number(result["layers"][-1]["sqnr_db"], 1) if result["layers"] else "–"),
            ("weight similarity", number(result["weight_similarity"], 4)),
        ),
    )
