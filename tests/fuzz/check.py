"""What must agree: the reference with its float twin, the hardware with the reference, a model with ONNX Runtime."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from hwgen.errors import HwgenError
from hwgen.floatnet import FloatInput, Layout
from hwgen.importers import load_model
from hwgen.lower import evaluate_tensors, lower
from hwgen.network import Network
from hwgen.plan.schedule import cycles_per_frame, schedule
from hwgen.reference import dequantized, run
from hwgen.rtl.top import Core

from ..rtl.play import check_frames
from .models import build_model
from .recipe import RATE_FRAMES, Recipe, build, data, foldings

__all__ = ["Failure", "Refused", "check"]

SECONDS = 60
"""A comparison takes about one."""

LEAST_PERIOD = 16
"""Frames that follow each other faster are held up by their error flags on the way from the inputs to the outputs."""

TEXT = 400
"""Characters of a message that are shown."""

TOLERANCE = 1e-4
"""Of the range of an output and of its magnitude: ONNX Runtime computes in single precision."""


class Different(AssertionError):
    """Two results that must be equal are not."""


class Slow(AssertionError):
    """A core that makes the right frames, but not as often as its schedule says."""


class Refused(Exception):
    """hwgen says in a sentence that it does not support the model."""


@dataclass(frozen=True)
class Failure:
    """What went wrong with a recipe. ``kind`` stays the same while the recipe shrinks, ``text`` does not."""

    kind: str
    text: str


def check(recipe: Recipe) -> Failure | None:
    """What is wrong with the network, or the ONNX model, of ``recipe``; None when everything agrees.

    What takes more than :data:`SECONDS` is a failure too. To be called from the main thread. Raises :class:`Refused`
    for a model that hwgen does not support, and ``ValueError`` for a recipe of nothing.
    """
    stages: dict[str, Callable[[], None]]
    if "stalls" in recipe:
        network = build(recipe)
        stages = {"twin": lambda: twin(recipe, network), "rtl": lambda: rtl(recipe, network)}
    else:
        stages = {"model": lambda: onnx_runtime(recipe)}
    for stage, compare in stages.items():
        try:
            with _limited():
                compare()
        except Refused:
            raise
        except Exception as error:  # whatever it is, it is a finding, to be shrunk and reported
            kind, text = f"{stage} {type(error).__name__}", " ".join(str(error).split())
            return Failure(kind, f"{kind}: {text[:TEXT]}")
    return None


@contextmanager
def _limited() -> Iterator[None]:
    """``TimeoutError`` after :data:`SECONDS`."""

    def stop(number, frame):
        raise TimeoutError(f"no result after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def twin(recipe: Recipe, network: Network) -> None:
    """The float twin equals the reference on every layer."""
    x = data(recipe, network)
    expected, seen = run(network, x, every=True), dequantized(network, x, every=True)
    for name, values in expected.items():
        np.testing.assert_array_equal(seen[name], values, name)


def rtl(recipe: Recipe, network: Network) -> None:
    """The core equals the reference, under the recipe's stalls, on its foldings and with the FIFOs of the schedule."""
    chosen = foldings(recipe, network)
    period = cycles_per_frame(network, chosen)
    core = Core(network, chosen, schedule(network, chosen, period).depths)
    x = data(recipe, network)
    frames = x if isinstance(x, dict) else {network.input.name: x}
    played = check_frames(network, core, frames, **recipe["stalls"], limit=1000 + 4 * period)
    if recipe["frames"] >= RATE_FRAMES and not recipe["stalls"]["stall_in"] and not recipe["stalls"]["stall_out"]:
        for port in core.outputs:
            ends = played.ends(port)
            taken = ends[-1] - ends[RATE_FRAMES // 2]
            planned = max(period, LEAST_PERIOD) * (len(ends) - 1 - RATE_FRAMES // 2)
            if taken > planned:
                raise Slow(f"the last frames of {port.tensor} take {taken} cycles, not {planned} as planned")


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
    expected = {name: np.concatenate(parts) for name, *parts in zip(recipe["outputs"], *runs, strict=True)}
    if len(network.outputs) < len(expected):  # what the model gives out twice leaves the network once
        expected = {name: values for name, values in expected.items() if not _repeated(name, expected)}
    for (name, values), tensor in zip(expected.items(), network.outputs, strict=True):
        actual = _like(seen[tensor], values)
        worst = float(np.abs(actual - values).max())
        allowed = TOLERANCE * max(float(np.ptp(values)), float(np.abs(values).max()), 1e-6)
        if not worst <= allowed:
            raise Different(f"{name} is off by {worst:.3g}, more than {allowed:.3g}")


def _repeated(name: str, outputs: Mapping[str, np.ndarray]) -> bool:
    """Whether an output before ``name`` is the same tensor."""
    before = list(outputs)[: list(outputs).index(name)]
    return any(np.array_equal(outputs[other], outputs[name]) for other in before)


def _like(seen: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """A channel-last result in the model's layout; one of another shape holds its values in the model's order."""
    height, width, channels = seen.shape[1:]
    if expected.shape[1:] == (channels, height, width):
        return seen.transpose(0, 3, 1, 2)
    return seen.reshape(expected.shape)


def _channel_last(source: FloatInput, x: np.ndarray) -> np.ndarray:
    height, width, channels = source.shape
    if source.layout is Layout.CHANNEL_LAST:
        return x.reshape(len(x), height, width, channels)
    return x.reshape(len(x), channels, height, width).transpose(0, 2, 3, 1)
