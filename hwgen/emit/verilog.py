"""Amaranth to Verilog that every simulator and synthesizer reads the same way.

Not ``amaranth.back.verilog``: that leaves processes as ``always @*``, and in a simulator that runs initialisers before
processes (Icarus in SystemVerilog mode) one whose inputs never change stays X for ever. Here Yosys lowers processes to
``assign`` first, see https://github.com/amaranth-lang/amaranth/issues/594.

Names come out plain: a module ``core.conv1`` is called ``core_conv1``, its instance ``conv1``, and no signal needs an
escaped identifier. Attributes are kept (``keep``, ``ram_style``, ``rom_style`` and whatever else a vendor reads)
except those that only talk about where the netlist came from.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from amaranth.back import rtlil

from .. import tools
from ..files import new_file
from ..rtl.adders import VERILOG, NamedCells
from .names import plain_names

__all__ = ["rtlil_to_verilog", "to_verilog"]

_NOISE = ("cells_not_processed", "dynports", "generator", "hdlname", "src", "top", "unused_bits")

_PASSES = (
    "read_rtlil in.il",
    "proc",
    "opt_expr",
    "opt_clean",
    "setattr -mod " + " ".join(f"-unset {name}" for name in _NOISE) + " =*",
    "setattr " + " ".join(f"-unset {name}" for name in _NOISE) + " =*/*",
    "write_verilog out.v",
)


def to_verilog(component: Any, path: str | Path, *, name: str) -> Path:
    """Write ``component`` (an Amaranth Component) as the Verilog module ``name``; returns ``path``.

    The file appears whole or not at all. Raises :class:`HwgenError` when Yosys is missing or refuses the design.
    """
    return rtlil_to_verilog(rtlil.convert(component, name=name, emit_src=False, platform=NamedCells()), path)


def rtlil_to_verilog(text: str, path: str | Path) -> Path:
    """Write a design in RTLIL, Yosys' intermediate text, as Verilog; returns ``path``.

    The modules of ``rtl.adders`` follow where it uses them, unless ``HWGEN_CELLS`` is defined: by another such file, or
    by a synthesizer that has something better and brings its own.
    """
    path = Path(path)
    with new_file(path) as staging, tempfile.TemporaryDirectory(prefix=".emit-", dir=staging.parent) as folder:
        work = Path(folder)
        (work / "in.il").write_text(plain_names(text), encoding="utf-8")
        tools.run("yosys", ["-q", "-p", "; ".join(_PASSES)], cwd=work)
        if any(f"cell \\{name} " in text for name in re.findall(r"(?m)^module (\w+)", VERILOG)):
            with (work / "out.v").open("a", encoding="utf-8") as out:
                out.write(f"\n`ifndef HWGEN_CELLS\n`define HWGEN_CELLS\n{VERILOG}`endif\n")
        (work / "out.v").replace(staging)
    return path
