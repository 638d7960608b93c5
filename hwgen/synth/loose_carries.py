"""Ends of ECP5's carry chains that lead nowhere, cut off: a pass over Yosys' netlist, before nextpnr.

nextpnr-ecp5 leads every carry input and output that has a net from and to the fabric, through a cell of its own
(``make_carry_feed_in``, ``make_carry_feed_out``), even if the net is a constant that the chain ignores or goes nowhere,
which is so at the two ends of nearly every addition.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

__all__ = ["cut_loose_carries"]

_FIRST_CARRY = 0x000A
"""Table of the place that makes a chain's first carry of A: LUT4 = 0 where C and D are 1 (``ecp5/adders.v``)."""


def cut_loose_carries(module: dict[str, Any]) -> int:
    """Disconnect, in a flat module in Yosys' JSON, carry outputs that nothing reads and carry inputs that are ignored.

    Returns how many.
    """
    cells = [cell for cell in module["cells"].values() if cell["type"] == "CCU2C"]
    uses = Counter(bit for cell in module["cells"].values() for bits in cell["connections"].values() for bit in bits)
    uses.update(bit for port in module["ports"].values() for bit in port["bits"])
    loose = [(cell, "COUT") for cell in cells if uses[cell["connections"].get("COUT", [None])[0]] == 1]
    loose += [(cell, "CIN") for cell in cells if "CIN" in cell["connections"] and _ignores_carry(cell)]
    for cell, pin in loose:
        cell["connections"][pin] = ["x"]
    return len(loose)


def _ignores_carry(cell: dict[str, Any]) -> bool:
    tied = [cell["connections"].get(pin) for pin in ("C0", "D0")] == [["1"], ["1"]]
    return tied and int(cell["parameters"]["INIT0"], 2) == _FIRST_CARRY
