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
from .activations import FindScale, Samples, best_scale
from .clips import moves_only
from .coded import book_of
from .formats import Sharing, wide_tensors
from .frames import Frames, count, part, values_of
from .mixed import Option, choose
from .mmse import best_scale as best_weight_scale
from .mse import SortedValues
from .sensitivity import tensor_sensitivity, weight_sensitivity

__all__ = [
    "BITS", "FRAMES", "CodeBudget", "Costs", "Priced", "choosable", "choose_bits", "choose_codes", "classifies",
    "kibibytes", "reads_of",
]  # fmt: skip

BITS = (4, 6, 8)
"""Bits of an activation that :func:`choose_bits` chooses from."""

FRAMES = 128
"""Calibration frames that the gradients are taken on. Means of squares over them and all pixels are steady."""

CLASSES = 1024
"""Channels up to which an output of one pixel, smaller than the input, is taken for the logits of a classifier."""


@dataclass(frozen=True)
class Priced:
    """cost: of a layer's weights in a code; rest: what is spent whatever is chosen; both in ``unit``, as in "KiB"."""

    cost: Callable[[FloatConv, Codebook], float]
    unit: str
    rest: float = 0.0


Costs = Callable[[FloatNetwork, Frames, Sequence[Codebook]], Priced]
"""Prices the codes for the layers of a network; frames: raw calibration data."""


def kibibytes(network: FloatNetwork, frames: Frames, books: Sequence[Codebook]) -> Priced:
    """What the weights take in memory, KiB."""
    held = [
        layer.weight.size * book.bits / 8192
        for layer in network.layers
        if isinstance(layer, FloatConv) and layer.coded is not None and (book := book_of(layer.coded.levels))
    ]
    return Priced(lambda layer, book: layer.weight.size * book.bits / 8192, "KiB", sum(held))


@dataclass(frozen=True)
class CodeBudget:
    """Codes to choose from, and what the weights of all layers may cost together; KiB if nothing else is said."""

    codes: Sequence[str | Codebook]
    budget: float
    costs: Costs = kibibytes


def choose_codes(
    network: FloatNetwork,
    frames: Frames,
    books: Sequence[Codebook],
    budget: float,
    costs: Costs = kibibytes,
    forced: Mapping[str, Codebook] | None = None,
) -> dict[str, Codebook]:
    """The code of every convolution, out of ``books``, with costs of at most ``budget`` together; by layer name.

    frames: raw calibration data; forced: layers that have no choice. Layers whose codes the model holds keep them and
    count with what those cost. Raises :class:`HwgenError` when there are no codes to choose from, or the cheapest
    choice is over the budget.
    """
    if not books:
        raise HwgenError("a budget needs codes to choose from, such as pot3, e2m1, e2m2")
    allowed = {name: [book] for name, book in (forced or {}).items()}
    convs = [layer for layer in network.layers if isinstance(layer, FloatConv) and layer.coded is None]
    choices = [allowed.get(layer.name, list(books)) for layer in convs]
    priced = costs(network, frames, list(dict.fromkeys([*books, *(forced or {}).values()])))
    least = priced.rest + sum(
        min(priced.cost(layer, book) for book in some) for layer, some in zip(convs, choices, strict=True)
    )
    if least > budget:
        raise HwgenError(f"{budget:g} {priced.unit} are too small a budget: the cheapest codes need {least:.4g}")
    errors = [[_error(layer, book) for book in some] for layer, some in zip(convs, choices, strict=True)]

    def options(loss: Loss, x: Frames) -> list[list[Option]]:
        sensitivity = weight_sensitivity(network, values_of(x), loss)
        return [
            [
                Option(priced.cost(layer, book), sensitivity[layer.name].second_order(error))
                for book, error in zip(some, wrong, strict=True)
            ]
            for layer, some, wrong in zip(convs, choices, errors, strict=True)
        ]

    picks = choose(_predicted(network, frames, options), budget - priced.rest)
    return {layer.name: some[pick] for layer, some, pick in zip(convs, choices, picks, strict=True)}


