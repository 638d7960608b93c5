"""Place, route and pack with nextpnr, icepack and ecppack."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import tools
from ..errors import HwgenError
from ..tools import Progress

if TYPE_CHECKING:
    from hwgen.boards import Board

__all__ = ["Routed", "Usage", "fits", "place_and_route", "retarget", "without_clock"]

# Which of nextpnr's resources hwgen reports, in its own words.
_RESOURCES = {
    "ice40": {"ICESTORM_LC": "logic cells", "ICESTORM_RAM": "block RAMs", "SB_IO": "pins"},
    "ecp5": {"TRELLIS_COMB": "LUTs", "TRELLIS_FF": "flip-flops", "DP16KD": "block RAMs", "TRELLIS_IO": "pins"},
}

_PROGRESS = (
    r"^Info: ((?:Pack|Plac|Rout|Promot|Creating|Running|Generat|at (?:iteration|initial)|  at it|Annotat|Check).*)"
)


@dataclass(frozen=True)
class Usage:
    """How much of a resource a design needs, and how much the device has."""

    used: int
    available: int


@dataclass(frozen=True)
class Routed:
    """A routed design: the bitstream, nextpnr's report (its JSON) and the commands that made them."""

    bitstream: Path
    report: dict[str, Any]
    commands: dict[str, list[str]]


def without_clock(constraints: str) -> str:
    """Pin constraints (PCF or LPF) without their clock constraints.

    Amaranth writes the frequency of the board's oscillator there, and nextpnr neither optimises beyond it nor lets
    ``--freq`` override it.
    """
    return re.sub(r"(?im)^[ \t]*(set_frequency|FREQUENCY)\b.*\n?", "", constraints)


def retarget(constraints: str, *, family: str, frequency_mhz: float) -> str:
    """``constraints`` asking for ``frequency_mhz`` instead of the oscillator's frequency, on the same clocks."""
    if family == "ice40":
        clocks = re.findall(r"(?im)^[ \t]*set_frequency\s+(\S+)", constraints)
        lines = [f"set_frequency {clock} {frequency_mhz:g}" for clock in clocks]
    else:
        clocks = re.findall(r'(?im)^[ \t]*FREQUENCY\s+((?:PORT|NET)\s+"[^"]+")', constraints)
        lines = [f"FREQUENCY {clock} {frequency_mhz:g} MHZ;" for clock in clocks]
    return "\n".join([without_clock(constraints).rstrip("\n"), *lines, ""])


def fits(usage: Mapping[str, Usage], board: Board) -> None:
    """Raise :class:`HwgenError` naming every resource of which the design needs more than the device has."""
    words = _RESOURCES[board.family]
    short = [
        f"{use.used} {words[name]} of {use.available}"
        for name, use in usage.items()
        if name in words and use.used > use.available
    ]
    if short:
        raise HwgenError(
            f"the design does not fit {board.title}: it needs {', '.join(short)}; "
            "choose a larger board, a lower target or a smaller network"
        )


def place_and_route(
    netlist: Path,
    *,
    board: Board,
    top: str,
    constraints: str,
    frequency_mhz: float,
    seed: int,
    log: Path,
    progress: Progress | None = None,
    options: Sequence[str] = (),
) -> Routed:
    """Place and route ``netlist`` for ``board`` in the netlist's folder, asking for ``frequency_mhz``.

    options: more of nextpnr's, as on its command line.
    Missing that frequency is no error (the report says what was reached). Raises :class:`HwgenError` when the design
    does not fit, or nextpnr or the packer refuses it.
    """
    folder = netlist.parent
    suffix = board.constraints_suffix
    (folder / f"pins{suffix}").write_text(
        retarget(constraints, family=board.family, frequency_mhz=frequency_mhz), encoding="utf-8"
    )
    ice40 = board.family == "ice40"
    tool = f"nextpnr-{board.family}"
    args = [f"--{board.device}", "--package", board.package]
    args += [] if ice40 else ["--speed", board.speed]
    args += ["--json", netlist.name, suffix.replace(".", "--"), f"pins{suffix}"]
    args += ["--freq", f"{frequency_mhz:g}", "--seed", str(seed), "--timing-allow-fail", "--report", "report.json"]
    args += ["--asc" if ice40 else "--textcfg", "routed.txt", *options]
    try:
        commands = {tool: tools.run(tool, args, cwd=folder, log=log, progress=progress, pattern=_PROGRESS)}
    except HwgenError:
        # No report is written for a design that does not fit; the log's table is all there is.
        fits(usage_in_log(log.read_text(encoding="utf-8")), board)
        raise
    bitstream = folder / f"{top}{'.bin' if ice40 else '.bit'}"
    if ice40:
        commands["icepack"] = tools.run("icepack", ["routed.txt", bitstream.name], cwd=folder)
    else:
        # Compression: the flash of a board loads a third of the bytes.
        commands["ecppack"] = tools.run("ecppack", ["--compress", "routed.txt", bitstream.name], cwd=folder)
    return Routed(bitstream, json.loads((folder / "report.json").read_text(encoding="utf-8")), commands)


def usage_in_log(text: str) -> dict[str, Usage]:
    """nextpnr's table of device utilisation, ``Info:  ICESTORM_LC:  6012/  5280  113%``."""
    found = re.findall(r"(?m)^Info:\s+(\w+):\s*(\d+)/\s*(\d+)\s+\d+%", text)
    return {name: Usage(int(used), int(available)) for name, used, available in found}
