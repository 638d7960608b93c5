"""Mixed precision: a code for every layer's weights, and bits for every activation, under a budget.

What an option costs the network is predicted, not tried: the squared error that rounding makes, weighted by how much
the outputs mind (:mod:`.sensitivity`, to second order, without labels). :mod:`.mixed` then finds the choice with the
least sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from ..codes import Codebook
from ..errors import HwgenError
from ..floatnet import FloatConv, FloatNetwork
from ..gradient import CrossEntropy, Loss, SquaredDistance, drawn_labels, drawn_targets
from ..interval import Interval
from ..lower.evaluate import evaluate_tensors
from .activations import Samples, best_scale
from .clips import moves_only
from .formats import wide_tensors
from .frames import Frames, count, part, values_of
from .mixed import Option, choose
from .mmse import best_scale as best_weight_scale
from .mse import SortedValues
from .sensitivity import tensor_sensitivity, weight_sensitivity

__all__ = ["BITS", "CodeBudget", "Cost", "choose_bits", "choose_codes", "kibibytes"]

Cost = Callable[[FloatConv, Codebook], float]
"""What the weights of a layer cost in a code, in the unit of the budget."""

BITS = (4, 6, 8)
"""Bits of an activation that :func:`choose_bits` chooses from."""

FRAMES = 128
"""Calibration frames that the gradients are taken on. Means of squares over them and all pixels are steady."""

CLASSES = 1024
"""Channels up to which an output of one pixel, smaller than the input, is taken for the logits of a classifier."""


def kibibytes(layer: FloatConv, book: Codebook) -> float:
    """What the weights take in memory, KiB."""
    return layer.weight.size * book.bits / 8192


@dataclass(frozen=True)
class CodeBudget:
    """Codes to choose from, and what the weights of all layers may cost together; KiB if nothing else is said."""

    codes: Sequence[str | Codebook]
    budget: float
    cost: Cost = kibibytes


def choose_codes(
    network: FloatNetwork, frames: Frames, books: Sequence[Codebook], budget: float, cost: Cost = kibibytes
) -> dict[str, Codebook]:
    """The code of every convolution, out of ``books``, with costs of at most ``budget`` together; by layer name.

    frames: raw calibration data. Layers whose codes the model holds keep them and count with what those cost. Raises
    :class:`HwgenError` when the cheapest choice is over the budget.
    """
    convs = [layer for layer in network.layers if isinstance(layer, FloatConv) and layer.coded is None]
    held = sum(
        layer.weight.size * int(np.unique(layer.coded.levels).size - 1).bit_length() / 8192
        for layer in network.layers
        if isinstance(layer, FloatConv) and layer.coded is not None
    )

    def options(loss: Loss, x: Frames) -> list[list[Option]]:
        sensitivity = weight_sensitivity(network, values_of(x), loss)
        return [
            [Option(cost(layer, book), sensitivity[layer.name].second_order(_error(layer, book))) for book in books]
            for layer in convs
        ]

    picks = choose(_predicted(network, frames, options), budget - (held if cost is kibibytes else 0))
    return {layer.name: books[pick] for layer, pick in zip(convs, picks, strict=True)}


def choose_bits(
    network: FloatNetwork, frames: Frames, samples: Mapping[str, Samples], mean: float, bits: Sequence[int] = BITS
) -> dict[str, int]:
    """Bits of every tensor, out of ``bits`` and at most ``mean`` on average; by layer name.

    The average is over multiply-accumulates (and, where there are none, values): an activation's width counts in the
    processing elements that read it. frames: raw calibration data; samples: of every tensor. Tensors with a format of
    their own and those that leave the network are left out. Raises :class:`HwgenError` for a mean that is too low.
    """
    if not min(bits) <= mean <= max(bits):
        raise HwgenError(f"activation bits on average must be {min(bits)} to {max(bits)}, not {mean:g}")
    wide = wide_tensors(network)
    free = [
        layer for layer in network.layers if layer.name not in wide and layer.fixed is None and not moves_only(layer)
    ]
    if not free:
        return {}
    reads = _reads(network)
    total = sum(reads[layer.name] for layer in free)

    def options(loss: Loss, x: Frames) -> list[list[Option]]:
        sensitivity = tensor_sensitivity(network, values_of(x), loss, [layer.name for layer in free])
        return [
            [
                Option(b * reads[layer.name], sensitivity[layer.name].second_order(_noise(samples[layer.name], b)))
                for b in bits
            ]
            for layer in free
        ]

    picks = choose(_predicted(network, frames, options), mean * total)
    return {layer.name: bits[pick] for layer, pick in zip(free, picks, strict=True)}


def _predicted(
    network: FloatNetwork, frames: Frames, options: Callable[[Loss, Frames], list[list[Option]]]
) -> list[list[Option]]:
    """``options`` under a loss whose squared gradients are the Fisher information: targets drawn from the outputs.

    A classifier that is sure of every frame has none; then its logits count as values.
    """
    chosen = part(frames, np.sort(np.random.default_rng(0).permutation(count(frames))[:FRAMES]))
    outputs = evaluate_tensors(network, values_of(chosen), network.outputs)
    if all(_classifies(network, name) for name in network.outputs):
        found = options(CrossEntropy({name: drawn_labels(values) for name, values in outputs.items()}), chosen)
        if any(option.loss > 0 for layer in found for option in layer):
            return found
    return options(SquaredDistance({name: drawn_targets(values) for name, values in outputs.items()}), chosen)


def _classifies(network: FloatNetwork, name: str) -> bool:
    height, width, channels = network.shape(name)
    smaller = channels < max(prod(source.shape) for source in network.inputs)
    return height == width == 1 and 1 < channels <= CLASSES and smaller


def _error(layer: FloatConv, book: Codebook) -> np.ndarray:
    """What the nearest levels are away from the weights, each channel at its best scale."""
    scales = np.array([best_weight_scale(row, book) for row in layer.weight])[:, None, None, None]
    return book.nearest(layer.weight / scales) * scales - layer.weight


def _noise(samples: Samples, bits: int) -> float:
    """The mean squared error of rounding a tensor to ``bits`` bits at its best scale."""
    interval = Interval.of_bits(bits, signed=samples.lo < 0)
    scale = best_scale(samples.values, interval, samples.peak)
    (error,) = SortedValues(samples.values).squared_error(np.arange(interval.lo, interval.hi + 1), [scale])
    return float(error) / samples.values.size


def _reads(network: FloatNetwork) -> Counter[str]:
    """Multiply-accumulates, or values where there is no weight, that read each tensor; behind movements too."""
    reads: Counter[str] = Counter()
    for layer in reversed(network.layers):
        height, width, _ = layer.output_shape
        for name in layer.sources:
            if isinstance(layer, FloatConv):
                reads[name] += height * width * layer.weight.size
            else:
                reads[name] += prod(layer.output_shape) + (reads[layer.name] if moves_only(layer) else 0)
    return reads
