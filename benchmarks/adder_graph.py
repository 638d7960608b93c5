"""Adder graphs against da4ml's own Verilog, and what the graph engine costs: LUTs, flip-flops, clock rate on ECP5.

    python -m benchmarks.adder_graph [--parts routed,graphs,engines] [--write]

Run from the root of the repository; needs the folder of shared data (``HWGEN_DATA``, else ``../shared/data``). Weights
are those of real layers, rounded to their nearest levels. Three parts:

* routed: the first convolution of resnet8 as a bit-parallel graph and as da4ml writes it, both with registers at all
  inputs and outputs, placed and routed out of context for an LFE5U-85F of speed grade 6; 10 minutes;
* graphs: two convolutions of resnet8 with two codes, mapped: LUTs per multiply-accumulate in a cycle; 2 minutes;
* engines: whole engines of first layers, with feeder, requantization and queue: predicted and packed; 10 minutes.

``--write`` merges what was measured into ``benchmarks/results/adder_graph.json`` and makes ``adder_graph.md`` of it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from hwgen import api, store, tools
from hwgen.boards import board
from hwgen.emit.verilog import to_verilog
from hwgen.network import Conv, Network
from hwgen.rtl.adder_graph import ParallelGraph
from hwgen.rtl.graph_conv import GraphConvEngine
from hwgen.rtl.serial_graph import SerialGraph
from hwgen.sizing.adder_graph import AdderGraph, graph_of
from hwgen.sizing.bounds import tap_interval
from hwgen.sizing.graph_cost import block_rams, luts
from hwgen.sizing.graph_engine import GraphFolding, plan_of
from hwgen.synth.nextpnr import usage_in_log
from hwgen.synth.yosys import map_to_cells
from tests.real_models import MODELS

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("HWGEN_DATA") or Path(__file__).parents[2] / "shared" / "data")
TARGET = board("ulx3s-85f")
PLACE = ["--85k", "--package", "CABGA381", "--speed", "6", "--timing-allow-fail", "--seed", "1", "--freq", "250"]

Row = dict[str, Any]


@cache
def quantized(network: str, code: str) -> Network:
    """``network`` with 8-bit activations and weights rounded to the nearest level of ``code``."""
    model = MODELS[network]
    with tempfile.TemporaryDirectory(prefix="hwgen-") as scratch:
        calibration, file = Path(scratch) / "x.npz", Path(scratch) / "net.npz"
        np.savez(calibration, x=model.samples(DATA).calibration[:100])
        api.quantize(DATA / model.file, calibration, file, code=code, method="plain", **model.normalization)
        return store.load(file)


def layer_of(network: str, code: str, name: str) -> tuple[Network, Conv]:
    net = quantized(network, code)
    (layer,) = (layer for layer in net.layers if layer.name == name)
    assert isinstance(layer, Conv)
    return net, layer


def graph(network: str, code: str, name: str) -> AdderGraph:
    net, layer = layer_of(network, code, name)
    return graph_of(layer, tap_interval(layer, net.tensor(layer.source).interval))


class Registered(Component):
    """A graph behind registers, as da4ml writes its own."""

    def __init__(self, graph: ParallelGraph):
        self._graph = graph
        super().__init__({"x": In(graph.x.shape()), "sums": Out(graph.sums.shape())})

    def elaborate(self, platform):
        m = Module()
        m.submodules.graph = graph = self._graph
        m.d.sync += graph.x.eq(self.x)
        m.d.comb += self.sums.eq(graph.sums)
        return m


def write_da4ml(graph: AdderGraph, cutoff: int, folder: Path) -> list[str]:
    """da4ml's own Verilog of ``graph.matrix`` in ``folder``: its files, the top module being ``dut``."""
    from da4ml.codegen import RTLModel
    from da4ml.trace import FixedVariableArrayInput, comb_trace

    interval = graph.interval
    inputs = FixedVariableArrayInput(graph.inputs)
    x = inputs.quantize(int(interval.signed), interval.bits - interval.signed, 0)
    logic = comb_trace(inputs, x @ graph.matrix.astype(np.float64))
    RTLModel(logic, "dut", folder / "da4ml", flavor="verilog", latency_cutoff=cutoff, print_latency=False).write()
    # This one reads a memory file that does not exist unless there are tables.
    files = [file for file in (folder / "da4ml" / "src").rglob("*.v") if file.name != "lookup_table.v"]
    return sorted(str(file.relative_to(folder)) for file in files if "wrapper" not in file.name)


