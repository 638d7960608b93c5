"""The measure of everything in this folder: ONNX Runtime, an independent implementation, on the same file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from hwgen.floatnet import FloatNetwork, Layout, Normalization
from hwgen.importers import load_model
from hwgen.lower import evaluate, lower


def _runtime(path: Path, x: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # messages about unused weights are no concern of these tests
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    # One frame at a time: some models have a batch of one written into a Reshape.
    return np.concatenate([session.run(None, {name: frame[None]})[0] for frame in x])


@pytest.fixture
def logits_of(tmp_path: Path) -> Callable[[Path, np.ndarray], np.ndarray]:
    """The output of a model for raw input, before the Softmax that it may end in."""

    def run(path: Path, x: np.ndarray) -> np.ndarray:
        model = onnx.load(path)
        last = model.graph.node[-1]
        if last.op_type == "Softmax":
            del model.graph.output[:]
            model.graph.output.append(onnx.helper.make_tensor_value_info(last.input[0], onnx.TensorProto.FLOAT, None))
        onnx.save(model, tmp_path / "logits.onnx")
        return _runtime(tmp_path / "logits.onnx", x)

    return run


@pytest.fixture
def same_as_onnxruntime() -> Callable[..., FloatNetwork]:
    """Lowers a model, checks its output on random (or given) raw input ``x`` in the model's layout, returns it.

    channel_last: whether the model's output has its channels last.
    """

    def check(
        path: Path,
        normalization: Normalization | None = None,
        x: np.ndarray | None = None,
        *,
        tolerance: float = 1e-4,
        channel_last: bool = False,
    ) -> FloatNetwork:
        graph = load_model(path)
        network = lower(graph, normalization)
        if x is None:
            x = np.random.default_rng(7).uniform(-2, 2, (5, *graph.input_shape[1:])).astype(np.float32)
        n = normalization or Normalization()
        spread = [1] * (x.ndim - 1)
        spread[-1 if network.input.layout is Layout.CHANNEL_LAST else 0] = -1
        scale, mean, std = (np.array(values).reshape(spread) for values in (n.scale, n.mean, n.std))
        expected = _runtime(path, ((x * scale - mean) / std).astype(np.float32))
        height, width, channels = network.input_shape
        if network.input.layout is Layout.CHANNEL_LAST:
            raw = x.reshape(len(x), height, width, channels)
        else:
            raw = x.reshape(len(x), channels, height, width).transpose(0, 2, 3, 1)
        outputs = evaluate(network, raw, every=True)
        assert [outputs[layer.name].shape[1:] for layer in network.layers] == [
            layer.output_shape for layer in network.layers
        ]
        actual = outputs[network.outputs[0]]
        if not channel_last:
            actual = actual.transpose(0, 3, 1, 2)
        spread_of_outputs = max(float(np.ptp(expected)), 1e-6)
        assert np.abs(actual.reshape(expected.shape) - expected).max() <= tolerance * spread_of_outputs
        # Two frames that differ must differ in the output, or the comparison above would prove nothing.
        assert np.ptp(expected) > 0
        return network

    return check
