"""How similar the weights of two networks are once the freedom of scale is taken out of them.

A ReLU lets a neuron be twice as large if its readers halve it: two networks can compute the same with weights of any
cosine. Chain normalisation (Wang et al. 2022, arXiv 2208.04369) follows the chain from the input: the weights of a
layer are multiplied by the norms that its inputs have been divided by, and then each neuron is divided by the norm of
what it has. So every neuron has a chain of unit norm, whatever scales its network has chosen, and the cosine of what is
left compares functions instead of units.

Only where a scale is free is it taken out. It is not free at an output, before a table, or at a clip to another value
than 0; there the weights stand as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..errors import HwgenError
from ..floatnet import FloatAdd, FloatConcat, FloatConv, FloatLayer, FloatNetwork, FloatPool, FloatRemap
from ..network import Conv, Network
from .rewrite.graph import channel_of, layers_of, scales_through

__all__ = ["Similarity", "chain_normalised", "coded_weights", "similarity"]

Real = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Similarity:
    """Cosines in -1..1.

    layers: of the chain-normalised weights of each convolution and the factors of each addition, by name. total: their
    mean, each layer weighted with its channels. raw: the cosine of all weights as they are.
    """

    layers: Mapping[str, float]
    total: float
    raw: float


def similarity(first: FloatNetwork, second: FloatNetwork) -> Similarity:
    """The similarity of two networks of one structure, a float one and the same with coded weights, say.

    Biases do not count: they have units of their own. Raises :class:`HwgenError` when names or shapes of layers
    differ, or there are no weights to compare.
    """
    one, other = chain_normalised(first), chain_normalised(second)
    shapes = [{name: array.shape for name, array in part.items()} for part in (one, other)]
    for name in {**one, **other}:
        if shapes[0].get(name) != shapes[1].get(name):
            raise HwgenError(f"networks must have the same layers to be compared; {name!r} is not alike in both")
    if not one:
        raise HwgenError("the networks have no convolution and no addition, so there are no weights to compare")
    layers = {name: _cosine(array, other[name]) for name, array in one.items()}
    channels = np.array([one[name].shape[0] for name in layers])
    total = float(channels @ list(layers.values()) / channels.sum())
    return Similarity(layers, total, _cosine(_raw(first), _raw(second)))


def coded_weights(model: FloatNetwork, network: Network) -> FloatNetwork:
    """``model`` with the weights that its convolutions have in ``network``: scale times level.

    network: quantized from ``model``, so that its convolutions have the same names.
    """
    coded = {layer.name: layer for layer in network.layers if isinstance(layer, Conv)}

    def weight(layer: Conv) -> Real:
        return layer.weight_scale[:, None, None, None] * layer.codebook.decode(layer.codes)

    layers = [
        replace(layer, weight=weight(coded[layer.name])) if isinstance(layer, FloatConv) else layer
        for layer in model.layers
    ]
    return replace(model, layers=tuple(layers))


def chain_normalised(network: FloatNetwork) -> dict[str, Real]:
    """The weights (O, ...) of each convolution and the factors (C, sources) of each addition without their freedom."""
    free = _free(network)
    norms: dict[str, Real] = {source.name: np.ones(source.shape[2]) for source in network.inputs}
    found: dict[str, Real] = {}
    for layer in network.layers:
        incoming = [norms[name] for name in layer.sources]
        chain = _chain(layer, incoming)
        if chain is not None:
            size = np.sqrt(np.square(chain).reshape(len(chain), -1).sum(axis=1))
            norms[layer.name] = np.where(size > 0, size, 1.0) if free[layer.name] else np.ones(len(chain))
            found[layer.name] = chain / norms[layer.name].reshape(-1, *[1] * (chain.ndim - 1))
        elif free[layer.name]:
            norms[layer.name] = _moved(layer, incoming)
        else:
            norms[layer.name] = np.ones(layer.output_shape[2])
    return found


def _chain(layer: FloatLayer, incoming: list[Real]) -> Real | None:
    """The weights of ``layer`` times the norms of its inputs; None where it has no weights."""
    if isinstance(layer, FloatAdd):
        return np.stack([factor * norm for factor, norm in zip(layer.factors, incoming, strict=True)], axis=1)
    if isinstance(layer, FloatConv):
        norm = incoming[0].reshape(layer.groups, -1).repeat(len(layer.weight) // layer.groups, axis=0)
        return layer.weight * norm[:, None, None, :]
    return None


def _free(network: FloatNetwork) -> dict[str, bool]:
    """For each tensor whether its channels may have any scale, because all that read it make up for it."""
    readers, outputs = layers_of(network), set(network.outputs)
    free = {source.name: False for source in network.inputs}
    for layer in reversed(network.layers):
        through = [_takes_up(reader) or (_passes(reader) and free[reader.name]) for reader in readers[layer.name]]
        free[layer.name] = layer.name not in outputs and scales_through(layer) and all(through)
    return free


def _takes_up(layer: FloatLayer) -> bool:
    """Whether ``layer`` has weights that make up for any scale of its inputs."""
    return isinstance(layer, FloatConv | FloatAdd)


def _passes(layer: FloatLayer) -> bool:
    """Whether every channel of ``layer`` has the scale of one channel that it reads."""
    return isinstance(layer, FloatPool | FloatConcat) or (
        isinstance(layer, FloatRemap) and channel_of(layer) is not None
    )


def _moved(layer: FloatLayer, incoming: list[Real]) -> Real:
    """The norms behind a layer that :func:`_passes`."""
    if isinstance(layer, FloatConcat):
        return np.concatenate(incoming)
    if isinstance(layer, FloatRemap) and (index := channel_of(layer)) is not None:
        return np.where(index < 0, 1.0, incoming[0][index])
    return incoming[0]


def _raw(network: FloatNetwork) -> Real:
    weights = [layer.weight.ravel() for layer in network.layers if isinstance(layer, FloatConv)]
    return np.concatenate(weights) if weights else np.zeros(0)


def _cosine(one: Real, other: Real) -> float:
    """1 for two that are all zero, 0 where only one is."""
    lengths = float(np.linalg.norm(one)), float(np.linalg.norm(other))
    if 0 in lengths:
        return float(lengths[0] == lengths[1])
    return float(np.vdot(one / lengths[0], other / lengths[1]))