def mapped(folder: Path, sources: list[str]) -> tuple[Path, dict[str, int]]:
    """The netlist of module ``dut`` and its cells."""
    netlist = map_to_cells(
        sources, top="dut", family="ecp5", device=TARGET.device, folder=folder, log=folder / "yosys.log"
    )
    return netlist.path, netlist.cells


def figures(cells: dict[str, int]) -> Row:
    """The cells that cost LUTs; ``lut``: what they come to before packing, a CCU2C being two LUTs and a RAM six."""
    kinds = {"lut4": "LUT4", "ccu2c": "CCU2C", "dpr": "TRELLIS_DPR16X4", "ff": "TRELLIS_FF", "bram": "DP16KD"}
    row = {name: cells.get(cell, 0) for name, cell in kinds.items()}
    return row | {"lut": row["lut4"] + 2 * row["ccu2c"] + 6 * row["dpr"]}


def place(folder: Path, netlist: Path, *, pack_only: bool = False) -> Row:
    """Packed LUTs and, unless ``pack_only``, the clock rate after routing."""
    started = time.monotonic()
    arguments = [*PLACE, "--json", netlist.name, "--report", "report.json", "--out-of-context"]
    tools.run("nextpnr-ecp5", arguments + ["--pack-only"] * pack_only, cwd=folder, log=folder / "nextpnr.log")
    usage = usage_in_log((folder / "nextpnr.log").read_text(encoding="utf-8"))
    row: Row = {"packed_lut": usage["TRELLIS_COMB"].used}
    if not pack_only:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        row["fmax_mhz"] = round(min(clock["achieved"] for clock in report["fmax"].values()), 1)
        row["seconds"] = round(time.monotonic() - started)
    return row


def routed() -> list[Row]:
    """The same matrix by both generators, from a single stage to a register behind every addition."""
    conv1 = graph("resnet8", "e2m1", "conv1")
    rows = []
    for name, option in (("hwgen", 1), ("hwgen", 2), ("da4ml", 1), ("da4ml", 5)):
        with tempfile.TemporaryDirectory(prefix="hwgen-") as scratch:
            folder = Path(scratch)
            if name == "hwgen":
                what = f"hwgen, levels {option}"
                sources = [
                    to_verilog(Registered(ParallelGraph(conv1, levels=option)), folder / "dut.v", name="dut").name
                ]
            else:
                what, sources = f"da4ml, latency_cutoff {option}", write_da4ml(conv1, option, folder)
            netlist, cells = mapped(folder, sources)
            rows.append({"design": what} | figures(cells) | place(folder, netlist))
            print(rows[-1], flush=True)
    return rows


def graphs() -> list[Row]:
    """Adder graphs alone: what a multiply-accumulate per cycle costs."""
    rows = []
    for name in ("conv1", "conv2"):
        for code in ("e2m1", "pot3"):
            what = graph("resnet8", code, name)
            forms = {"bit-parallel": (Registered(ParallelGraph(what)), 1)}
            serial = SerialGraph(what)
            forms["bit-serial"] = serial, serial.word
            for form, (component, cycles) in forms.items():
                with tempfile.TemporaryDirectory(prefix="hwgen-") as scratch:
                    folder = Path(scratch)
                    to_verilog(component, folder / "dut.v", name="dut")
                    netlist, cells = mapped(folder, ["dut.v"])
                    row = {"matrix": f"resnet8 {name}", "inputs": what.inputs, "outputs": len(what.outputs)}
                    row |= {"code": code, "form": form, "additions": len(what.adders), "cycles": cycles}
                    row |= figures(cells) | place(folder, netlist, pack_only=True)
                row["lut_per_mac"] = round(row["lut"] * cycles / what.matrix.size, 2)
                rows.append(row)
                print(row, flush=True)
    return rows


