"""The planner's cost model against the tools: LUTs and block RAMs of single engines, predicted and packed.

    python benchmarks/cost_model.py --family ecp5|ice40 --write             measure (minutes), then write the table
    python benchmarks/cost_model.py --family ecp5|ice40 --fit               new coefficients from the stored rows
    python benchmarks/cost_model.py --family ecp5|ice40 --stored --write    predict the stored rows again

Netlists are made by the Yosys commands of ``hwgen synth``; LUTs are counted as nextpnr packs them: TRELLIS_COMB on
ECP5; on iCE40 logic cells, those that hold only a flip-flop or a carry included. Nothing is placed. The table lies in
``benchmarks/results/`` as ``cost_model_FAMILY.json`` and ``.md``. ``--fit`` prints what to put into
``hwgen/plan/cost.py``, and its error.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.lib.wiring import Component
from scipy.optimize import nnls

from hwgen import tools
from hwgen.boards import board
from hwgen.boards.top import BoardTop
from hwgen.codes import codebook
from hwgen.emit.verilog import to_verilog
from hwgen.floatnet import PoolKind, Shape, window_shape
from hwgen.interval import Interval
from hwgen.network import Conv, Network, Pool, Requant, Tensor
from hwgen.plan.cost import Cost, block_rams, layer_cost, lut_features
from hwgen.rtl.conv import ConvEngine
from hwgen.rtl.pool import PoolEngine
from hwgen.rtl.top import Core
from hwgen.sizing.folding import Folding
from hwgen.synth.netlist import improve
from hwgen.synth.nextpnr import usage_in_log
from hwgen.synth.yosys import map_to_cells

RESULTS = Path(__file__).parent / "results"
BOARDS = {"ecp5": "ulx3s-85f", "ice40": "icebreaker"}
LOGIC = {"ecp5": ("TRELLIS_COMB", "DP16KD"), "ice40": ("ICESTORM_LC", "ICESTORM_RAM")}

Case = tuple[str, Conv | Pool, Tensor, Folding]
Row = dict[str, Any]

CONVOLUTIONS = [
    # code, map (H, W, C), outputs, kernel, pad, PE, SIMD
    ("e2m1", (28, 28, 1), 8, 5, 2, 8, 1),
    ("e2m1", (14, 14, 8), 16, 5, 2, 8, 4),
    ("e2m1", (14, 14, 8), 16, 5, 2, 16, 8),
    ("e2m1", (22, 22, 16), 24, 3, 0, 12, 16),
    ("e2m1", (8, 8, 16), 16, 3, 1, 4, 4),
    ("e2m1", (4, 4, 16), 10, 4, 0, 1, 1),
    ("e2m1", (8, 8, 32), 32, 8, 0, 16, 2),
    ("e2m1", (8, 8, 1), 8, 3, 1, 4, 1),
    ("e2m1", (4, 4, 8), 16, 3, 1, 8, 2),
    ("e2m1", (1, 1, 32), 10, 1, 0, 2, 4),
    ("e2m1", (12, 12, 16), 32, 1, 0, 8, 8),
    ("pot4", (14, 14, 8), 16, 5, 2, 8, 4),
    ("pot4", (8, 8, 16), 16, 3, 0, 8, 8),
    ("pot3", (8, 8, 16), 16, 3, 0, 8, 8),
    ("int4", (8, 8, 16), 16, 3, 0, 8, 8),
    ("pot3", (14, 14, 8), 16, 5, 2, 8, 4),
    ("pot5", (14, 14, 8), 16, 5, 2, 8, 4),
    ("apot4", (14, 14, 8), 16, 5, 2, 8, 4),
    ("int4", (14, 14, 8), 16, 5, 2, 8, 4),
    ("ternary", (14, 14, 8), 16, 5, 2, 8, 4),
    ("e2m1", (16, 16, 3), 16, 3, 1, 16, 3),
    ("e2m1", (16, 16, 8), 8, 1, 0, 8, 4),
    ("e2m1", (10, 10, 8), 12, 3, 0, 1, 1),
]
LAST = [
    # The same of a network's last layer, whose results have 16 bits.
    ("e2m1", (2, 2, 16), 10, 2, 0, 1, 1),
    ("e2m1", (4, 4, 16), 10, 4, 0, 2, 4),
    ("e2m1", (1, 1, 64), 10, 1, 0, 5, 8),
    ("pot4", (7, 7, 16), 10, 7, 0, 1, 4),
    ("e2m1", (8, 8, 16), 4, 3, 1, 4, 8),
]
UNROLLED = [
    # The same with kernel rows and columns per beat.
    ("e2m1", (16, 16, 16), 16, 3, 1, 16, 4, (1, 3)),
    ("e2m1", (16, 16, 3), 16, 3, 1, 8, 3, (3, 3)),
    ("e2m1", (14, 14, 8), 16, 5, 2, 4, 2, (5, 1)),
    ("pot3", (16, 16, 32), 32, 3, 1, 8, 8, (3, 1)),
]
POOLS = [
    (PoolKind.MAX, (28, 28, 8), 2, 1),
    (PoolKind.MAX, (28, 28, 8), 2, 8),
    (PoolKind.MAX, (12, 12, 32), 3, 16),
    (PoolKind.AVERAGE, (6, 6, 24), 3, 12),
    (PoolKind.AVERAGE, (8, 8, 16), 2, 2),
    (PoolKind.AVERAGE, (8, 8, 16), 8, 4),
]


def convolution(
    code: str, shape: Shape, outputs: int, kernel: int, pad: int, *, last: bool = False
) -> tuple[Conv, Tensor]:
    """A layer with random weights, every level of the codebook equally likely, and a result of 8 bits (last: 16)."""
    rng = np.random.default_rng(0)
    book = codebook(code)
    size = (outputs, kernel, kernel, shape[2])
    levels = rng.choice(book.sorted_levels, size)  # every level occurs, so that synthesis removes none
    source = Tensor("input", shape, Interval(0, 255), 1.0)
    pads = (pad,) * 4
    result = Interval.of_bits(16, signed=True) if last else Interval.of_bits(8, signed=False)
    # The sums of a channel, times a factor of about 12, to the width of the result.
    shift = max(1, int(np.log2(np.abs(levels).sum() / outputs * 255 * 12)) + 1 - result.bits)
    mul = rng.choice((8, 9, 10, 12, 14, 15), outputs) << rng.integers(0, 3, outputs)
    reach = 1 << shift + result.bits - 4
    requant = Requant(mul, rng.integers(-reach, reach, outputs), shift, result.lo, result.hi)
    output = Tensor("conv", window_shape(shape, (kernel, kernel), (1, 1), pads, outputs), result, 1.0)
    scale, zero = np.ones(outputs), np.zeros(shape[2], np.int64)
    layer = Conv("conv", "input", shape, book.encode(levels), book, scale, zero, (1, 1), pads, requant, output)
    return layer, source


def pooling(kind: PoolKind, shape: Shape, kernel: int) -> tuple[Pool, Tensor]:
    source = Tensor("input", shape, Interval(0, 255), 1.0)
    channels = shape[2]
    requant = None if kind is PoolKind.MAX else Requant(np.full(channels, 15), np.full(channels, 512), 10, 0, 255)
    size = (kernel, kernel)
    output = Tensor("pool", window_shape(shape, size, size, (0,) * 4, channels), source.interval, 1.0)
    return Pool("pool", "input", shape, kind, size, size, (0,) * 4, requant, output), source


def cases() -> list[Case]:
    """Name, layer, source and folding of every engine in the data."""
    found: list[Case] = []
    rows = [(False, *row) for row in CONVOLUTIONS] + [(True, *row) for row in LAST]
    for last, code, shape, outputs, kernel, pad, pe, simd in rows:
        layer, source = convolution(code, shape, outputs, kernel, pad, last=last)
        name = f"{code} {kernel}x{kernel} of {shape} to {outputs}{' logits' * last}, PE {pe}, SIMD {simd}"
        found.append((name, layer, source, Folding.of(layer, pe, simd)))
    for code, shape, outputs, kernel, pad, pe, simd, unroll in UNROLLED:
        layer, source = convolution(code, shape, outputs, kernel, pad)
        taps = "x".join(map(str, unroll))
        name = f"{code} {kernel}x{kernel} of {shape} to {outputs}, PE {pe}, SIMD {simd}, {taps} taps"
        found.append((name, layer, source, Folding.of(layer, pe, simd, unroll)))
    for kind, shape, kernel, lanes in POOLS:
        pool, source = pooling(kind, shape, kernel)
        name = f"{kind.value} pool {kernel}x{kernel} of {shape}, {lanes} lanes"
        found.append((name, pool, source, Folding.of(pool, lanes, lanes)))
    return found


def pack(component: Component, family: str) -> Cost:
    """LUTs and block RAMs of a component after packing."""
    target = board(BOARDS[family])
    with tempfile.TemporaryDirectory(prefix="hwgen-") as scratch:
        folder = Path(scratch)
        to_verilog(component, folder / "dut.v", name="dut")
        netlist = map_to_cells(
            ["dut.v"], top="dut", family=family, device=target.device, folder=folder, log=folder / "yosys.log"
        )
        if family == "ecp5":
            improve(netlist.path, top="dut")
        arguments = [f"--{target.device}", "--package", target.package, "--json", netlist.path.name, "--pack-only"]
        tools.run(f"nextpnr-{family}", arguments, cwd=folder, log=folder / "pack.log")
        usage = usage_in_log((folder / "pack.log").read_text(encoding="utf-8"))
    lut, bram = (usage[name].used for name in LOGIC[family])
    return Cost(lut, bram)


def engine(layer: Conv | Pool, source: Tensor, folding: Folding) -> Component:
    return (ConvEngine if isinstance(layer, Conv) else PoolEngine)(layer, source, folding)


def shell(family: str) -> Cost:
    """What the planner calls the shell: a board's design of one layer, without that layer and the frame buffer."""
    layer, source = convolution("e2m1", (8, 8, 1), 8, 3, 1)
    folding = Folding.of(layer, 4, 1)
    network = Network("shell", (source,), (layer,), (layer.output.name,))
    top = BoardTop(Core(network, [folding]), clock_hz=board(BOARDS[family]).clock_hz)
    whole, part = pack(top, family), pack(engine(layer, source, folding), family)
    return Cost(whole.lut - part.lut, whole.bram - part.bram - block_rams(family, 8, 2 * 64))


