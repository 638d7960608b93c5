"""Registers that drive many cells, copied: a pass over Yosys' netlist of ECP5, before nextpnr.

One flip-flop that enables a whole array, or addresses all of its block RAMs, sits in the middle of it and reaches its
far ends late. Copies of it, each with the loads of one part of the array, can sit where those are. Yosys merges equal
registers, so this comes after it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

__all__ = ["MAX_LOADS", "copy_busy_registers"]

MAX_LOADS = 64
"""Loads of one flip-flop. Fewer would mean more loads on the net before it."""


def copy_busy_registers(module: dict[str, Any], *, limit: int = MAX_LOADS) -> int:
    """Give no flip-flop of a flat module in Yosys' JSON more than ``limit`` loads; returns the copies made.

    Loads whose names are neighbours stay together: a name begins with its place in the hierarchy. Nets that leave the
    module, and flip-flops with a ``keep`` attribute, stay as they are.
    """
    cells: dict[str, Any] = module["cells"]
    loads: dict[int, list[tuple[str, str, int]]] = defaultdict(list)
    outside = {bit for port in module["ports"].values() for bit in port["bits"]}
    highest = max((bit for bit in outside if isinstance(bit, int)), default=1)
    for name, cell in cells.items():
        for pin, bits in cell["connections"].items():
            for index, bit in enumerate(bits):
                if isinstance(bit, int):
                    highest = max(highest, bit)
                    if cell["port_directions"].get(pin) != "output":
                        loads[bit].append((name, pin, index))
    copies = 0
    for name in [name for name, cell in cells.items() if cell["type"] == "TRELLIS_FF" and not _kept(cell)]:
        output = cells[name]["connections"]["Q"][0]
        sinks = sorted(loads[output])
        if len(sinks) <= limit or output in outside:
            continue
        groups = -(-len(sinks) // limit)
        size = -(-len(sinks) // groups)
        for start in range(size, len(sinks), size):
            highest, copies = highest + 1, copies + 1
            cell = cells[name]
            connections = cell["connections"] | {"Q": [highest]}
            cells[f"{name}$copy{start // size}"] = cell | {"connections": connections}
            for sink, pin, index in sinks[start : start + size]:
                bits = list(cells[sink]["connections"][pin])
                bits[index] = highest
                cells[sink]["connections"] = cells[sink]["connections"] | {pin: bits}
    return copies


def _kept(cell: dict[str, Any]) -> bool:
    return int(cell["attributes"].get("keep", "0"), 2) != 0
