"""Two MNIST networks that others trained, all the way: accuracy by code, simulation with stalls, routed figures.

    python benchmarks/mnist.py [--only mnist8_cntk|burn_mnist] [--no-synth] [--frames 100] [--work DIR]

Needs the folder of shared data (``HWGEN_DATA``, else ``../shared/data`` beside the repository) and minutes: nextpnr
takes most of them. Calibrates on the first 1,000 test images (images only, no labels) and judges on all 10,000. Writes
``benchmarks/results/mnist_NETWORK.json`` and the table ``benchmarks/results/mnist.md``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import tempfile
import time
from math import prod
from pathlib import Path

import numpy as np

from hwgen import api, store, tools
from hwgen.data import inputs_of, load_data
from hwgen.reference import dequantized, quantize_input, run

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("HWGEN_DATA") or Path(__file__).parents[2] / "shared" / "data") / "mnist"
CODES = ("e2m1", "pot4", "pot3", "apot4", "int4", "ternary")
BOARD = "ulx3s-85f"
NETWORKS = {
    "mnist8_cntk": {"normalization": {}, "target_fps": None},
    "burn_mnist": {"normalization": {"scale": 1 / 255, "mean": 0.1307, "std": 0.3081}, "target_fps": 8000},
}


def idx(name: str, header: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress((DATA / name).read_bytes()), np.uint8, offset=header)


def accuracy(model: Path, work: Path, options: dict) -> list[dict]:
    """Float and quantized accuracy for every code; for the first code also reference == float twin in every argmax."""
    rows = []
    for code in CODES:
        file = work / f"{code}.npz"
        api.quantize(model, work / "calib.npz", file, code=code, **options["normalization"])
        judged = api.evaluate(file, work / "test.npz")
        network = store.load(file)
        x = quantize_input(network, load_data(work / "test.npz", inputs := inputs_of(network)).channel_last(inputs))
        started = time.monotonic()
        integers = run(network, x).reshape(len(x), -1)
        rate = len(x) / (time.monotonic() - started)
        twin = dequantized(network, x).reshape(len(x), -1)
        row = {
            "code": code,
            "float_accuracy": judged["float_accuracy"],
            "accuracy": judged["accuracy"],
            "points_below_float": 100 * (judged["float_accuracy"] - judged["accuracy"]),
            "argmax_differences_to_float_twin": int((twin.argmax(1) != integers.argmax(1)).sum()),
            "reference_images_per_second": round(rate),
        }
        rows.append(row)
        print(row, flush=True)
    return rows


def hardware(work: Path, options: dict, frames: int, synthesize: bool) -> dict:
    """Generate for the board, simulate with stalls, place and route."""
    folder = work / "core"
    generated = api.generate(work / "e2m1.npz", folder, board=BOARD, target_fps=options["target_fps"])
    simulated = api.simulate(folder, work / "test.npz", frames=frames, stalls=1)
    bottleneck = max(generated["plan"]["layers"], key=lambda layer: layer["cycles"])
    ideal = bottleneck["macs"] / (bottleneck["pe"] * bottleneck["simd"] * prod(bottleneck["unroll"]))
    result = {
        "plan": generated["plan"],
        "simulate": simulated,
        "utilisation_of_bottleneck": ideal / simulated["cycles_per_frame"],
    }
    print({"simulate": simulated, "utilisation": result["utilisation_of_bottleneck"]}, flush=True)
    if synthesize:
        result["synth"] = api.synth(folder, progress=lambda line: print(f"  {line}", flush=True))
    return result


def without_paths(value):
    """Drop what is true of one machine only: paths, times and rates."""
    local = {"folder", "bitstream", "commands", "seconds", "tool_seconds", "log", "reference_images_per_second"}
    if isinstance(value, dict):
        return {key: without_paths(item) for key, item in value.items() if key not in local}
    return [without_paths(item) for item in value] if isinstance(value, list) else value


def table() -> str:
    """The Markdown table of every result on disk."""
    lines = ["Made by `python benchmarks/mnist.py`; MNIST, 10,000 test images, 8-bit activations.", ""]
    lines += ["| network | code | float | quantized | difference (points) | argmax differs from float twin |"]
    lines += ["|---|---|---|---|---|---|"]
    cores = ["", "| network | board | frames with stalls | differences | cycles/frame | PE utilisation, bottleneck |"]
    cores[-1] += " LUT | FF | BRAM | DSP | Fmax MHz | inf/s | GOP/s/kLUT |"
    cores += ["|---|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for file in sorted(RESULTS.glob("mnist_*.json")):
        data = json.loads(file.read_text())
        for row in data["accuracy"]:
            shown = f"{row['float_accuracy']:.2%} | {row['accuracy']:.2%} | {-row['points_below_float']:+.2f}"
            twin = row["argmax_differences_to_float_twin"]
            lines.append(f"| {data['network']} | {row['code']} | {shown} | {twin} |")
        core = data["hardware"]
        simulated, routed = core["simulate"], core.get("synth", {})
        cells = [data["network"], BOARD, simulated["frames"], simulated["mismatches"], simulated["cycles_per_frame"]]
        cells += [
            f"{core['utilisation_of_bottleneck']:.1%}",
            *(routed.get(k, "-") for k in ("lut", "ff", "bram", "dsp")),
        ]
        rates = ("fmax_mhz", "inferences_per_second", "gops_per_klut")
        cells += [f"{routed[key]:.2f}" if key in routed else "-" for key in rates]
        cores.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines + cores) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=tuple(NETWORKS))
    parser.add_argument("--no-synth", action="store_true")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--work", type=Path, help="keep the generated files in this folder")
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    x = idx("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    y = idx("t10k-labels-idx1-ubyte.gz", 8)
    for name in (options.only,) if options.only else NETWORKS:
        with tempfile.TemporaryDirectory(prefix="hwgen-") as scratch:
            work = (options.work or Path(scratch)) / name
            work.mkdir(parents=True, exist_ok=True)
            np.savez(work / "test.npz", x=x, y=y)
            np.savez(work / "calib.npz", x=x[:1000])
            rows = accuracy(DATA / f"{name}.onnx", work, NETWORKS[name])
            core = hardware(work, NETWORKS[name], options.frames, not options.no_synth)
        versions = {tool: tools.version(tool) for tool in ("yosys", "nextpnr-ecp5", "verilator")}
        result = {"network": name, "versions": versions, "accuracy": rows, "hardware": core}
        (RESULTS / f"mnist_{name}.json").write_text(json.dumps(without_paths(result), indent=2) + "\n")
        (RESULTS / "mnist.md").write_text(table())
    print(table())


if __name__ == "__main__":
    main()
