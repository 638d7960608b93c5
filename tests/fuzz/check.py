"""What must agree: the reference with its float twin, the hardware with the reference, a model with ONNX Runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import onnxruntime

from hwgen.errors import HwgenError
from hwgen.floatnet import FloatInput, Layout
from hwgen.graph import input_lanes
from hwgen.importers import load_model
from hwgen.lower import evaluate_tensors, lower
from hwgen.network import Network
from hwgen.plan.schedule import schedule
from hwgen.reference import dequantized, run
from hwgen.rtl.top import Core

from .models import build_model
from .play import play
from .recipe import Recipe, build, data, foldings

__all__ = ["Failure", "Refused", "check"]

TOLERANCE = 1e-4
"""Of the range of an output and of its magnitude: ONNX Runtime computes in single precision."""


class Different(AssertionError):
    """Two results that must be equal are not."""


class Refused(Exception):
    """hwgen says in a sentence that it does not support the model."""


@dataclass(frozen=True)
class Failure:
    """What went wrong with a recipe. ``kind`` stays the same while the recipe shrinks, ``text`` does not."""

    kind: str
    text: str


def check(recipe: Recipe) -> Failure | None:
    """What is wrong with the network, or the ONNX model, of ``recipe``; None when everything agrees.

    Raises :class:`Refused` for a model that hwgen does not support, and ``ValueError`` for a recipe of nothing.
    """
    stages: dict[str, Callable[[], None]]
    if "stalls" in recipe:
        network = build(recipe)
        stages = {"twin": lambda: twin(recipe, network), "rtl": lambda: rtl(recipe, network)}
    else:
        stages = {"model": lambda: onnx_runtime(recipe)}
    for stage, compare in stages.items():
        try:
            compare()
        except Refused:
            raise
        except Exception as error:  # whatever it is, it is a finding, to be shrunk and reported
            return Failure(f"{stage} {type(error).__name__}", f"{stage}: {type(error).__name__}: {error}")
    return None


def twin(recipe: Recipe, network: Network) -> None:
    """The float twin equals the reference on every layer."""
    x = data(recipe, network)
    expected, seen = run(network, x, every=True), dequantized(network, x, every=True)
    for name, values in expected.items():
        _same(name, seen[name], values)


def rtl(recipe: Recipe, network: Network) -> None:
    """The core equals the reference, under the recipe's stalls, on its foldings and with the FIFOs of the schedule."""
    chosen = foldings(recipe, network)
    lanes = input_lanes(network, [folding.simd for folding in chosen])
    period = max(
        *(folding.cycles(layer) for folding, layer in zip(chosen, network.layers, strict=True)),
        *(prod(tensor.shape) // width for tensor, width in zip(network.inputs, lanes, strict=True)),
        *(prod(network.tensor(name).shape) for name in network.outputs),
    )
    core = Core(network, chosen, schedule(network, chosen, period).depths)
    x = data(recipe, network)
    expected = run(network, x)
    frames = x if isinstance(x, dict) else {network.input.name: x}
    outputs = expected if isinstance(expected, dict) else {network.outputs[0]: expected}
    seen = play(core, frames, **recipe["stalls"], patience=1000 + 4 * period)
    for name, values in outputs.items():
        _same(name, seen[name].reshape(values.shape), values)


def _same(name: str, seen: np.ndarray, expected: np.ndarray) -> None:
    wrong = np.argwhere(seen != expected)
    if len(wrong):
        at = tuple(int(index) for index in wrong[0])
        where = "frame {}, row {}, column {}, channel {}".format(*at)
        raise Different(
            f"{name} differs at {len(wrong)} of {expected.size} values, "
            f"first at {where}: {seen[at]} instead of {expected[at]}"
        )


def onnx_runtime(recipe: Recipe) -> None:
    """The float network of an ONNX model computes what ONNX Runtime does."""
    model = build_model(recipe)
    data = model.proto(recipe["outputs"]).SerializeToString()
    rng = np.random.default_rng([recipe["seed"], 0])
    frames = {
        name: rng.uniform(-2, 2, (recipe["frames"], *model.shapes[name][1:])).astype(np.float32)
        for name in model.inputs
    }
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    # Without its own rewriting of the graph: an independent measure should compute what is written.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    runs = [
        session.run(recipe["outputs"], {name: values[index : index + 1] for name, values in frames.items()})
        for index in range(recipe["frames"])
    ]
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.onnx")
            path.write_bytes(data)
            network = lower(load_model(path))
    except HwgenError as error:
        raise Refused(str(error)) from error
    raw = {
        source.name: _channel_last(source, frames[name])
        for source, name in zip(network.inputs, model.inputs, strict=True)
    }
    seen = evaluate_tensors(network, raw, network.outputs)
    for index, (name, tensor) in enumerate(zip(recipe["outputs"], network.outputs, strict=True)):
        expected = np.concatenate([outputs[index] for outputs in runs])
        actual = _like(seen[tensor], expected)
        worst = float(np.abs(actual - expected).max())
        allowed = TOLERANCE * max(float(np.ptp(expected)), float(np.abs(expected).max()), 1e-6)
        if not worst <= allowed:
            raise Different(f"{name} is off by {worst:.3g}, more than {allowed:.3g}")


def _like(seen: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """A channel-last result in the model's layout.

    A result may have another shape than the model's map as long as its values lie in the same order, channels last:
    then a layer that would move them is left away.
    """
    if expected.ndim != 4:
        return seen.transpose(0, 3, 1, 2).reshape(expected.shape)
    count, channels, height, width = expected.shape
    return seen.reshape(count, height, width, channels).transpose(0, 3, 1, 2)


def _channel_last(source: FloatInput, x: np.ndarray) -> np.ndarray:
    height, width, channels = source.shape
    if source.layout is Layout.CHANNEL_LAST:
        return x.reshape(len(x), height, width, channels)
    return x.reshape(len(x), channels, height, width).transpose(0, 2, 3, 1)
