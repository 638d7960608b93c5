"""How good is a quantized network: accuracy beside the float network's, and the noise of every layer."""

from __future__ import annotations

from collections.abc import Callable
from math import log10
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from .errors import HwgenError
from .floatnet import FloatNetwork
from .lower import evaluate as evaluate_float
from .network import Network
from .quantize.activations import frames_per_batch
from .quantize.clips import push_clips
from .reference import quantize_input, run

__all__ = ["Evaluation", "LayerQuality", "evaluate"]


class LayerQuality(TypedDict):
    """sqnr_db: signal to quantization noise ratio, ``10 log10(sum(float**2) / sum((float - quantized)**2))``.

    It includes the noise of the layers before. None where it is not a number (no noise, or no signal).
    """

    name: str
    sqnr_db: float | None


class Evaluation(TypedDict):
    """Accuracies are 0..1, None without labels."""

    samples: int
    float_accuracy: float | None
    accuracy: float | None
    layers: list[LayerQuality]


def evaluate(
    float_network: FloatNetwork,
    network: Network,
    x: npt.ArrayLike,
    y: npt.ArrayLike | None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Evaluation:
    """Run both networks on raw data ``x`` (N, H, W, C) and compare them.

    y: labels (N,), the index of the right output, or None. The layers are those of ``network``, in order; an activation
    that quantization moved in front of a maximum pool is moved in the float network too, so that like is compared with
    like. Raises :class:`HwgenError` when data, labels and networks do not belong together.
    """
    data = np.asarray(x)
    integers = quantize_input(network, data)
    labels = None if y is None else np.asarray(y)
    if not len(data):
        raise HwgenError("data must hold at least one sample")
    if labels is not None and (labels.shape != data.shape[:1] or labels.dtype.kind not in "iu"):
        raise HwgenError(f"labels must be {len(data)} whole numbers, not {labels.dtype} of shape {labels.shape}")
    model = push_clips(float_network, network.input.interval, network.input.scale)
    names = [layer.output.name for layer in network.layers]
    if [layer.name for layer in model.layers] != names or model.input_shape != network.input.shape:
        raise HwgenError("the quantized network was not made from this model; quantize the model again")

    signal, noise = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    right = np.zeros(2, np.int64)
    batch = frames_per_batch(model)
    for start in range(0, len(data), batch):
        part = slice(start, start + batch)
        expected = evaluate_float(model, data[part], every=True)
        actual = run(network, integers[part], every=True)
        for layer in network.layers:
            real = expected[layer.name]
            difference = real - layer.output.scale * actual[layer.output.name]
            signal[layer.output.name] += float(np.vdot(real, real))
            noise[layer.output.name] += float(np.vdot(difference, difference))
        if labels is not None:
            for which, logits in enumerate((expected[names[-1]], actual[names[-1]])):
                right[which] += np.count_nonzero(logits.reshape(len(logits), -1).argmax(axis=1) == labels[part])
        if progress is not None:
            progress(min(start + batch, len(data)), len(data), "evaluating")

    accuracies = None if labels is None else (right / len(data)).tolist()
    return {
        "samples": len(data),
        "float_accuracy": None if accuracies is None else accuracies[0],
        "accuracy": None if accuracies is None else accuracies[1],
        "layers": [{"name": name, "sqnr_db": _decibels(signal[name], noise[name])} for name in names],
    }


def _decibels(signal: float, noise: float) -> float | None:
    return 10 * log10(signal / noise) if signal > 0 and noise > 0 else None
