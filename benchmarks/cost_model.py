"""The planner's cost model against the tools: LUTs and block RAMs of single engines, predicted and packed.

    python benchmarks/cost_model.py [--family ecp5|ice40] [--write] [--fit]

LUTs as nextpnr packs them: TRELLIS_COMB on ECP5; on iCE40 logic cells, those that hold only a flip-flop or a carry
included. ``--write`` leaves the table in ``benchmarks/results/`` as ``cost_model_FAMILY.json`` and ``.md``; ``--fit``
reads that file and prints new coefficients for ``hwgen/plan/cost.py`` with their error.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from hwgen import tools
from hwgen.codes import codebook
from hwgen.emit.verilog import to_verilog
from hwgen.floatnet import PoolKind, window_shape
from hwgen.interval import Interval
from hwgen.network import Conv, Pool, Requant, Tensor
from hwgen.plan.cost import layer_cost, lut_features
from hwgen.plan.folding import Folding
from hwgen.rtl.conv import ConvEngine
from hwgen.rtl.pool import PoolEngine

RESULTS = Path(__file__).parent / "results"
SYNTH = {
    "ecp5": "synth_ecp5 -nodsp -top dut",
    "ice40": "synth_ice40 -abc9 -device u -top dut",
}

PACK = {
    "ecp5": ("nextpnr-ecp5", ["--85k", "--package", "CABGA756"]),
    "ice40": ("nextpnr-ice40", ["--hx8k", "--package", "ct256"]),
}
LOGIC = {"ecp5": ("TRELLIS_COMB", "DP16KD"), "ice40": ("ICESTORM_LC", "ICESTORM_RAM")}

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
]
POOLS = [
    (PoolKind.MAX, (28, 28, 8), 2, 1),
    (PoolKind.MAX, (28, 28, 8), 2, 8),
    (PoolKind.AVERAGE, (8, 8, 16), 2, 2),
    (PoolKind.AVERAGE, (8, 8, 16), 8, 4),
]


def convolution(code: str, shape, outputs: int, kernel: int, pad: int) -> tuple[Conv, Tensor]:
    """A layer with Gaussian weights, quantized by plain rounding, and an eight-bit result."""
    rng = np.random.default_rng(0)
    book = codebook(code)
    size = (outputs, kernel, kernel, shape[2])
    levels = rng.choice(book.sorted_levels, size)  # every level occurs, so that synthesis removes none
    source = Tensor("input", shape, Interval(0, 255), 1.0)
    pads = (pad,) * 4
    shift = int(np.log2(np.abs(levels).sum() / outputs * 255 * 12 / 255)) + 1
    mul = rng.choice((8, 9, 10, 12, 14, 15), outputs) << rng.integers(0, 3, outputs)
    requant = Requant(mul, rng.integers(-(1 << shift + 4), 1 << shift + 4, outputs), shift, 0, 255)
    output = Tensor("conv", window_shape(shape, (kernel, kernel), (1, 1), pads, outputs), Interval(0, 255), 1.0)
    scale, zero = np.ones(outputs), np.zeros(shape[2], np.int64)
    layer = Conv("conv", "input", shape, book.encode(levels), book, scale, zero, (1, 1), pads, requant, output)
    return layer, source


def pooling(kind: PoolKind, shape, kernel: int) -> tuple[Pool, Tensor]:
    source = Tensor("input", shape, Interval(0, 255), 1.0)
    channels = shape[2]
    requant = None if kind is PoolKind.MAX else Requant(np.full(channels, 15), np.full(channels, 512), 10, 0, 255)
    size = (kernel, kernel)
    output = Tensor("pool", window_shape(shape, size, size, (0,) * 4, channels), source.interval, 1.0)
    return Pool("pool", "input", shape, kind, size, size, (0,) * 4, requant, output), source


def synthesize(component, family: str) -> tuple[int, int]:
    """LUTs and block RAMs of ``component`` after packing; nothing is placed."""
    program, device = PACK[family]
    with tempfile.TemporaryDirectory(prefix="hwgen-") as scratch:
        folder = Path(scratch)
        to_verilog(component, folder / "dut.v", name="dut")
        tools.run("yosys", ["-q", "-p", f"read_verilog dut.v; {SYNTH[family]}; write_json dut.json"], cwd=folder)
        tools.run(program, [*device, "--json", "dut.json", "--pack-only"], cwd=folder, log=folder / "pack.log")
        log = (folder / "pack.log").read_text()
    luts, rams = (int(re.findall(rf"{cell}:\s+(\d+)/", log)[-1]) for cell in LOGIC[family])
    return luts, rams


def cases() -> list[tuple[str, Conv | Pool, Tensor, Folding]]:
    """Name, layer, source and folding of every engine in the data."""
    found: list[tuple[str, Conv | Pool, Tensor, Folding]] = []
    for code, shape, outputs, kernel, pad, pe, simd in CONVOLUTIONS:
        layer, source = convolution(code, shape, outputs, kernel, pad)
        name = f"{code} {kernel}x{kernel} of {shape} to {outputs}, PE {pe}, SIMD {simd}"
        found.append((name, layer, source, Folding.of(layer, pe, simd)))
    for kind, shape, kernel, lanes in POOLS:
        pool, source = pooling(kind, shape, kernel)
        name = f"{kind.value} pool {kernel}x{kernel} of {shape}, {lanes} lanes"
        found.append((name, pool, source, Folding.of(pool, lanes, lanes)))
    return found


def fit(family: str) -> None:
    """Print coefficients that minimise the relative error on the stored rows, none of them negative."""
    rows = json.loads((RESULTS / f"cost_model_{family}.json").read_text())["rows"]
    luts = np.array([row["lut"] for row in rows])
    features = [lut_features(layer, source, folding) for _, layer, source, folding in cases()]
    names = sorted({name for row in features for name in row})
    matrix = np.array([[row.get(name, 0) for name in names] for row in features])
    solution, _ = nnls(matrix / luts[:, None], np.ones(len(luts)))
    print(f'    "{family}": {{')
    for name, value in zip(names, solution, strict=True):
        print(f'        "{name}": {value:.3g},')
    print("    },")
    error = matrix @ solution / luts - 1
    print(f"error: mean {np.abs(error).mean():.1%}, worst {error[np.abs(error).argmax()]:+.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=tuple(SYNTH), default="ecp5")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    if options.fit:
        fit(options.family)
        return
    rows = []
    for name, layer, source, folding in cases():
        predicted = layer_cost(layer, source, folding, options.family)
        engine = ConvEngine if isinstance(layer, Conv) else PoolEngine
        lut, bram = synthesize(engine(layer, source, folding), options.family)
        row = {
            "engine": name,
            "lut": lut,
            "lut_predicted": predicted.lut,
            "bram": bram,
            "bram_predicted": predicted.bram,
        }
        rows.append(row)
        error = predicted.lut / lut - 1
        print(
            f"{name:42} LUT {lut:6} predicted {predicted.lut:6} {error:+7.1%}  BRAM {bram:3} {predicted.bram:3}",
            flush=True,
        )
    errors = [row["lut_predicted"] / row["lut"] - 1 for row in rows]
    print(f"LUT error: mean {np.mean(np.abs(errors)):.1%}, worst {max(errors, key=abs):+.1%}")
    if options.write:
        RESULTS.mkdir(exist_ok=True)
        table = ["| engine | LUT | predicted | error | BRAM | predicted |", "|---|---|---|---|---|---|"]
        for row, error in zip(rows, errors, strict=True):
            cells = (
                row["engine"],
                row["lut"],
                row["lut_predicted"],
                f"{error:+.1%}",
                row["bram"],
                row["bram_predicted"],
            )
            table.append(f"| {' | '.join(map(str, cells))} |")
        version = tools.version("yosys")
        text = f"Made by `python benchmarks/cost_model.py --family {options.family} --write` with {version}.\n\n"
        (RESULTS / f"cost_model_{options.family}.md").write_text(text + "\n".join(table) + "\n")
        data = {"family": options.family, "yosys": version, "rows": rows}
        (RESULTS / f"cost_model_{options.family}.json").write_text(json.dumps(data, indent=2) + "\n")


if __name__ == "__main__":
    main()
