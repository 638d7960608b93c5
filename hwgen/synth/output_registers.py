"""The output registers of ECP5's block RAMs, which Yosys leaves unused: a pass over its netlist, before nextpnr.

Without its register a block RAM answers 5.7 ns after the clock's edge, with it after 1 ns (speed grade 6). Yosys maps a
memory with ``REGMODE = "NOREG"`` whatever follows it (YosysHQ/yosys#5814 asks for more); its ``memory_libmap`` has no
word for a read that takes two cycles, so no library file can say it, and ``extract`` wants as many flip-flops in every
match. In the mapped netlist it is simple: flip-flops that do nothing but delay the RAM's outputs move into the RAM.

What the cells do is taken from Lattice's simulation models and nextpnr-ecp5: the register loads at every edge of the
port's clock at which OCE is 1, whether CE is or not, and starts as 0. With ``DATA_WIDTH_A = 36`` the cell has one write
port, A, and one read port, B, whose data come from DOA and DOB alike; nextpnr then wants REGMODE of both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["use_output_registers"]

Bit = int | str
"""A net's number, or a constant: "0", "1", "x"."""

Cell = dict[str, Any]


@dataclass(frozen=True)
class _Port:
    """A port that reads: the letter of its control pins, and those of its data outputs."""

    controls: str
    outputs: str


def use_output_registers(module: dict[str, Any]) -> int:
    """Move flip-flops behind block RAMs into them, in a flat module in Yosys' JSON; returns how many moved.

    The design does the same in every cycle. A port is changed when every output that is read goes to nothing but the
    data input of one TRELLIS_FF of the same clock, edge and global reset, which is always enabled, never reset and
    starts as 0; when the port does not write and is never reset; and when nobody asked to ``keep`` a part of it.
    """
    cells: dict[str, Cell] = module["cells"]
    loads = _loads(module)
    removed: set[Bit] = set()
    count = 0
    for ram in [cell for cell in cells.values() if cell["type"] == "DP16KD" and not _kept(cell)]:
        for port in _reading_ports(ram):
            registers = _registers(ram, port, cells, loads)
            if not registers:
                continue
            for pin, name in registers.items():
                removed.update(ram["connections"][pin])
                ram["connections"][pin] = cells.pop(name)["connections"]["Q"]
            for letter in port.outputs:
                ram["parameters"][f"REGMODE_{letter}"] = "OUTREG"
                ram["connections"][f"OCE{letter}"] = ["1"]
                ram["port_directions"][f"OCE{letter}"] = "input"
            count += len(registers)
    for net in module["netnames"].values():
        net["bits"] = ["x" if bit in removed else bit for bit in net["bits"]]
    return count


def _loads(module: Mapping[str, Any]) -> dict[Bit, list[tuple[str, str]]]:
    """Cell and pin of everything that a net goes to; ports of the module and names to keep are loads as well."""
    loads: dict[Bit, list[tuple[str, str]]] = defaultdict(list)
    for name, cell in module["cells"].items():
        for pin, bits in cell["connections"].items():
            if cell["port_directions"].get(pin) != "output":
                for bit in bits:
                    loads[bit].append((name, pin))
    for name, holder in [*module["ports"].items(), *module["netnames"].items()]:
        if name in module["ports"] or _kept(holder):
            for bit in holder["bits"]:
                loads[bit].append((name, ""))
    return loads


def _kept(item: Mapping[str, Any]) -> bool:
    """Whether ``keep`` is set; Yosys writes numbers as strings of binary digits."""
    return "1" in str(item.get("attributes", {}).get("keep", 0))


def _reading_ports(ram: Cell) -> Iterator[_Port]:
    """Ports without a register so far that neither write nor are ever reset."""
    parameters = ram["parameters"]
    one_reads = _number(parameters.get("DATA_WIDTH_A", 18)) == 36
    for port in [_Port("B", "AB")] if one_reads else [_Port("A", "A"), _Port("B", "B")]:
        write = [] if one_reads else [f"WE{port.controls}"]
        low = [*write, *(f"RST{letter}" for letter in port.outputs)]
        fixed = [*low, *(f"OCE{letter}" for letter in port.outputs)]
        if (
            all(ram["connections"].get(pin) == ["0"] for pin in low)
            and not any(f"{pin}MUX" in parameters for pin in fixed)  # would invert the pin or tie it to a constant
            and all(parameters.get(f"REGMODE_{letter}") == "NOREG" for letter in port.outputs)
        ):
            yield port


def _registers(
    ram: Cell, port: _Port, cells: Mapping[str, Cell], loads: Mapping[Bit, list[tuple[str, str]]]
) -> dict[str, str]:
    """The flip-flop behind each output that is read; none at all when one output has something else behind it."""
    found: dict[str, str] = {}
    for letter in port.outputs:
        for pin in (f"DO{letter}{number}" for number in range(18)):
            readers = loads.get(ram["connections"][pin][0], []) if ram["connections"].get(pin) else []
            if not readers:
                continue
            name, input_pin = readers[0]
            if len(readers) > 1 or input_pin != "DI" or not _delays(cells[name], ram, port.controls):
                return {}
            found[pin] = name
    return found


def _delays(cell: Cell, ram: Cell, letter: str) -> bool:
    """Whether a cell is a flip-flop that only delays its input, as the register of the RAM's port would."""
    parameters, pins = cell["parameters"], cell["connections"]
    enable = str(parameters.get("CEMUX")).strip()  # Yosys writes "1 ", to tell the string from a number
    clock = f"CLK{letter}"
    return (
        cell["type"] == "TRELLIS_FF"
        and not _kept(cell)
        and pins.keys() <= {"CE", "CLK", "DI", "LSR", "Q"}
        and parameters.get("REGSET") == "RESET"
        and (enable == "1" or (enable == "CE" and pins.get("CE") == ["1"]))
        and (parameters.get("LSRMUX"), pins.get("LSR")) == ("LSR", ["0"])
        and pins["CLK"] == ram["connections"].get(clock)
        and (parameters.get("CLKMUX") == "INV") == (ram["parameters"].get(f"{clock}MUX") == "INV")
        and parameters.get("GSR", "ENABLED") == ram["parameters"].get("GSR", "DISABLED")  # nextpnr's defaults
    )


def _number(parameter: str | int) -> int:
    return parameter if isinstance(parameter, int) else int(parameter, 2)
