"""``hwgen synth``: a generated folder to a bitstream and the figures of it."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hwgen.boards import Board, board

from .. import tools
from ..errors import HwgenError
from ..files import MANIFEST, SYNTHESIS, generated_file, read_generated
from ..tools import Progress
from .netlist import improve
from .nextpnr import Routed, Usage, fits, place_and_route
from .report import figures, utilization
from .yosys import Netlist, map_to_cells

__all__ = ["check_seed", "find_tools", "synth"]


def synth(
    folder: str | Path, *, progress: Progress | None = None, seed: int = 1, frequency_mhz: float | None = None
) -> dict[str, Any]:
    """Synthesize, place, route and pack the design in ``folder``; returns its figures.

    The manifest must say ``board``, ``top``, ``sources``, ``constraints``, ``cycles_per_frame`` and ``macs``.

    progress: called with short lines. seed: of the placer, 0..2**31-1. frequency_mhz: what nextpnr tries to reach
    (default: the board's usual target); not reaching it is no error, but not reaching the board's own clock is.

    Writes the bitstream when everything succeeded; ``yosys.log`` and ``nextpnr.log`` in any case. An earlier bitstream
    and ``synth.json`` are removed first, so that a failure leaves none that could be taken for its own; writing the
    record is the caller's.

    Raises :class:`HwgenError`: no such folder or an incomplete manifest, a tool is missing or fails, the design holds a
    multiplier or a DSP block, does not fit the device, or is slower than the board's clock.
    """
    folder = Path(folder).absolute()
    manifest = _manifest(folder)
    target = board(manifest["board"])
    frequency = frequency_mhz if frequency_mhz is not None else target.frequency_mhz
    if not frequency > 0:
        raise HwgenError(f"the target frequency must be above 0 MHz, not {frequency:g}")
    check_seed(seed)
    used_tools = find_tools(target)
    constraints = generated_file(folder / manifest["constraints"]).read_text(encoding="utf-8")
    bitstream = f"{manifest['top']}.{'bin' if target.family == 'ice40' else 'bit'}"
    for name in (SYNTHESIS, bitstream, "yosys.log", "nextpnr.log"):
        (folder / name).unlink(missing_ok=True)

    with tempfile.TemporaryDirectory(prefix=".synth-", dir=folder) as temporary:
        work = Path(temporary)
        sources = _copy(folder, work, manifest["sources"])
        seconds: dict[str, float] = {}
        with _timed(seconds, "yosys"):
            netlist = map_to_cells(
                sources,
                top=manifest["top"],
                family=target.family,
                device=target.device,
                folder=work,
                log=folder / "yosys.log",
                progress=progress,
            )
        _fits_before_placing(netlist, target)
        if target.family == "ecp5":
            netlist = _improved(netlist, manifest["top"], progress)
        with _timed(seconds, "nextpnr"):
            routed = place_and_route(
                netlist.path,
                board=target,
                top=manifest["top"],
                constraints=constraints,
                frequency_mhz=frequency,
                seed=seed,
                log=folder / "nextpnr.log",
                progress=progress,
            )
        result = _result(manifest, target, netlist, routed, frequency)
        result |= {
            "seed": seed,
            "seconds": seconds,
            "versions": {name: tools.version(name) for name in used_tools},
            "commands": {"yosys": f"yosys -p '{netlist.commands}'"}
            | {name: " ".join([name, *command[1:]]) for name, command in routed.commands.items()},
        }
        routed.bitstream.replace(folder / bitstream)
    return result


def check_seed(seed: int) -> None:
    """Raise :class:`HwgenError` for a number that nextpnr does not take."""
    if not 0 <= seed < 1 << 31:
        raise HwgenError(f"seed must be between 0 and {(1 << 31) - 1}, not {seed}")


def find_tools(target: Board) -> tuple[str, ...]:
    """The names of the tools for ``target``; raises when one is missing, before minutes are spent with the first."""
    names = ("yosys", f"nextpnr-{target.family}", "icepack" if target.family == "ice40" else "ecppack")
    for name in names:
        tools.find(name)
    return names


def _manifest(folder: Path) -> dict[str, Any]:
    types = {"board": str, "top": str, "sources": list, "constraints": str, "cycles_per_frame": int, "macs": int}
    manifest = read_generated(folder / MANIFEST, types)
    sources = manifest["sources"]
    if manifest["cycles_per_frame"] < 1 or not sources or not all(isinstance(name, str) for name in sources):
        raise HwgenError(f"{str(folder / MANIFEST)!r} names no cycles or no sources; run hwgen generate again")
    return manifest


def _copy(folder: Path, work: Path, sources: list[str]) -> list[str]:
    """Sources under plain names in the working folder: neither spaces nor other folders disturb the tools."""
    names = [f"source{number}.v" for number in range(len(sources))]
    for name, source in zip(names, sources, strict=True):
        shutil.copyfile(generated_file(folder / source), work / name)
    return names


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[step] = round(time.monotonic() - start, 1)


def _fits_before_placing(netlist: Netlist, target: Board) -> None:
    """Placement of a hopeless design takes minutes to fail; the counts of the netlist are lower bounds already."""
    lut, bram = {"ice40": ("SB_LUT4", "SB_RAM40_4K"), "ecp5": ("LUT4", "DP16KD")}[target.family]
    names = {"ice40": ("ICESTORM_LC", "ICESTORM_RAM"), "ecp5": ("TRELLIS_COMB", "DP16KD")}[target.family]
    counts = (netlist.cells.get(lut, 0), netlist.cells.get(bram, 0))
    capacity = (target.lut, target.bram)
    fits({name: Usage(*pair) for name, *pair in zip(names, counts, capacity, strict=True)}, target)


def _improved(netlist: Netlist, top: str, progress: Progress | None) -> Netlist:
    """The netlist after our own passes, its flip-flops counted anew."""
    found = improve(netlist.path, top=top)
    if progress:
        progress(
            f"{found.registers_moved} registers moved into block RAMs, {found.registers_copied} copied,"
            f" {found.carries_cut} ends of carry chains cut"
        )
    count = netlist.cells["TRELLIS_FF"] - found.registers_moved + found.registers_copied
    return replace(netlist, cells=netlist.cells | {"TRELLIS_FF": count})


def _result(
    manifest: dict[str, Any], target: Board, netlist: Netlist, routed: Routed, frequency: float
) -> dict[str, Any]:
    clock_mhz = target.clock_hz / 1e6
    numbers = figures(
        report=routed.report,
        cells=netlist.cells,
        family=target.family,
        cycles_per_frame=manifest["cycles_per_frame"],
        macs=manifest["macs"],
    )
    if numbers["fmax_mhz"] < clock_mhz:
        raise HwgenError(
            f"the design reaches {numbers['fmax_mhz']:.1f} MHz on {target.title}, less than the board's clock of "
            f"{clock_mhz:g} MHz; try another --seed or a lower target"
        )
    return {
        "board": target.name,
        "device": f"{target.family}-{target.device}-{target.package}" + (f"-{target.speed}" if target.speed else ""),
        **numbers,
        "bitstream": routed.bitstream.name,
        "clock_mhz": clock_mhz,
        "frequency_mhz": frequency,
        "utilization": {
            name: {"used": usage.used, "available": usage.available}
            for name, usage in sorted(utilization(routed.report).items())
        },
        "cells": dict(sorted(netlist.cells.items())),
    }
