"""What changing the number of lanes between two layers costs (``rtl.width``)."""

from __future__ import annotations

from math import lcm

from .cost import Cost

__all__ = ["gearbox_cost"]

_CONTROL = 12
"""LUTs of the counter and handshake of either half, as packed."""


def gearbox_cost(family: str, bits: int, i_lanes: int, o_lanes: int) -> Cost:
    """From ``i_lanes`` to ``o_lanes`` lanes of ``bits`` bits: nothing when they are equal.

    Both halves are made for the least common multiple. Going up takes registers only, which fill logic cells of iCE40
    but no LUTs of ECP5; going down is a shift register that is loaded in parallel, a LUT for each of its bits.
    """
    common = lcm(i_lanes, o_lanes)
    luts = 0
    if i_lanes < common:
        luts += _CONTROL + ((2 * common - i_lanes) * bits if family == "ice40" else 0)
    if o_lanes < common:
        luts += _CONTROL + common * bits
    return Cost(luts, 0)
