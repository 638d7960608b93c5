"""Cross-layer equalisation: channels of a tensor between convolutions scaled by powers of two.

A ReLU passes a positive factor on, ``relu(s * y) == s * relu(y)``. So channel ``c`` of what one convolution makes may
be ``2**k[c]`` times as large, when the convolutions that read it undo that (Nagel et al. 2019, arXiv 1906.04721,
section 4.1; the practical half of chain normalisation, Wang et al. 2022, arXiv 2208.04369). Powers of two change no bit
of a mantissa: the network computes the very same numbers.

With ``r1`` the largest weight that makes the channel and ``r2`` the largest that reads it, Nagel's factor
``sqrt(r2 / r1)`` makes both ``sqrt(r1 * r2)``. The bias counts in ``r1`` as one weight more: a channel of nearly no
weights and a bias is a constant, and it must not become so large that the other channels of its tensor get few levels
(MobileNet vww in E2M1, output against float: 10.7 dB without this, 18.9 with it, 18.8 unequalised).

Of the powers of two, ``k = round(log2(r2 / r1) / 2)`` has the least ``max(r1 * 2**k, r2 / 2**k)``; a tie stays where it
is. Each step with ``k != 0`` lowers the largest of the weights that it touches, so that the sorted list of all weights
and biases, largest first, decreases with every step. It cannot do so forever, and at the end no channel has a step
left: a second application changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...codes import Codebook
from ...floatnet import Coded, FloatConv, FloatLayer, FloatNetwork, FloatPool, FloatRemap
from ..methods.method import Method, option
from .graph import channel_of, layers_of, replaced, scales_through

__all__ = ["Equalise"]

NOTE = "the channels are scaled by powers of two, which evens out the weights before and behind them"

Real = npt.NDArray[np.float64]
Channels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Site:
    """A tensor whose channels may be scaled. readers: convolutions, with the channel behind each of their inputs."""

    producer: str
    readers: tuple[tuple[str, Channels], ...]


@dataclass(frozen=True)
class Equalise(Method):
    """Power-of-two cross-layer equalisation.

    Between a convolution and its readers there may be pools and remaps. Left alone are tensors that meet an addition, a
    concatenation, a table, a clip at another value than 0, a number format of the model's or an output of the network.

    sweeps: passes over all tensors at most; one that changes nothing is the last.
    """

    name: ClassVar[str] = "equalise"
    sweeps: int = option(100, 0)

    def rewrite(self, network: FloatNetwork, codebook: Codebook) -> FloatNetwork:
        """``network`` with other scales in its channels and the same outputs, bit for bit. ``codebook`` is not used.

        A reader whose weights the model holds as codes keeps its tensor as it is, unless it is depthwise: codes have
        one scale for each output channel.
        """
        sites = _sites(network)
        convs = {layer.name: layer for layer in network.layers if isinstance(layer, FloatConv)}
        moved: dict[str, None] = {}
        for _ in range(self.sweeps):
            before = dict(convs)
            for site in sites:
                k = _steps(convs[site.producer], [(convs[name], index) for name, index in site.readers])
                if k.any():
                    moved[site.producer] = None
                    factor = np.exp2(k)
                    convs[site.producer] = _scaled_output(convs[site.producer], factor)
                    for name, index in site.readers:
                        # An input that holds zeros (-1) takes any factor.
                        convs[name] = _scaled_input(convs[name], np.where(index < 0, 1.0, factor[index]))
            if all(convs[name] is layer for name, layer in before.items()):
                break
        parts = {
            layer.name: (convs[layer.name],)
            for layer in network.layers
            if isinstance(layer, FloatConv) and convs[layer.name] is not layer
        }
        return replaced(network, parts, {NOTE: list(moved)})


def _sites(network: FloatNetwork) -> list[_Site]:
    readers, outputs = layers_of(network), set(network.outputs)

    def reach(name: str, index: Channels) -> list[tuple[str, Channels]] | None:
        """All convolutions that the tensor gets to; None when something else reads it."""
        if name in outputs:
            return None
        found: list[tuple[str, Channels]] = []
        for reader in readers[name]:
            if isinstance(reader, FloatConv):
                if reader.coded is not None and reader.weight.shape[3] > 1:
                    return None
                found.append((reader.name, index))
                continue
            passed = _passed(reader, index)
            deeper = None if passed is None else reach(reader.name, passed)
            if deeper is None:
                return None
            found += deeper
        return found

    sites = []
    for layer in network.layers:
        if isinstance(layer, FloatConv) and scales_through(layer):
            found = reach(layer.name, np.arange(layer.output_shape[2]))
            if found:
                sites.append(_Site(layer.name, tuple(found)))
    return sites


def _passed(layer: FloatLayer, index: Channels) -> Channels | None:
    """The producer's channel behind each channel of ``layer``, given those of its source; None if it does not scale."""
    if not scales_through(layer):
        return None
    if isinstance(layer, FloatPool):
        return index
    if isinstance(layer, FloatRemap) and (own := channel_of(layer)) is not None:
        return np.where(own < 0, -1, index[own])
    return None


def _steps(producer: FloatConv, readers: list[tuple[FloatConv, Channels]]) -> Channels:
    """``k`` of each channel, (C,) int64; 0 where one side of the channel is all zeros."""
    made = np.maximum(np.abs(producer.weight).reshape(len(producer.weight), -1).max(axis=1), np.abs(producer.bias))
    read = np.zeros_like(made)
    for layer, index in readers:
        by_group = np.abs(layer.weight).reshape(layer.groups, -1, *layer.weight.shape[1:])
        largest = by_group.max(axis=(1, 2, 3)).reshape(-1)
        np.maximum.at(read, index[index >= 0], largest[index >= 0])
    alive = (made > 0) & (read > 0)
    half = np.log2(np.where(alive, read, 1.0) / np.where(alive, made, 1.0)) / 2
    return (np.sign(half) * np.ceil(np.abs(half) - 0.5)).astype(np.int64)


def _scaled_output(layer: FloatConv, factor: Real) -> FloatConv:
    coded = None if layer.coded is None else Coded(layer.coded.levels, layer.coded.scale * factor)
    weight = layer.weight * factor[:, None, None, None]
    return replace(layer, weight=weight, bias=layer.bias * factor, coded=coded)


def _scaled_input(layer: FloatConv, factor: Real) -> FloatConv:
    """``layer`` for an input whose channels are ``factor`` (I,) times as large."""
    each = len(layer.weight) // layer.groups
    per_output = factor.reshape(layer.groups, -1).repeat(each, axis=0)
    coded = None if layer.coded is None else Coded(layer.coded.levels, layer.coded.scale / per_output[:, 0])
    weight = layer.weight / per_output[:, None, None, :]
    return replace(layer, weight=weight, pad_value=layer.pad_value * factor, coded=coded)
