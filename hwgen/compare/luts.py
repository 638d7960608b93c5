"""What networks are estimated to need on one board, at one rate for all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TypedDict

from ..boards import Board
from ..errors import HwgenError
from ..network import Network
from ..plan import Plan, plan

__all__ = ["Hardware", "Planner"]

ROUNDING = 1e-12
"""Relative. A rate is a number of cycles turned upside down; back again it must not become a cycle less."""

LARGER = 64
"""How many times as much a board has of everything that tells the size of what does not fit the real one."""


class Hardware(TypedDict):
    """What a network needs at ``frames_per_second``, and the ``reason`` if that does not ``fit`` the board.

    The numbers are None where there are none: the rate cannot be reached, or no rate is known.
    """

    fits: bool
    reason: str | None
    lut: int | None
    bram: int | None
    frames_per_second: float | None


class Planner:
    """Plans networks, one after the other, for ``target_fps`` frames per second.

    Without a target it is what the first network that fits reaches as fast as it fits: faster means larger, and LUTs
    only compare at one rate.
    """

    def __init__(self, board: Board, target_fps: float | None = None, clock_mhz: float | None = None) -> None:
        if target_fps is not None and not target_fps > 0:
            raise HwgenError(f"target fps must be positive, not {target_fps:g}")
        self.board = board
        self.target_fps = target_fps
        self.clock_mhz = clock_mhz or board.frequency_mhz

    def hardware(self, network: Network) -> Hardware:
        """The plan of ``network`` in short."""
        try:
            if self.target_fps is None:
                fastest = plan(network, self.board, clock_mhz=self.clock_mhz)
                self.target_fps = fastest.frames_per_second * (1 - ROUNDING)
            return _needs(plan(network, self.board, target_fps=self.target_fps, clock_mhz=self.clock_mhz), None)
        except HwgenError as error:
            return _needs(self._regardless(network), str(error))

    def _regardless(self, network: Network) -> Plan | None:
        """The plan if the board were larger. It is the same one, because LUTs per block RAM, their price, are."""
        if self.target_fps is None:
            return None
        board = replace(self.board, lut=LARGER * self.board.lut, bram=LARGER * self.board.bram)
        try:
            return plan(network, board, target_fps=self.target_fps, clock_mhz=self.clock_mhz)
        except HwgenError:
            return None


def _needs(found: Plan | None, reason: str | None) -> Hardware:
    return {
        "fits": reason is None,
        "reason": reason,
        "lut": None if found is None else found.cost.lut,
        "bram": None if found is None else found.cost.bram,
        "frames_per_second": None if found is None else found.frames_per_second,
    }
