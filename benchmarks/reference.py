"""How fast is the integer reference: frames per second on real networks, beside ONNX Runtime in floating point.

    python -m benchmarks.reference [--only NETWORK ...] [--frames 1000] [--runs 7] [--write]

Both may use every core that this process may run on, and they take turns within a run, so that other load on the
machine hits both; figures are medians over the runs. Rates are true of one machine only, the ratio less so. ``--write``
leaves both in ``benchmarks/results/`` as ``reference.json`` and ``.md``. Needs the folder of shared data, see
``benchmarks/README.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import numpy_helper

from benchmarks.accuracy import DATA, NETWORKS, RESULTS, channel_last
from hwgen import quantize as quantizer
from hwgen.floatnet import Normalization
from hwgen.importers import load_model
from hwgen.lower import lower
from hwgen.reference import quantize_input, run

BATCH = 100
"""Frames per call of ONNX Runtime: where it is fastest on these networks, give or take the noise."""


def free_batch(file: Path) -> bytes:
    """The model with a batch of any size: in the input, and where a Reshape has a batch of one written into it."""
    model = onnx.load(file)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for value in (*model.graph.input, *model.graph.output):
        if value.name not in weights:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    for node in model.graph.node:
        if node.op_type == "Reshape" and node.input[0] not in weights:
            sizes = numpy_helper.to_array(weights[node.input[1]]).copy()
            sizes[0] = 0  # as the input's
            weights[node.input[1]].CopyFrom(numpy_helper.from_array(sizes, node.input[1]))
    del model.graph.value_info[:]
    return model.SerializeToString()


def session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # messages about unused weights mean nothing here
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(name: str, frames: int, runs: int, threads: int) -> dict[str, Any]:
    """Median rates of one network over ``runs`` runs, and the medians of the ratios within a run."""
    model = NETWORKS[name]
    samples = model.samples(DATA)
    values = {key: value if isinstance(value, tuple) else (float(value),) for key, value in model.normalization.items()}
    float_network = lower(load_model(DATA / model.file), Normalization(**values))
    calibration = channel_last(float_network, np.asarray(samples.calibration))[:100]
    network = quantizer.quantize(float_network, calibration, method="plain")
    images = np.asarray(samples.test)[:frames]
    integers = quantize_input(network, channel_last(float_network, images))
    scale, mean, std = (
        np.asarray(values.get(key, default), np.float32).reshape(
            -1, *[1] * (images.ndim - 2) if images.ndim > 2 else ()
        )
        for key, default in (("scale", (1.0,)), ("mean", (0.0,)), ("std", (1.0,)))
    )
    floats: npt.NDArray[np.float32] = ((images * scale - mean) / std).astype(np.float32)
    float_model = session(free_batch(DATA / model.file), threads)
    source = float_model.get_inputs()[0].name
    rank = len(float_model.get_inputs()[0].shape)
    floats = floats.reshape(
        len(floats), *floats.shape[1:] if floats.ndim == rank else float_model.get_inputs()[0].shape[1:]
    )

    def in_batches() -> None:
        for start in range(0, len(images), BATCH):
            float_model.run(None, {source: floats[start : start + BATCH]})

    times = []
    for number in range(runs + 1):
        pair = seconds(lambda: run(network, integers)), seconds(in_batches)
        if number:  # the first one only warms the caches
            times.append(pair)
    return {
        "network": name,
        "frames": len(images),
        "macs": network.macs,
        "frames_per_second": round(len(images) / median(own for own, _ in times)),
        "onnxruntime_frames_per_second": round(len(images) / median(other for _, other in times)),
        "ratio": round(median(other / own for own, other in times), 4),
    }


def table(data: dict[str, Any]) -> str:
    """The result in Markdown."""
    lines = [
        f"Made by `python -m benchmarks.reference --write` on {data['cores']} cores: at most {data['frames']} frames, "
        f"{data['runs']} runs, medians; NumPy {data['numpy']}, ONNX Runtime {data['onnxruntime']} in floating point, "
        f"{data['batch']} frames per call.",
        "",
        "| network | MACs per frame | reference, frames/s | ONNX Runtime, frames/s | ratio |",
        "|---|---|---|---|---|",
    ]
    for row in data["rows"]:
        rates = f"{row['frames_per_second']:,} | {row['onnxruntime_frames_per_second']:,}"
        lines.append(f"| {row['network']} | {row['macs']:,} | {rates} | {row['ratio']:.3f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=tuple(NETWORKS))
    parser.add_argument("--frames", type=int, default=1000, help="how many frames a run takes at most")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="leave the table in benchmarks/results")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    data = {
        "cores": cores,
        "frames": options.frames,
        "runs": options.runs,
        "batch": BATCH,
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
        "rows": [measure(name, options.frames, options.runs, cores) for name in options.only or NETWORKS],
    }
    print(table(data))
    if options.write:
        (RESULTS / "reference.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
        (RESULTS / "reference.md").write_text(table(data), encoding="utf-8")


if __name__ == "__main__":
    main()
