"""``hwgen synth``: Yosys and nextpnr, and what they say about size and speed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from hwgen import api

from .options import Folder, Json, Seed
from .output import execute, number, rows

__all__ = ["show_synthesis", "synth", "synthesis_rows"]


def synth(folder: Folder, seed: Seed = 1, as_json: Json = False) -> None:
    """Synthesize, place and route the core in DIR and write the bitstream."""
    execute(lambda progress: api.synth(folder, seed=seed, progress=progress), show_synthesis, as_json)


def show_synthesis(console: Console, result: Mapping[str, Any]) -> None:
    """Print resources, clock rate, throughput and the bitstream's path."""
    rows(console, synthesis_rows(result))


def synthesis_rows(result: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The figures of a synthesis, by name."""
    return (
        ("device", result["device"]),
        ("LUTs", number(result["lut"])),
        ("flip-flops", number(result["ff"])),
        ("block RAMs", number(result["bram"])),
        ("DSP blocks", number(result["dsp"])),
        ("Fmax", f"{number(result['fmax_mhz'], 1)} MHz with seed {result['seed']}"),
        ("cycles per frame", number(result["cycles_per_frame"])),
        ("inferences/s", number(result["inferences_per_second"])),
        ("GOP/s", number(result["gops"], 3)),
        ("GOP/s per 1000 LUTs", number(result["gops_per_klut"], 3)),
        ("bitstream", result["bitstream"]),
    )
