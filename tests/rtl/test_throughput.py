"""Layers in a row run at the planned rate: buffers, lane converters and error flags never limit it.

Engines alone are timed in test_conv.py and test_pool.py; here two or more of nearly the same rate depend on each other.
"""

import numpy as np
import pytest

from hwgen.floatnet import PoolKind
from hwgen.network import Network
from hwgen.plan import Folding

from ..networks import conv, frames, network, pool, tensor
from .test_top import check_core

ALL = (1, 1, 1, 1)
NONE = (0, 0, 0, 0)


def check_rate(net: Network, foldings: list[Folding], count: int) -> None:
    """``count`` frames are exact, and the later ones follow each other at the planned distance."""
    height, width, channels = net.input.shape
    words_in = height * width * channels // foldings[0].simd
    planned = [folding.cycles(layer) for layer, folding in zip(net.layers, foldings, strict=True)]
    _, ends = check_core(net, foldings, frames(np.random.default_rng(0), net.input, count))
    later = np.diff(ends)[-(count // 2) :]  # buffers fill during the first frames
    assert later.mean() == max(words_in, int(np.prod(net.output.shape)), *planned)


def two(shape, outputs, kernel, second, kernel2, stride, pads, *, outputs2=4):
    """A convolution that keeps the size of the map, and a layer behind it."""
    rng = np.random.default_rng(0)
    source = tensor(shape)
    fill = (kernel[0] // 2, kernel[1] // 2, (kernel[0] - 1) // 2, (kernel[1] - 1) // 2)
    a = conv(rng, source, outputs, kernel, pads=fill, name="a")
    if second is None:
        b = conv(rng, a.output, outputs2, kernel2, stride=stride, pads=pads, name="b")
    else:
        b = pool(rng, a.output, second, kernel2, stride, pads=pads, name="b")
    return network(a, b, source=source)


# name: (network, foldings, cycles per frame). Alone, both layers of each take nearly as long.
BUFFERED = {
    "overlapping strided pool": (
        two((11, 13, 2), 3, (2, 2), PoolKind.MAX, (3, 3), (2, 2), ALL),
        [Folding(3, 1, 1), Folding(1, 1, 1)],
        1144,
    ),
    "unpadded pool": (
        two((8, 6, 3), 6, (3, 3), PoolKind.MAX, (3, 3), (1, 1), NONE),
        [Folding(2, 3, 2), Folding(1, 1, 1)],
        1296,
    ),
    "strided convolution": (
        two((5, 11, 3), 6, (3, 3), None, (3, 3), (2, 2), NONE),
        [Folding(6, 3, 1), Folding(2, 2, 2)],
        540,
    ),
    "padded strided convolution": (
        two((6, 6, 3), 6, (3, 3), None, (3, 3), (2, 2), ALL),
        [Folding(2, 3, 2), Folding(1, 2, 1)],
        972,
    ),
}


@pytest.mark.parametrize("name", BUFFERED)
def test_a_line_buffer_has_the_slack_that_a_stride_needs(name):
    net, foldings, cycles = BUFFERED[name]
    assert max(folding.cycles(layer) for layer, folding in zip(net.layers, foldings, strict=True)) == cycles
    check_rate(net, foldings, 6)


@pytest.mark.parametrize(("lanes", "simd"), [(6, 4), (4, 6), (3, 4), (4, 3)])
def test_lanes_that_do_not_divide_each_other(lanes, simd):
    """12 channels through lanes whose common divisor would be too slow."""
    rng = np.random.default_rng(0)
    source = tensor((6, 6, 12))
    a = conv(rng, source, 12, (1, 1), name="a")
    b = pool(rng, a.output, PoolKind.MAX, (6, 6), (1, 1), name="b")
    net = network(a, b, source=source)
    check_rate(net, [Folding(12, 12, lanes), Folding(simd, simd, simd)], 6)


def test_many_frames_are_on_their_way_through_tiny_maps():
    """Every pipeline of the chain is filled with frames of one word: one result per cycle."""
    rng = np.random.default_rng(0)
    source = last = tensor((1, 1, 2))
    layers = []
    for index in range(8):
        layers.append(conv(rng, last, 2 if index < 7 else 1, (1, 1), name=f"layer{index}"))
        last = layers[-1].output
    foldings = [Folding(layer.output.shape[2], 2, layer.output.shape[2]) for layer in layers]
    check_rate(network(*layers, source=source), foldings, 600)
