"""What holds for every weight method: one check that the tests of each call."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.codes import Codebook
from hwgen.floatnet import FloatConv, FloatInput, FloatNetwork
from hwgen.network import Conv, Network
from hwgen.quantize import quantize
from hwgen.quantize.methods import Problem
from hwgen.reference import dequantized, quantize_input, run

from ..conftest import random_conv


def convs(network: Network) -> list[Conv]:
    return [layer for layer in network.layers if isinstance(layer, Conv)]


def real(network: Network) -> list[np.ndarray]:
    """The weights that the codes of each layer stand for."""
    return [c.codebook.decode(c.codes) * c.weight_scale[:, None, None, None] for c in convs(network)]


def frames(network: FloatNetwork, count: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {source.name: rng.normal(0.3, 1, (count, *source.shape)) for source in network.inputs}


def check_network(model: FloatNetwork, method: str, code: str) -> Network:
    """``model`` quantized: the same twice, scales on the grid, and the integer reference equal to its float twin."""
    network, again = (quantize(model, frames(model, 20, 0), code=code, method=method) for _ in range(2))
    for one, two in zip(convs(network), convs(again), strict=True):
        assert (one.codes == two.codes).all()
        assert (one.requant.mul == two.requant.mul).all()
        assert (one.requant.add == two.requant.add).all()
        ratio = one.output.scale / network.tensor(one.source).scale
        assert (one.weight_scale == ratio * one.requant.mul / 2.0**one.requant.shift).all()
    assert network.notes == again.notes
    x = quantize_input(network, frames(model, 20, 1))
    twin = dequantized(network, x, every=True)
    assert all((values == twin[name]).all() for name, values in run(network, x, every=True).items())
    return network


def wide_network(seed: int, tail: int | None = None) -> FloatNetwork:
    """Channels in eights: a first layer, a 3x3, a depthwise, a grouped, and a 1x1 layer. Input 6x6x3.

    Weights are Gaussian, or of Student's t with ``tail`` degrees of freedom. Output channel 2 of the 3x3 layer is zero.
    """
    rng = np.random.default_rng(seed)
    layers: list[FloatConv] = []
    shape = (6, 6, 3)
    for name, outputs, kernel, rest in (
        ("first", 16, (3, 3), {"pads": (1, 1, 1, 1)}),
        ("body", 16, (3, 3), {"pads": (1, 1, 1, 1)}),
        ("depthwise", 16, (3, 3), {"groups": 16}),
        ("grouped", 24, (1, 1), {"groups": 2}),
        ("last", 10, (4, 4), {}),
    ):
        layer = random_conv(rng, name, layers[-1].name if layers else "input", shape, outputs, kernel, **rest)
        size = layer.weight.shape
        layer.weight[:] = (rng.normal(0, 1, size) if tail is None else rng.standard_t(tail, size)) / np.sqrt(
            layer.weight[0].size
        )
        layers.append(layer)
        shape = layer.output_shape
    layers[1].weight[2] = 0
    return FloatNetwork("wide", (FloatInput("input", (6, 6, 3)),), tuple(layers), ("last",))


def weights_only(layer: FloatConv, book: Codebook, importance: np.ndarray | None = None) -> Problem:
    """The problem of ``layer`` for a method that looks at its weights and their importance, and at no data."""
    given = np.ones_like(layer.weight) if importance is None else importance
    unused = lambda *_: pytest.fail("not needed")  # noqa: E731
    return Problem(layer, book, 0.02, given, unused, unused)


def single_network(weight: float) -> FloatNetwork:
    """One layer of one weight."""
    layer = random_conv(np.random.default_rng(0), "dense", "x", (1, 1, 1), 1, (1, 1))
    layer.weight[:] = weight
    return FloatNetwork("n", (FloatInput("x", (1, 1, 1)),), (layer,), ("dense",))


def zero_network() -> FloatNetwork:
    """Two layers without weights, the second of eight inputs."""
    rng = np.random.default_rng(0)
    first, second = random_conv(rng, "a", "x", (1, 1, 4), 8, (1, 1)), random_conv(rng, "b", "a", (1, 1, 8), 3, (1, 1))
    for layer in (first, second):
        layer.weight[:] = 0
    return FloatNetwork("n", (FloatInput("x", (1, 1, 4)),), (first, second), ("b",))