def path(family: str) -> Path:
    """Where the rows of ``family`` are stored."""
    return RESULTS / f"cost_model_{family}.json"


def stored(family: str) -> dict[str, Any]:
    """What the last ``--write`` left: versions, ``shell`` and ``rows``, one row for each of :func:`cases`."""
    data = json.loads(path(family).read_text(encoding="utf-8"))
    if [row["engine"] for row in data["rows"]] != [name for name, *_ in cases()]:
        raise SystemExit(f"{path(family)} holds other engines than this script; measure again with --write")
    return data


def measure(family: str) -> dict[str, Any]:
    """Synthesize every case; takes minutes."""
    rows = []
    for name, *what in cases():
        cost = pack(engine(*what), family)
        rows.append({"engine": name, "lut": cost.lut, "bram": cost.bram})
        print(f"{name:55} LUT {cost.lut:6}  BRAM {cost.bram:3}", flush=True)
    versions = {tool: tools.version(tool) for tool in ("yosys", f"nextpnr-{family}")}
    return {"family": family, "versions": versions, "shell": vars(shell(family)), "rows": rows}


def predict(data: dict[str, Any]) -> None:
    """Put the model's prediction beside every measurement, and its error over all of them."""
    errors = []
    for row, (_, *what) in zip(data["rows"], cases(), strict=True):
        predicted = layer_cost(*what, data["family"])
        error = predicted.lut / row["lut"] - 1
        row |= {"lut_predicted": predicted.lut, "lut_error": round(error, 4), "bram_predicted": predicted.bram}
        errors.append(abs(error))
    data["lut_error"] = {"median": round(float(np.median(errors)), 4), "max": round(max(errors), 4)}


