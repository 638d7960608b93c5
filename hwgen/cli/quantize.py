"""``hwgen quantize``: weights become codes, activations become integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from hwgen import api
from hwgen.codes import names_of

from .options import (
    ActBits,
    ActScale,
    Calibration,
    ChannelMean,
    ChannelScale,
    ChannelStd,
    Code,
    CodeBoard,
    CodeFps,
    CodeLuts,
    Codes,
    Json,
    MaxKib,
    MeanActBits,
    Method,
    Model,
    NetworkOutput,
    normalization,
)
from .output import execute, number, rows, short, table

__all__ = ["quantize"]


def quantize(
    model: Model,
    calib: Calibration,
    output: NetworkOutput,
    code: Code = "e2m1",
    act_bits: ActBits = 8,
    method: Method = "auto",
    act_scale: ActScale = "mse",
    codes: Codes = None,
    max_kib: MaxKib = None,
    max_luts: CodeLuts = None,
    board: CodeBoard = None,
    target_fps: CodeFps = None,
    mean_act_bits: MeanActBits = None,
    scale: ChannelScale = "1",
    mean: ChannelMean = "0",
    std: ChannelStd = "1",
    as_json: Json = False,
) -> None:
    """Quantize MODEL, calibrated on typical inputs, and write the integer network."""
    inputs = normalization(scale, mean, std)
    execute(
        lambda progress: api.quantize(
            model,
            calib,
            output,
            code=code,
            act_bits=act_bits,
            method=method,
            act_scale=act_scale,
            codes=None if codes is None else names_of(codes),
            max_kib=max_kib,
            max_luts=max_luts,
            board=board,
            target_fps=target_fps,
            mean_act_bits=mean_act_bits,
            **inputs,
            progress=progress,
        ),
        _show,
        as_json,
    )


def _show(console: Console, result: Mapping[str, Any]) -> None:
    table(
        console,
        ("layer", "kind", "output shape", ">MACs", ">weights", ">weight bits", ">activation bits"),
        (
            (
                short(layer["name"]),
                layer["kind"],
                "x".join(map(str, layer["shape"])),
                number(layer["macs"]),
                number(layer["weights"]),
                number(layer["weight_bits"]),
                number(layer["activation_bits"]),
            )
            for layer in result["layers"]
        ),
    )
    for note in result["notes"]:
        console.print(f"note: {note}")
    rows(
        console,
        (
            ("calibrated on", f"{number(result['samples'])} inputs"),
            ("weights stored", _stored(result["storage"])),
            ("network", result["network"]),
            ("identity", result["identity"]),
            ("seconds", number(result["seconds"], 1)),
        ),
    )


def _stored(storage: Mapping[str, Any]) -> str:
    """What the weights take as they are, and with each layer in the smallest format."""
    codes, best = (f"{number(storage[name] / 8192, 1)} KiB" for name in ("storage_bits", "best_bits"))
    return f"{codes} as codes, {best} Huffman-coded"
