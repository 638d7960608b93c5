"""What a multiply-accumulate costs: arrays of PEs by code and activation width, beside arrays of multipliers.

    python benchmarks/pe_cost.py [--only NAME ...] [--route] [--write]

Every array has 16 PEs of 16 lanes, its weights in block RAM, and one accumulator per PE, between a shift register that
brings activations and one that takes results away; those are counted with it. ``e2m1`` and the like are PEs of
``hwgen.rtl.pe`` with random weights; ``multiplier int4`` and ``multiplier int8`` multiply by integers in LUTs (no DSP
blocks), with a register after every product and addition. All go through the commands of ``hwgen synth`` for an
LFE5U-85F, speed grade 6. LUT4s are counted as nextpnr packs them (TRELLIS_COMB). ``--route`` places and routes those
with a goal (minutes each), ``--write`` merges what was measured into ``benchmarks/results/pe_cost.json`` and makes
``pe_cost.md``.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwgen import tools
from hwgen.boards import board
from hwgen.codes import Codebook, codebook
from hwgen.emit.verilog import to_verilog
from hwgen.interval import Interval
from hwgen.rtl.pe import PE
from hwgen.rtl.product import multiple
from hwgen.rtl.rom import SequentialRom
from hwgen.rtl.stream import pipeline_signal, shape_of
from hwgen.rtl.tree import adder_tree, tree_latency
from hwgen.sizing.product import CHAIN, array_latency, recipe
from hwgen.synth.netlist import improve
from hwgen.synth.nextpnr import usage_in_log
from hwgen.synth.report import fmax_mhz
from hwgen.synth.yosys import map_to_cells

RESULTS = Path(__file__).parent / "results"
PES, LANES, WORDS = 16, 16, 512
SEED = 1
FREQUENCY = 200


@dataclass(frozen=True)
class Case:
    """goal: most LUT4 per MAC, of what must also be routed at 150 MHz."""

    name: str
    act_bits: int
    code: str | None = None
    weight_bits: int = 0
    goal: float | None = None


CASES = (
    Case("e2m1", 8, "e2m1", goal=50),
    Case("e2m1, 6-bit activations", 6, "e2m1", goal=40),
    Case("pot3", 8, "pot3", goal=36),
    Case("pot4", 8, "pot4"),
    Case("ternary", 8, "ternary"),
    Case("apot4", 8, "apot4"),
    Case("int4 code", 8, "int4"),
    Case("e2m2", 8, "e2m2"),
    Case("multiplier int4", 8, weight_bits=4),
    Case("multiplier int8", 8, weight_bits=8),
)


class _Array(wiring.Component):
    """16 x 16 MACs per cycle between shift registers: ``x`` two bits per cycle, ``y`` one."""

    def __init__(self, act_bits: int):
        self.taps = Interval(0, (1 << act_bits) - 1)
        super().__init__({"x": In(2), "valid": In(1), "more": In(1), "load": In(1), "y": Out(1)})

    def _activations(self, m: Module) -> list[Value]:
        bits = self.taps.bits
        shift = Signal(bits * LANES)
        m.d.sync += shift.eq(Cat(self.x, shift))
        return [shift[lane * bits : (lane + 1) * bits] for lane in range(LANES)]

    def _drain(self, m: Module, accs: list[Value]) -> None:
        row = Signal(sum(len(acc) for acc in accs))
        with m.If(self.load):
            m.d.sync += row.eq(Cat(accs))
        with m.Else():
            m.d.sync += row.eq(row >> 1)
        m.d.comb += self.y.eq(row[0])

    @staticmethod
    def _delayed(m: Module, signal: Value, cycles: int, name: str) -> Value:
        for cycle in range(cycles):
            later = Signal(len(signal), name=f"{name}_d{cycle + 1}")
            m.d.sync += later.eq(signal)
            signal = later
        return signal

    def accumulator(self, largest: int) -> Interval:
        """Of a 3x3 layer of 64 channels, an eighth of its bound: what a trained layer reaches."""
        reach = largest * self.taps.hi * 9 * 64 // 8
        return Interval(-reach, reach)


class ShiftAdd(_Array):
    """The PEs of ``hwgen.rtl.conv``."""

    def __init__(self, book: Codebook, act_bits: int):
        self._book = book
        super().__init__(act_bits)

    def elaborate(self, platform):
        m = Module()
        book, how, draw = self._book, recipe(self._book), random.Random(SEED)
        legal = [word for code, word in enumerate(how.stored) if book.is_canonical(code)]
        words = [sum(draw.choice(legal) << place * book.bits for place in range(PES * LANES)) for _ in range(WORDS)]
        m.submodules.rom = rom = SequentialRom(words, book.bits * PES * LANES)
        valid = self._delayed(m, self.valid, 1, "valid_in")
        m.d.comb += rom.advance.eq(valid)
        multiples = pipeline_signal(PE.multiples_layout(book, self.taps, LANES), name="multiples")
        for lane, x in enumerate(self._activations(m)):
            x = self._delayed(m, x, 1 + lane % CHAIN, f"x{lane}")
            for base in how.bases:
                m.d.sync += multiples[lane][f"x{base}"].eq(multiple(x, base))
        cycles = rom.latency + array_latency(book, LANES) - 1
        valid, more = self._delayed(m, valid, cycles, "valid"), self._delayed(m, self.more, cycles, "more")
        accs = []
        for index in range(PES):
            m.submodules[f"pe{index}"] = pe = PE(book, self.taps, LANES, self.accumulator(book.max_level))
            row = rom.word.word_select(index, book.bits * LANES)
            m.d.comb += [
                Value.cast(pe.multiples).eq(Value.cast(multiples)),
                Value.cast(pe.codes).eq(row),
                pe.valid.eq(valid),
                pe.more.eq(more),
            ]
            accs.append(pe.acc)
        self._drain(m, accs)
        return m


class Multiply(_Array):
    """The same with a multiplier per MAC."""

    def __init__(self, weight_bits: int, act_bits: int):
        self._bits = weight_bits
        super().__init__(act_bits)

    def elaborate(self, platform):
        m = Module()
        draw = random.Random(SEED)
        words = [draw.getrandbits(self._bits * PES * LANES) for _ in range(WORDS)]
        m.submodules.rom = rom = SequentialRom(words, self._bits * PES * LANES)
        valid = self._delayed(m, self.valid, 1, "valid_in")
        m.d.comb += rom.advance.eq(valid)
        xs = [self._delayed(m, x, 2, f"x{lane}") for lane, x in enumerate(self._activations(m))]
        cycles = rom.latency + 1 + tree_latency(LANES)
        valid, more = self._delayed(m, valid, cycles, "valid"), self._delayed(m, self.more, cycles, "more")
        largest = 1 << self._bits - 1
        product = Interval(-largest * self.taps.hi, largest * self.taps.hi)
        accs = []
        for index in range(PES):
            products = []
            for lane, x in enumerate(xs):
                weight = rom.word.word_select(index * LANES + lane, self._bits).as_signed()
                made = pipeline_signal(shape_of(product), name=f"product{index}_{lane}")
                m.d.sync += made.eq(x * weight)
                products.append(made)
            acc = pipeline_signal(signed(self.accumulator(largest).bits), name=f"acc{index}")
            total = adder_tree(m, products, product)
            with m.If(valid):
                m.d.sync += acc.eq(total + (acc & more.replicate(len(acc))).as_signed())
            accs.append(acc)
        self._drain(m, accs)
        return m


def array(case: Case) -> wiring.Component:
    """The array of a case."""
    if case.code is None:
        return Multiply(case.weight_bits, case.act_bits)
    return ShiftAdd(codebook(case.code), case.act_bits)


def measured(case: Case, *, route: bool) -> dict[str, Any]:
    """Map, pack and perhaps route one array."""
    target = board("ulx3s-85f")
    with tempfile.TemporaryDirectory(prefix="hwgen-") as scratch:
        folder = Path(scratch)
        to_verilog(array(case), folder / "top.v", name="top")
        netlist = map_to_cells(
            ["top.v"],
            top="top",
            family="ecp5",
            device=target.device,
            folder=folder,
            log=folder / "yosys.log",
            multipliers=case.code is None,
        )
        improve(netlist.path, top="top")
        arguments = [f"--{target.device}", "--package", target.package, "--speed", target.speed]
        arguments += ["--json", netlist.path.name, "--lpf-allow-unconstrained", "--timing-allow-fail"]
        arguments += ["--freq", str(FREQUENCY), "--seed", str(SEED), "--report", "report.json"]
        arguments += [] if route else ["--pack-only"]
        tools.run("nextpnr-ecp5", arguments, cwd=folder, log=folder / "nextpnr.log")
        usage = usage_in_log((folder / "nextpnr.log").read_text(encoding="utf-8"))
        row: dict[str, Any] = {
            "case": case.name,
            "act_bits": case.act_bits,
            "lut": usage["TRELLIS_COMB"].used,
            "ff": usage["TRELLIS_FF"].used,
            "bram": usage["DP16KD"].used,
            "lut_per_mac": round(usage["TRELLIS_COMB"].used / (PES * LANES), 1),
        }
        if route:
            clock = fmax_mhz(json.loads((folder / "report.json").read_text(encoding="utf-8")))
            row |= {"fmax_mhz": round(clock, 1), "gops_per_klut": round(2 * PES * LANES * clock / row["lut"], 2)}
    return row


def table(data: dict[str, Any]) -> str:
    """The rows in Markdown."""
    made = ", ".join(f"{tool} {version}" for tool, version in data["versions"].items())
    goals = {case.name: case.goal for case in CASES}
    lines = [
        f"Made by `python benchmarks/pe_cost.py --route --write` with {made}: LFE5U-85F, speed grade 6, 16 PEs of 16"
        f" lanes, seed {SEED}, {FREQUENCY} MHz asked for. No DSP blocks.",
        "",
        "| array | LUT4/MAC | goal | LUT4 | FF | BRAM | routed MHz | GOP/s/kLUT4 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in data["rows"]:
        goal = f"{goals[row['case']]:g}, 150 MHz" if goals.get(row["case"]) else ""
        cells = [row["case"], row["lut_per_mac"], goal, row["lut"], row["ff"], row["bram"]]
        cells += [row.get("fmax_mhz", ""), row.get("gops_per_klut", "")]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[case.name for case in CASES])
    parser.add_argument("--route", action="store_true", help="place and route the arrays that have a goal")
    parser.add_argument("--write", action="store_true", help="merge the rows into benchmarks/results")
    options = parser.parse_args()
    file = RESULTS / "pe_cost.json"
    rows = {row["case"]: row for row in json.loads(file.read_text())["rows"]} if file.is_file() else {}
    versions = {tool: tools.version(tool) for tool in ("yosys", "nextpnr-ecp5")}
    for case in CASES:
        if options.only and case.name not in options.only:
            continue
        rows[case.name] = measured(case, route=options.route and case.goal is not None)
        print(rows[case.name], flush=True)
        data = {"versions": versions, "rows": [rows[other.name] for other in CASES if other.name in rows]}
        if options.write:
            file.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
            file.with_suffix(".md").write_text(table(data), encoding="utf-8")


if __name__ == "__main__":
    main()