def table(data: dict[str, Any]) -> str:
    """The rows in Markdown."""
    made = ", ".join(f"{tool} {version}" for tool, version in data["versions"].items())
    shell, error = data["shell"], data["lut_error"]
    lines = [
        f"Made by `python benchmarks/cost_model.py --family {data['family']} --write` with {made}.",
        "",
        f"LUT error: median {error['median']:.1%}, largest {error['max']:.1%}. Beside the engines, a board's design has"
        f" {shell['lut']} LUTs and {shell['bram']} block RAMs (`SHELL`) and a buffer for frames.",
        "",
        "| engine | LUT | predicted | error | BRAM | predicted |",
        "|---|---|---|---|---|---|",
    ]
    for row in data["rows"]:
        cells = [row["engine"], row["lut"], row["lut_predicted"], f"{row['lut_error']:+.1%}"]
        lines.append(f"| {' | '.join(map(str, [*cells, row['bram'], row['bram_predicted']]))} |")
    return "\n".join(lines) + "\n"


def fit(data: dict[str, Any]) -> None:
    """Print coefficients that minimise the squares of the relative errors, none of them negative."""
    luts = np.array([row["lut"] for row in data["rows"]])
    features = [lut_features(*what) for _, *what in cases()]
    names = sorted({name for row in features for name in row})
    matrix = np.array([[row.get(name, 0) for name in names] for row in features])
    solution, _ = nnls(matrix / luts[:, None], np.ones(len(luts)))
    print(f'    "{data["family"]}": {{')
    for name, value in zip(names, solution, strict=True):
        print(f'        "{name}": {value:.3g},')
    print("    },")
    errors = np.abs(matrix @ solution / luts - 1)
    print(f"error: median {np.median(errors):.1%}, largest {errors.max():.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=tuple(BOARDS), required=True)
    parser.add_argument("--write", action="store_true", help="leave the table in benchmarks/results")
    parser.add_argument("--stored", action="store_true", help="take the stored measurements, do not measure")
    parser.add_argument("--fit", action="store_true", help="print coefficients for the stored measurements")
    options = parser.parse_args()
    data = stored(options.family) if options.stored or options.fit else measure(options.family)
    if options.fit:
        fit(data)
        return
    predict(data)
    print(table(data))
    if options.write:
        path(options.family).write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
        path(options.family).with_suffix(".md").write_text(table(data), encoding="utf-8")


if __name__ == "__main__":
    main()
