"""From a core to what synthesis for a board needs: Verilog down to the pins, and the pin constraints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwgen.emit.verilog import rtlil_to_verilog
from hwgen.files import new_file

from .board import Board
from .top import BoardDesign, BoardTop

__all__ = ["prepare"]


def prepare(board: Board, core: Any, folder: str | Path, *, baud: int = 115200, name: str = "top") -> dict[str, Any]:
    """Write the board's top module around ``core`` and its constraints into ``folder``.

    Returns the manifest's part: ``board``, ``top`` (the module's name), ``sources`` and ``constraints`` (file names
    relative to ``folder``), ``clock_hz``, ``baud``. ``core`` is elaborated for the board; see :class:`BoardTop` for the
    ports that it must have. Raises :class:`HwgenError` when the clock cannot make ``baud`` or Yosys is missing.
    """
    folder = Path(folder)
    top = BoardTop(core, clock_hz=board.clock_hz, baud=baud)
    # The plan is Amaranth's own build folder; its netlist and its constraints agree on the names of the ports.
    files = board.platform().build(BoardDesign(top), name=name, do_build=False, emit_src=False).files
    source = rtlil_to_verilog(files[f"{name}.il"], folder / f"{name}.v")
    constraints = folder / f"{name}{board.constraints_suffix}"
    with new_file(constraints) as staging:
        staging.write_text(files[constraints.name], encoding="utf-8")
    return {
        "board": board.name,
        "top": name,
        "sources": [source.name],
        "constraints": constraints.name,
        "clock_hz": board.clock_hz,
        "baud": baud,
    }
