"""How fast is the integer reference: images per second on MNIST networks, beside ONNX Runtime in floating point.

    python benchmarks/reference.py [--images 2000] [--runs 7] [--write]

Both may use every core that this process may run on, and they take turns within a run, so that other load on the
machine hits both; figures are medians over the runs. Rates are true of one machine only, the ratio less so. ``--write``
leaves both in ``benchmarks/results/`` as ``reference.json`` and ``.md``. Needs the folder of shared data, see
``benchmarks/README.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from mnist import DATA, NETWORKS, RESULTS, idx
from onnx import numpy_helper

from hwgen import api, store
from hwgen.reference import quantize_input, run

BATCH = 100
"""Images per call of ONNX Runtime: where it is fastest on these networks, give or take the noise."""


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


def measure(name: str, images: npt.NDArray[np.uint8], runs: int, threads: int) -> dict[str, Any]:
    """Median rates of one network over ``runs`` runs, and the medians of the ratios within a run."""
    normalization = NETWORKS[name]["normalization"]
    with tempfile.TemporaryDirectory(prefix="hwgen-") as scratch:
        file = Path(scratch) / "network.npz"
        np.savez(Path(scratch) / "calib.npz", x=images[:200])
        api.quantize(DATA / f"{name}.onnx", Path(scratch) / "calib.npz", file, **normalization)
        network = store.load(file)
    integers = quantize_input(network, images.transpose(0, 2, 3, 1))
    scale, mean, std = (normalization.get(key, default) for key, default in (("scale", 1), ("mean", 0), ("std", 1)))
    floats = ((images * scale - mean) / std).astype(np.float32)
    float_model = session(free_batch(DATA / f"{name}.onnx"), threads)
    source = float_model.get_inputs()[0].name

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
        "macs": network.macs,
        "images_per_second": round(len(images) / median(own for own, _ in times)),
        "onnxruntime_images_per_second": round(len(images) / median(other for _, other in times)),
        "ratio": round(median(other / own for own, other in times), 4),
    }


def table(data: dict[str, Any]) -> str:
    """The result in Markdown."""
    lines = [
        f"Made by `python benchmarks/reference.py --write` on {data['cores']} cores: {data['images']} images, "
        f"{data['runs']} runs, medians; NumPy {data['numpy']}, ONNX Runtime {data['onnxruntime']} in floating point, "
        f"{data['batch']} images per call.",
        "",
        "| network | MACs per image | reference, images/s | ONNX Runtime, images/s | ratio |",
        "|---|---|---|---|---|",
    ]
    for row in data["rows"]:
        rates = f"{row['images_per_second']:,} | {row['onnxruntime_images_per_second']:,}"
        lines.append(f"| {row['network']} | {row['macs']:,} | {rates} | {row['ratio']:.3f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000, help="how many images a run takes")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="leave the table in benchmarks/results")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    images = idx("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)[: options.images]
    data = {
        "cores": cores,
        "images": len(images),
        "runs": options.runs,
        "batch": BATCH,
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
        "rows": [measure(name, images, options.runs, cores) for name in NETWORKS],
    }
    print(table(data))
    if options.write:
        (RESULTS / "reference.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
        (RESULTS / "reference.md").write_text(table(data), encoding="utf-8")


if __name__ == "__main__":
    main()
