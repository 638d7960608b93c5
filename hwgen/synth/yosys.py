"""Verilog to a netlist of device cells with Yosys, and the proof that it multiplies nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from .. import tools
from ..errors import HwgenError
from ..tools import Progress

__all__ = ["DSP_CELLS", "MULTIPLIERS", "Netlist", "map_to_cells", "script"]

MULTIPLIERS = ("$mul", "$div", "$mod", "$divfloor", "$modfloor", "$pow", "$macc", "$macc_v2")
"""Yosys' arithmetic cells that a shift-and-add design has no use for."""

DSP_CELLS = ("SB_MAC16", "MULT18X18D", "MULT9X9D", "ALU54B", "ALU24B")
"""The multipliers of the devices: iCE40 UltraPlus, ECP5."""

_SYNTH = {
    # abc9 knows the delays of carries and RAMs. DSPs are never inferred (iCE40 infers them only with -dsp).
    "ice40": "synth_ice40 -abc9 -device {grade} -top {top}",
    "ecp5": (
        "synth_ecp5 -abc9 -nodsp -top {top} -run begin:map_gates; techmap -map alu_map.v; "
        "synth_ecp5 -abc9 -nodsp -top {top} -run map_gates:"
    ),
}

_CELLS = {"ice40": (), "ecp5": ("adders.v", "alu_map.v")}
"""Files in the folder of the family that the script reads."""


@dataclass(frozen=True)
class Netlist:
    """A mapped netlist: its file, the number of cells of each type, and the commands that made it."""

    path: Path
    cells: dict[str, int]
    commands: str


def script(sources: Sequence[str], *, top: str, family: str, device: str, multipliers: bool = False) -> str:
    """The Yosys commands for a board: check for multipliers on a copy of the design, then map, count and write.

    multipliers: of a design that has them, to compare with; there is no check then.
    """
    cells = " ".join(f"t:{cell}" for cell in MULTIPLIERS)
    synth = _SYNTH[family].format(top=top, grade="u" if device.startswith("u") else "hx")
    return "; ".join(
        [
            *_read(sources, family),
            f"hierarchy -top {top}",
            *([] if multipliers else _check(cells)),
            synth,
            "tee -q -o cells.json stat -json",
            "write_json netlist.json",
        ]
    )


def _check(cells: str) -> list[str]:
    return [
        "design -save source",
        "proc",
        "flatten",
        "opt",
        f"select -write multipliers.txt {cells}",
        f"select -assert-none {cells}",
        "design -load source",
    ]


def _read(sources: Sequence[str], family: str) -> list[str]:
    """The adders of ``rtl.adders`` are the sources' own, or those of the family's cells."""
    if family != "ecp5":
        return [f"read_verilog {' '.join(sources)}"]
    return [f"read_verilog -DHWGEN_CELLS {' '.join(sources)}", "read_verilog -icells adders.v"]


def map_to_cells(
    sources: Sequence[str],
    *,
    top: str,
    family: str,
    device: str,
    folder: Path,
    log: Path,
    progress: Progress | None = None,
    multipliers: bool = False,
) -> Netlist:
    """Run Yosys in ``folder``, to which the names in ``sources`` are relative.

    Raises :class:`HwgenError` when the design holds a multiplier (before or after mapping) or Yosys refuses it.
    """
    for name in _CELLS[family]:
        text = (resources.files(__package__) / family / name).read_text(encoding="utf-8")
        (folder / name).write_text(text, encoding="utf-8")
    commands = script(sources, top=top, family=family, device=device, multipliers=multipliers)
    try:
        tools.run(
            "yosys", ["-p", commands], cwd=folder, log=log, progress=progress, pattern=r"Executing (\w+ pass.*?)\.?$"
        )
    except HwgenError:
        refuse_multipliers(folder / "multipliers.txt")
        raise
    cells = json.loads((folder / "cells.json").read_text(encoding="utf-8"))["design"]["num_cells_by_type"]
    netlist = Netlist(folder / "netlist.json", {name: int(count) for name, count in cells.items()}, commands)
    refuse_dsp(netlist.cells)
    return netlist


def refuse_multipliers(listing: Path) -> None:
    """Raise when Yosys listed a multiplier, naming the first; the file is absent when Yosys failed earlier."""
    found = listing.read_text(encoding="utf-8").split() if listing.is_file() else []
    if found:
        raise HwgenError(
            f"the design is not multiplier-free: Yosys found {len(found)} multiplying or dividing "
            f"cell{'s' if len(found) > 1 else ''}, the first is {found[0]}"
        )


def refuse_dsp(cells: dict[str, int]) -> None:
    """Raise when the mapped netlist uses a DSP block."""
    used = {name: cells[name] for name in DSP_CELLS if cells.get(name)}
    if used:
        what = ", ".join(f"{count} {name}" for name, count in used.items())
        raise HwgenError(f"the design is not multiplier-free: its netlist uses DSP blocks ({what})")