def choose_bits(
    network: FloatNetwork,
    frames: Frames,
    samples: Mapping[str, Samples],
    mean: float,
    bits: Sequence[int] = BITS,
    find: FindScale = best_scale,
) -> dict[str, int]:
    """Bits of every tensor, out of ``bits`` and at most ``mean`` on average; by layer name.

    The average is over multiply-accumulates (and, where there are none, values): an activation's width counts in the
    processing elements that read it. frames: raw calibration data; samples: of every tensor; find: as for the scales of
    activations. Tensors that must share a format are one choice; those with a format of their own and those that leave
    the network are left out. Raises :class:`HwgenError` for a mean that is out of reach.
    """
    if not min(bits) <= mean <= max(bits):
        raise HwgenError(f"activation bits on average must be {min(bits)} to {max(bits)}, not {mean:g}")
    groups = choosable(network)
    if not groups:
        return {}
    reads = reads_of(network)
    weights = [sum(reads[name] for name in group) for group in groups]
    noise = {name: [_noise(samples[name], b, find) for b in bits] for group in groups for name in group}

    def options(loss: Loss, x: Frames) -> list[list[Option]]:
        sensitivity = tensor_sensitivity(network, values_of(x), loss, list(noise))
        return [
            [
                Option(b * weight, sum(sensitivity[name].second_order(noise[name][i]) for name in group))
                for i, b in enumerate(bits)
            ]
            for group, weight in zip(groups, weights, strict=True)
        ]

    picks = choose(_predicted(network, frames, options), mean * sum(weights))
    return {name: bits[pick] for group, pick in zip(groups, picks, strict=True) for name in group}


def choosable(network: FloatNetwork) -> list[list[str]]:
    """The tensors whose bits can be chosen, those that share a format together: the one that leads first."""
    wide = wide_tensors(network)
    layers = {layer.name: layer for layer in network.layers}
    groups: dict[str, list[str]] = {}
    for name, lead in Sharing(network).leaders().items():
        if lead in layers and layers[lead].fixed is None and lead not in wide and not moves_only(layers[name]):
            groups.setdefault(lead, []).append(name)
    return [sorted(group, key=lambda name: name != lead) for lead, group in groups.items()]


def _predicted(
    network: FloatNetwork, frames: Frames, options: Callable[[Loss, Frames], list[list[Option]]]
) -> list[list[Option]]:
    """``options`` under a loss whose squared gradients are the Fisher information: targets drawn from the outputs.

    A classifier that is sure of every frame has none; then its logits count as values.
    """
    chosen = part(frames, np.sort(np.random.default_rng(0).permutation(count(frames))[:FRAMES]))
    outputs = evaluate_tensors(network, values_of(chosen), network.outputs)
    if all(classifies(network, name) for name in network.outputs):
        found = options(CrossEntropy({name: drawn_labels(values) for name, values in outputs.items()}), chosen)
        if any(option.loss > 0 for layer in found for option in layer):
            return found
    return options(SquaredDistance({name: drawn_targets(values) for name, values in outputs.items()}), chosen)


def classifies(network: FloatNetwork, name: str) -> bool:
    """Whether the output called ``name`` is taken for the logits of a classifier."""
    height, width, channels = network.shape(name)
    smaller = channels < max(prod(source.shape) for source in network.inputs)
    return height == width == 1 and 1 < channels <= CLASSES and smaller


def _error(layer: FloatConv, book: Codebook) -> np.ndarray:
    """What the nearest levels are away from the weights, each channel at its best scale."""
    scales = np.array([best_weight_scale(row, book) for row in layer.weight])[:, None, None, None]
    return book.nearest(layer.weight / scales) * scales - layer.weight


def _noise(samples: Samples, bits: int, find: FindScale) -> float:
    """The mean squared error of rounding a tensor to ``bits`` bits at its best scale."""
    interval = Interval.of_bits(bits, signed=samples.lo < 0)
    scale = find(samples.values, interval, samples.peak)
    (error,) = SortedValues(samples.values).squared_error(np.arange(interval.lo, interval.hi + 1), [scale])
    return float(error) / samples.values.size


def reads_of(network: FloatNetwork) -> Counter[str]:
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
