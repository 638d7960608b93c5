"""Two MNIST networks that others trained, all the way to simulated Verilog: every word, the rate, the accuracy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwgen import api, store
from hwgen.data import inputs_of, load_data
from hwgen.reference import dequantized, quantize_input, run

pytestmark = pytest.mark.slow

NETWORKS: dict[str, tuple[dict[str, float], float | None]] = {
    # normalization, frames/s to plan for (None: as fast as fits)
    "mnist8_cntk": ({}, None),
    "burn_mnist": ({"scale": 1 / 255, "mean": 0.1307, "std": 0.3081}, 8000),
}
CALIBRATION = 1000
FRAMES = 100


@dataclass(frozen=True)
class Case:
    model: Path
    normalization: dict[str, float]
    target_fps: float | None
    calibration: Path
    test: Path
    """The whole test set, with labels."""


@pytest.fixture(scope="module", params=NETWORKS)
def case(request, real_data, mnist, tmp_path_factory) -> Case:
    folder = tmp_path_factory.mktemp(request.param)
    images, labels = mnist
    np.savez(folder / "calibration.npz", x=images[:CALIBRATION])
    np.savez(folder / "test.npz", x=images, y=labels)
    model = real_data / "mnist" / f"{request.param}.onnx"
    return Case(model, *NETWORKS[request.param], folder / "calibration.npz", folder / "test.npz")


def quantized(case: Case, folder: Path, code: str) -> Path:
    network = folder / f"{code}.npz"
    api.quantize(case.model, case.calibration, network, code=code, **case.normalization)
    return network


def slowest_convolution(plan: dict[str, Any]) -> dict[str, Any]:
    return max((layer for layer in plan["layers"] if layer["kind"] == "conv"), key=lambda layer: layer["cycles"])


@pytest.mark.cosim
def test_core_equals_the_reference_and_keeps_its_array_busy(case, tmp_path):
    """100 frames under random stalls; unstalled, the slowest convolution multiplies in at least 90 % of the cycles."""
    network = quantized(case, tmp_path, "e2m1")
    core = tmp_path / "core"
    plan = api.generate(network, core, board="ulx3s-85f", target_fps=case.target_fps)["plan"]
    simulated = api.simulate(core, case.test, frames=FRAMES, stalls=1)
    assert (simulated["frames"], simulated["mismatches"], simulated["first_difference"]) == (FRAMES, 0, None)
    bottleneck = slowest_convolution(plan)
    busy = bottleneck["macs"] / (bottleneck["pe"] * bottleneck["simd"]) / simulated["cycles_per_frame"]
    assert 0.9 <= busy <= 1


@pytest.mark.parametrize(("code", "points"), [("e2m1", 0.3), ("pot4", 0.5)])
def test_accuracy_on_the_whole_test_set(case, tmp_path, code, points):
    """Close to the float network's; and the float twin chooses the same class for each of the 10,000 images."""
    path = quantized(case, tmp_path, code)
    judged = api.evaluate(path, case.test)
    assert judged["samples"] == 10_000
    assert judged["float_accuracy"] > 0.985
    assert judged["accuracy"] >= judged["float_accuracy"] - points / 100
    network = store.load(path)
    inputs = inputs_of(network)
    x = quantize_input(network, load_data(case.test, inputs).channel_last(inputs))
    classes = run(network, x).reshape(len(x), -1).argmax(axis=1)
    assert np.array_equal(dequantized(network, x).reshape(len(x), -1).argmax(axis=1), classes)
