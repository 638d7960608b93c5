"""How good is a quantized network: accuracy beside the float network's, and the noise of every layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log10
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from .errors import HwgenError
from .floatnet import FloatNetwork
from .lower.evaluate import evaluate_tensors
from .network import Add, Conv, Network
from .quantize.frames import Frames, count, every_output, frames_per_batch, part, values_of
from .quantize.prepare import prepared_again
from .quantize.similarity import Similarity, coded_weights, similarity
from .reference import quantize_input, run
from .tools import WorkDone

__all__ = ["Evaluation", "LayerQuality", "evaluate"]


class LayerQuality(TypedDict):
    """sqnr_db: signal to quantization noise ratio, ``10 log10(sum(float**2) / sum((float - quantized)**2))``.

    It includes the noise of the layers before. None where it is not a number (no noise, or no signal).
    weight_similarity: the cosine of float and coded weights after chain normalisation (:mod:`.quantize.similarity`);
    None for a layer without weights.
    """

    name: str
    sqnr_db: float | None
    weight_similarity: float | None


class Evaluation(TypedDict):
    """Accuracies are 0..1, None without labels. weight_similarity: of all layers, None without weights."""

    samples: int
    float_accuracy: float | None
    accuracy: float | None
    weight_similarity: float | None
    layers: list[LayerQuality]


def evaluate(
    float_network: FloatNetwork,
    network: Network,
    x: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    y: npt.ArrayLike | None,
    progress: WorkDone | None = None,
    watch: Callable[[Frames], None] | None = None,
) -> Evaluation:
    """Run both networks on raw data ``x`` (N, H, W, C), a dict of such by name for several inputs, and compare them.

    y: labels (N,), the index of the right value of the first output, or None. The layers are those of ``network``, in
    order; an activation that quantization moved in front of a maximum pool is moved in the float network too, so that
    like is compared with like. watch: gets the integers of every quantized tensor by name, batch by batch in order.
    Raises :class:`HwgenError` when data, labels and networks do not belong together.
    """
    model = _same_layers(float_network, network)
    given = x if isinstance(x, Mapping) else {model.inputs[0].name: x}
    data = {name: np.asarray(values) for name, values in given.items()}
    integers = quantize_input(network, data)
    samples = count(data)
    labels = None if y is None else np.asarray(y)
    if not samples or any(len(values) != samples for values in data.values()):
        raise HwgenError("data must hold at least one sample, and as many for each input")
    if labels is not None and (labels.shape != (samples,) or labels.dtype.kind not in "iu"):
        raise HwgenError(f"labels must be {samples} whole numbers, not {labels.dtype} of shape {labels.shape}")

    names = [layer.name for layer in network.layers]
    signal, noise = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    right = np.zeros(2, np.int64)
    batch = frames_per_batch(model)
    for start in range(0, samples, batch):
        chosen = slice(start, start + batch)
        frames, inputs = part(data, chosen), part(integers, chosen)
        expected = every_output(model, frames)
        actual = run(network, inputs, every=True)
        if watch is not None:
            watch({**inputs, **actual})
        for layer in network.layers:
            # Values beyond every number, of a logarithm of 0 say, have no noise that could be measured.
            real = np.nan_to_num(expected[layer.name], posinf=0, neginf=0)
            difference = np.where(np.isfinite(expected[layer.name]), real - layer.output.scale * actual[layer.name], 0)
            signal[layer.name] += float(np.vdot(real, real))
            noise[layer.name] += float(np.vdot(difference, difference))
        if labels is not None:
            first = network.outputs[0]
            # A rewriting may only be nearly equal (a factorisation): accuracy is compared with the model's own.
            own = expected if network.rewriting is None else evaluate_tensors(float_network, values_of(frames), [first])
            for which, outputs in enumerate(({**frames, **own}, {**inputs, **actual})):
                logits = outputs[first].reshape(len(labels[chosen]), -1)
                right[which] += np.count_nonzero(logits.argmax(axis=1) == labels[chosen])
        if progress is not None:
            progress(min(start + batch, samples), samples, "evaluating")

    accuracies = None if labels is None else (right / samples).tolist()
    weights = any(isinstance(layer, Conv | Add) for layer in network.layers)
    alike = similarity(model, coded_weights(model, network)) if weights else Similarity({}, 1.0, 1.0)
    return {
        "samples": samples,
        "float_accuracy": None if accuracies is None else accuracies[0],
        "accuracy": None if accuracies is None else accuracies[1],
        "weight_similarity": alike.total if weights else None,
        "layers": [
            {
                "name": name,
                "sqnr_db": decibels(signal[name], noise[name]),
                "weight_similarity": alike.layers.get(name),
            }
            for name in names
        ],
    }


def _same_layers(float_network: FloatNetwork, network: Network) -> FloatNetwork:
    """The float network with a layer for each of ``network``'s."""
    inputs = {tensor.name: tensor for tensor in network.inputs}
    if [(source.name, source.shape) for source in float_network.inputs] == [(t.name, t.shape) for t in network.inputs]:
        model = prepared_again(float_network, inputs, network.rewriting)
        layers = [(layer.name, layer.output.shape) for layer in network.layers]
        if [(layer.name, layer.output_shape) for layer in model.layers] == layers and model.outputs == network.outputs:
            return model
    raise HwgenError("the quantized network was not made from this model; quantize the model again")


def decibels(signal: float, noise: float) -> float | None:
    """``10 log10(signal / noise)``; None where it is not a number (no noise, or no signal)."""
    return 10 * log10(signal / noise) if signal > 0 and noise > 0 else None
