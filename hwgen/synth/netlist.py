"""What Yosys leaves undone on ECP5: passes over its netlist, before nextpnr."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from .fanout import copy_busy_registers
from .loose_carries import cut_loose_carries
from .output_registers import use_output_registers

__all__ = ["Improvements", "improve"]


@dataclass(frozen=True)
class Improvements:
    """Flip-flops that became output registers of block RAMs, ends of carry chains cut, flip-flops copied."""

    registers_moved: int
    carries_cut: int
    registers_copied: int


def improve(netlist: Path, *, top: str) -> Improvements:
    """Run the passes on Yosys' JSON of a flat ECP5 design, in place; its function is the same in every cycle."""
    design = json.loads(netlist.read_text(encoding="utf-8"))
    module = design["modules"][top]
    found = Improvements(use_output_registers(module), cut_loose_carries(module), copy_busy_registers(module))
    netlist.write_text(json.dumps(design), encoding="utf-8")
    return found
