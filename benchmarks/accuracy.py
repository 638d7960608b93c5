"""What quantization costs in accuracy: network x code x method, and the goals beside it.

    python -m benchmarks.accuracy [--only NETWORK ...] [--parts goals,methods,mixed] [--write]

Run from the root of the repository; needs the folder of shared data (``HWGEN_DATA``, else ``../shared/data``).
Calibrates without labels on at most 1,000 samples that are not among those that judge. Every case is a process of its
own, so that its peak memory is its own too. ``--write`` merges what was measured into
``benchmarks/results/accuracy.json`` and makes ``accuracy.md`` of all of it. The three parts, about 40 minutes together:

* goals: all networks, E2M1, PoT4 and PoT3, the default method beside plain rounding and single methods;
* methods: every method of the catalogue, on two of the classifiers, with E2M1 and PoT3;
* mixed: codes per layer under a budget, activations of fewer bits.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwgen import quantize as quantizer
from hwgen.floatnet import FloatNetwork, Normalization
from hwgen.importers import load_model
from hwgen.lower import evaluate, lower
from hwgen.network import Conv
from hwgen.quantize.methods import METHODS
from hwgen.reference import quantize_input, run
from tests.real_models import DIGITS, MODELS, Samples

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("HWGEN_DATA") or Path(__file__).parents[2] / "shared" / "data")
NETWORKS = {**MODELS, **DIGITS}
MAX_CALIBRATION = 1000
CODES = ("e2m1", "pot4", "pot3")

GOALS = {
    "resnet8": (1.0, 2.0, 3.0),
    "resnet20": (0.3, 0.5, 0.5),
    "kws": (1.0, 2.5, 4.0),
    "mnist8": (0.1, 0.2, 0.3),
    "burn_mnist": (0.1, 0.2, 0.3),
}
"""Points that accuracy may lose, by code."""

SQNR_GOALS = {"vww": (23.0, 19.0, 17.0), "ad01": (23.0, 19.0, 17.0)}
"""For networks without labels here: dB of the output, by code. That is a little below what the worst of the classifiers
has that meet their goals (resnet20: 23.4, 19.7 and 17.6 dB), so that a classifier with this noise would meet them."""

PARTS = ("goals", "methods", "mixed")
TIMED = "resnet20"
COMMON = ("plain", "gpfq", "feedback", "auto")
LEFT_OUT = {"factorise"}
"""Rewrites only where four small layers come within 10 % of one, which is nowhere in these networks."""


@dataclass(frozen=True)
class Case:
    """One row of the results. extra: further arguments of ``quantize``, as JSON can hold them."""

    network: str
    code: str
    method: str
    extra: tuple[tuple[str, Any], ...] = ()

    @property
    def key(self) -> str:
        more = "".join(f" {name}={value}" for name, value in self.extra)
        return f"{self.network} {self.code} {self.method}{more}"


def cases(parts: list[str]) -> list[Case]:
    found: list[Case] = []
    if "goals" in parts:
        found += [Case(network, code, method) for network in NETWORKS for code in CODES for method in COMMON]
    if "methods" in parts:
        names = [name for name in METHODS if name not in COMMON and name not in LEFT_OUT]
        rewrites = {"equalise", "split"}
        texts = [f"{name}+auto" if name in rewrites else name for name in names] + ["mmse:budget=4.5"]
        found += [
            Case(network, code, text) for network in ("resnet8", "kws") for code in ("e2m1", "pot3") for text in texts
        ]
    if "mixed" in parts:
        for network in ("resnet8", "kws", "resnet20"):
            found += [Case(network, "e2m1", "auto", (("act_bits", bits),)) for bits in (4, 6)]
            found += [Case(network, "e2m1", "auto", (("mean_act_bits", bits),)) for bits in (5.0, 6.0)]
            found += [Case(network, "e2m1", "auto", (("mean_bits", bits),)) for bits in (3.25, 3.5, 4.0, 4.5)]
    return found


def channel_last(network: FloatNetwork, x: np.ndarray) -> np.ndarray:
    shape = network.input.shape
    if x.ndim == 4 and x.shape[1:] != shape:
        x = x.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(x.reshape(len(x), *shape))


def measured(case: Case) -> dict[str, Any]:
    """Quantize and judge. Runs in a process of its own."""
    model = NETWORKS[case.network]
    values = {k: v if isinstance(v, tuple) else (float(v),) for k, v in model.normalization.items()}
    network = lower(load_model(DATA / model.file), Normalization(**values))
    samples: Samples = model.samples(DATA)
    calibration = channel_last(network, np.asarray(samples.calibration))[:MAX_CALIBRATION]
    x = channel_last(network, np.asarray(samples.test))
    options: dict[str, Any] = dict(case.extra)
    if (bits := options.pop("mean_bits", None)) is not None:
        weights = sum(layer.weight.size for layer in network.layers if hasattr(layer, "weight"))
        options["codes"] = quantizer.CodeBudget(("pot3", "e2m1", "e2m2"), bits * weights / 8192)
    started = time.monotonic()
    quantized = quantizer.quantize(network, calibration, code=case.code, method=case.method, **options)
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    expected = evaluate(network, x.astype(np.float32)).reshape(len(x), -1)
    integers = run(quantized, quantize_input(quantized, x)).reshape(len(x), -1)
    noise = expected - quantized.output.scale * integers
    convs = [layer for layer in quantized.layers if isinstance(layer, Conv)]
    stored = sum(conv.codes.size * conv.codebook.bits for conv in convs)
    row: dict[str, Any] = {
        "network": case.network,
        "code": case.code,
        "method": case.method,
        **dict(case.extra),
        "calibration_samples": len(calibration),
        "test_samples": len(x),
        "output_sqnr_db": round(10 * float(np.log10(np.vdot(expected, expected) / np.vdot(noise, noise))), 2),
        "bits_per_weight": round(stored / sum(conv.codes.size for conv in convs), 3),
        "seconds": round(seconds, 1),
        "peak_mib": round(peak),
    }
    if samples.labels is not None:
        right = [float((logits.argmax(axis=1) == samples.labels).mean()) for logits in (expected, integers)]
        row |= {"float_accuracy": right[0], "accuracy": right[1], "points": round(100 * (right[1] - right[0]), 2)}
        row["same_class"] = float((expected.argmax(axis=1) == integers.argmax(axis=1)).mean())
    return row


def goal_of(row: dict[str, Any]) -> tuple[str, bool] | None:
    """The goal of a row in words, and whether it is met; None where it has none."""
    if row["method"] != "auto" or set(row) & {"mean_bits", "mean_act_bits"} or row["code"] not in CODES:
        return None
    place = CODES.index(row["code"])
    if "act_bits" in row:
        fits = (row["network"], row["code"], row["act_bits"]) == ("resnet20", "e2m1", 4)
        return (">= -3.0", row["points"] >= -3.0) if fits else None
    if row["network"] in GOALS:
        limit = GOALS[row["network"]][place]
        return f">= -{limit}", row["points"] >= -limit
    limit = SQNR_GOALS[row["network"]][place]
    return f">= {limit} dB", row["output_sqnr_db"] >= limit


def table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| network | code | method | bits/weight | float | quantized | points | goal | same class | output SQNR |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        goal = goal_of(row)
        extra = [f"{name} {row[name]:g}" for name in ("mean_bits", "act_bits", "mean_act_bits") if name in row]
        cells = [
            row["network"],
            "pot3, e2m1, e2m2" if "mean_bits" in row else row["code"],
            ", ".join([row["method"], *extra]),
            f"{row['bits_per_weight']:.2f}",
        ]
        if "points" in row:
            cells += [f"{100 * row[name]:.2f} %" for name in ("float_accuracy", "accuracy")]
            cells += [f"{row['points']:+.2f}"]
        else:
            cells += ["-"] * 3
        cells += ["" if goal is None else goal[0] + (" met" if goal[1] else " **missed**")]
        cells += [f"{100 * row['same_class']:.1f} %" if "points" in row else "-", f"{row['output_sqnr_db']:.1f} dB"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def markdown(rows: dict[str, dict[str, Any]]) -> str:
    """The page of all rows, in the order of the parts."""
    lines = [
        "# Accuracy after quantization",
        "",
        "`python -m benchmarks.accuracy --write` makes this page. Eight-bit activations where nothing else is said.",
        "The images of resnet8 and resnet20 are JPEG copies of CIFAR-10 test images, which cost about ten points: take",
        "the differences, not the accuracies. A difference of 0.5 points is within the noise of 5,000 images. Of MNIST",
        "there are test images only: 1,000 of them calibrate, without labels, and the 9,000 others judge.",
    ]
    timed = [row for row in rows.values() if "seconds" in row and row["method"] == "auto"]
    if timed:
        lines += [
            "",
            f"Calibrating and quantizing resnet20 on {timed[0]['calibration_samples']} images took at most "
            f"{max(row['seconds'] for row in timed):.0f} s on two cores (goal: 60 s), with a peak of "
            f"{max(row['peak_mib'] for row in timed)} MiB (goal: 2,048).",
        ]
    for part, title in (("goals", "Goals"), ("methods", "Every method"), ("mixed", "Mixed precision")):
        found = [rows[case.key] for case in cases([part]) if case.key in rows]
        if found:
            lines += ["", f"## {title}", "", *table(found)]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(NETWORKS), help="these networks alone")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--methods", help="these methods alone, separated by spaces")
    parser.add_argument("--write", action="store_true", help="keep the results")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}, not {', '.join(sorted(unknown))}")
    file = RESULTS / "accuracy.json"
    rows: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}
    wanted = [case for case in cases(parts) if case.network in (arguments.only or NETWORKS)]
    if arguments.methods:
        wanted = [case for case in wanted if case.method in arguments.methods.split()]
    context = multiprocessing.get_context("spawn")
    for case in dict.fromkeys(wanted):
        with context.Pool(1) as pool:
            row = pool.apply(measured, (case,))
        shown = [f"{name} {row[name]}" for name in ("points", "output_sqnr_db", "seconds", "peak_mib") if name in row]
        print(case.key, *shown, sep="  ", flush=True)
        if case.network != TIMED:  # seconds are true of one machine; they are kept where there is a goal for them
            row = {name: value for name, value in row.items() if name not in ("seconds", "peak_mib")}
        rows[case.key] = row
        if arguments.write:
            file.write_text(json.dumps(rows, indent=1) + "\n")
            (RESULTS / "accuracy.md").write_text(markdown(rows))


if __name__ == "__main__":
    main()