ENGINES = [
    ("resnet8", "conv1", GraphFolding(1, 1)),
    ("resnet8", "conv1", GraphFolding(2, 2)),
    ("vww", "conv1", GraphFolding(1, 1)),
    ("vww", "conv1", GraphFolding(2, 1)),
    ("vww", "conv1", GraphFolding(None, 8)),
    ("kws", "conv1", GraphFolding(1, 4)),
    ("kws", "conv2", GraphFolding(1, 4)),
    ("resnet8", "conv2", GraphFolding(1, 1)),
    ("resnet8", "conv1", GraphFolding(None, 16)),
]


def engines() -> list[Row]:
    """Whole engines, predicted and mapped."""
    rows = []
    for network, name, folding in ENGINES:
        net, layer = layer_of(network, "e2m1", name)
        source = net.tensor(layer.source)
        plan = plan_of(layer, source.interval, folding)
        with tempfile.TemporaryDirectory(prefix="hwgen-") as scratch:
            folder = Path(scratch)
            to_verilog(GraphConvEngine(layer, source, folding), folder / "dut.v", name="dut")
            netlist, cells = mapped(folder, ["dut.v"])
            row: Row = {"layer": f"{network} {name}", "digit": folding.digit, "lanes": folding.lanes}
            row |= {"cycles": plan.cycles, **figures(cells), **place(folder, netlist, pack_only=True)}
        row["lut_predicted"] = luts(layer, plan, folding)
        row["lut_error"] = round(row["lut_predicted"] / row["lut"] - 1, 4)
        row["bram_predicted"] = block_rams(layer, plan, folding)
        row["lut_per_mac"] = round(row["lut"] * plan.cycles / layer.macs, 2)
        rows.append(row)
        print(row, flush=True)
    return rows


PARTS = {"routed": routed, "graphs": graphs, "engines": engines}


def table(data: dict[str, Any]) -> str:
    """Every part on disk, in Markdown."""
    made = ", ".join(f"{tool} {version}" for tool, version in data["versions"].items())
    lines = [f"Made by `python -m benchmarks.adder_graph --write` with {made}.", ""]
    lines += [
        "lut: LUT4 + 2 CCU2C + 6 TRELLIS_DPR16X4 of the netlist (`synth_ecp5 -abc9 -nodsp`); packed: TRELLIS_COMB."
    ]
    titles = {
        "routed": "resnet8 conv1 (27 x 16, E2M1), out of context, `nextpnr-ecp5 " + " ".join(PLACE) + "`",
        "graphs": "Graphs alone; LUTs (not packed) per multiply-accumulate in a cycle",
        "engines": "Whole engines, E2M1 (digit: bits per cycle, none is bit-parallel); error of the prediction",
    }
    for part, title in titles.items():
        if part in data:
            names = list(data[part][0])
            lines += ["", f"## {title}", "", f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
            lines += [
                f"| {' | '.join('-' if row[name] is None else str(row[name]) for name in names)} |"
                for row in data[part]
            ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--write", action="store_true", help="leave the table in benchmarks/results")
    options = parser.parse_args()
    path = RESULTS / "adder_graph.json"
    data = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for part in options.parts.split(","):
        data[part] = PARTS[part]()
    data["versions"] = {tool: tools.version(tool) for tool in ("yosys", "nextpnr-ecp5")}
    data["versions"]["da4ml"] = metadata.version("da4ml")
    print(table(data))
    if options.write:
        path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
        path.with_suffix(".md").write_text(table(data), encoding="utf-8")


if __name__ == "__main__":
    main()
