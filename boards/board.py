"""The facts of a board, and how one is found by name."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from hwgen.errors import HwgenError

__all__ = ["Board", "board", "names"]


@dataclass(frozen=True)
class Board:
    """A board with an FPGA that the open tools support.

    family: "ice40" or "ecp5". device, package, speed: as nextpnr spells them (iCE40 has no separate speed: "").
    lut: LUT4s of the device (iCE40: logic cells, each a LUT, a carry and a flip-flop).
    bram: block RAMs; bram_bits: bits of one of them.
    clock_hz: the oscillator that clocks the design. frequency_mhz: what nextpnr is asked for by default.
    make_platform: the class in amaranth-boards; it knows the pins.
    """

    name: str
    title: str
    family: str
    device: str
    package: str
    speed: str
    lut: int
    bram: int
    bram_bits: int
    clock_hz: int
    frequency_mhz: float
    make_platform: Callable[[], Any]

    def platform(self) -> Any:
        """A new amaranth-boards platform; each can be prepared only once."""
        return self.make_platform()

    @property
    def constraints_suffix(self) -> str:
        """Suffix of a file of pin constraints."""
        return ".pcf" if self.family == "ice40" else ".lpf"


@cache
def _boards() -> dict[str, Board]:
    """Every module of this package that has a ``BOARD``: adding a board is adding a file."""
    package = import_module(__name__.rpartition(".")[0])
    modules = (import_module(f"{package.__name__}.{found.name}") for found in pkgutil.iter_modules(package.__path__))
    boards = (getattr(module, "BOARD", None) for module in modules)
    return {found.name: found for found in boards if found is not None}


def names() -> tuple[str, ...]:
    """The names of all boards, sorted."""
    return tuple(sorted(_boards()))


def board(name: str) -> Board:
    """The board called ``name``; :class:`HwgenError` with the known names for anything else."""
    found = _boards().get(name.strip().lower().replace("_", "-"))
    if found is None:
        raise HwgenError(f"board {name!r} is not known; choose one of {', '.join(names())}")
    return found
