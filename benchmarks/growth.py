"""How time and memory of quantize and generate grow with the depth of a network and with the weights of its layers.

    python benchmarks/growth.py [--write]

Chains of 10, 20 and 40 convolutions of one shape, then 10 convolutions with 4 and 16 times the weights, each in a
process of its own. Seconds are true of one machine only; ratios to the smallest case are what ``--write`` leaves in
``benchmarks/results/growth.{json,md}``, beside the peak memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

RESULTS = Path(__file__).parent / "results"
SIZE = 16
CASES = {"layers": [(10, 16), (20, 16), (40, 16)], "weights": [(10, 16), (10, 32), (10, 64)]}
"""(layers, channels); channels are such that the second series has 1, 4 and 16 times the weights of the first case."""


def chain(layers: int, channels: int) -> bytes:
    """``layers`` 3x3 convolutions with Relu on a map of SIZE x SIZE, ``channels`` in and out."""
    rng = np.random.default_rng(0)
    nodes, weights = [], []
    for index in range(layers):
        values = rng.normal(0, (2 / (9 * channels)) ** 0.5, (channels, channels, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"w{index}"))
        nodes.append(helper.make_node("Conv", [f"x{index}", f"w{index}"], [f"c{index}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{index}"], [f"x{index + 1}"]))
    shape = (1, channels, SIZE, SIZE)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x0", f"x{layers}")]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


def once(layers: int, channels: int) -> dict[str, Any]:
    """One case, in this process: seconds of each step and the peak memory of all."""
    import resource

    from hwgen import api

    with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
        work = Path(folder)
        (work / "chain.onnx").write_bytes(chain(layers, channels))
        pixels = np.random.default_rng(1).integers(0, 256, (16, channels, SIZE, SIZE), np.uint8)
        np.savez(work / "calib.npz", x=pixels)
        seconds = {}
        for name, step in (
            ("quantize", lambda: api.quantize(work / "chain.onnx", work / "calib.npz", work / "network.npz")),
            # The smallest plan, so that the cases differ in nothing but their size.
            ("generate", lambda: api.generate(work / "network.npz", work / "core", board="ulx3s-85f", target_fps=10)),
        ):
            started = time.perf_counter()
            step()
            seconds[name] = time.perf_counter() - started
        peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        size = (work / "core" / "core.v").stat().st_size
    return {
        "layers": layers,
        "weights": layers * channels * channels * 9,
        "seconds": seconds,
        "peak_mib": peak // 1024,
        "verilog_kib": size // 1024,
    }


def measured(layers: int, channels: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--case", str(layers), str(channels)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--case", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(once(*options.case)))
        return
    rows, lines = [], []
    for series, cases in CASES.items():
        first = None
        for case in cases:
            row = measured(*case)
            first = first or row
            ratios = {step: row["seconds"][step] / first["seconds"][step] for step in row["seconds"]}
            print(series, row, flush=True)
            kept = {key: value for key, value in row.items() if key != "seconds"}
            rows.append({"series": series, **kept, "time_ratio": {step: round(r, 2) for step, r in ratios.items()}})
            lines.append(
                f"| {row['layers']} | {row['weights']:,} | {ratios['quantize']:.1f} | {ratios['generate']:.1f} "
                f"| {row['peak_mib']} | {row['verilog_kib']} |"
            )
    head = (
        "Made by `python benchmarks/growth.py --write`; chains of 3x3 convolutions, times as ratios to the first row "
        "of each series.\n\n"
        "| layers | weights | quantize | generate | peak MiB | Verilog KiB |\n|---|---|---|---|---|---|"
    )
    table = "\n".join((head, *lines))
    print(table)
    if options.write:
        (RESULTS / "growth.json").write_text(json.dumps(rows, indent=2) + "\n")
        (RESULTS / "growth.md").write_text(table + "\n")


if __name__ == "__main__":
    main()
