"""Small random networks with branches, the ones that a core must not hang on."""

from __future__ import annotations

import numpy as np

from hwgen.floatnet import PoolKind
from hwgen.network import Network

from .networks import SIGNED, add, concat, conv, depthwise, network, pool, tensor

SAME = (0, 0, 1, 1)
"""Padding that keeps the map of a 2x2 kernel."""


def residual(rng: np.random.Generator, *, shape=(3, 4, 2), kernel=(2, 2), pads=SAME) -> Network:
    """Two convolutions, the second of which is skipped."""
    source = tensor(shape)
    a = conv(rng, source, shape[2], kernel, pads=pads, name="a")
    b = conv(rng, a.output, shape[2], kernel, pads=pads, name="b")
    c = add(rng, [a.output, b.output], output=SIGNED, name="c")
    return network(a, b, c, source=source)


def downsampling(rng: np.random.Generator) -> Network:
    """A residual block whose skip is a 1x1 convolution of stride 2, right at the input."""
    source = tensor((4, 6, 2))
    a = conv(rng, source, 4, (3, 3), stride=(2, 2), pads=(1, 1, 0, 0), name="a")
    b = conv(rng, a.output, 4, (3, 3), pads=(1, 1, 1, 1), name="b")
    skip = conv(rng, source, 4, (1, 1), stride=(2, 2), name="skip")
    c = add(rng, [skip.output, b.output], name="c")
    d = pool(rng, c.output, PoolKind.AVERAGE, (2, 3), (1, 1), output=SIGNED, name="d")
    return network(a, b, skip, c, d, source=source)


def concatenated(rng: np.random.Generator) -> Network:
    """Three branches of different reach, joined by their channels: a convolution, a pool, and nothing."""
    source = tensor((4, 4, 2))
    a = conv(rng, source, 4, (3, 3), pads=(1, 1, 1, 1), name="a")
    b = pool(rng, source, PoolKind.MAX, (2, 2), (1, 1), pads=SAME, name="b")
    c = concat(rng, [a.output, source, b.output], output=SIGNED, name="c")
    d = conv(rng, c.output, 3, (4, 4), output=SIGNED, name="d")
    return network(a, b, c, d, source=source)


def nested(rng: np.random.Generator) -> Network:
    """A residual block around a concatenation around another residual block, and a tensor added to itself."""
    source = tensor((4, 3, 2))
    a = conv(rng, source, 2, (1, 1), name="a")
    b = conv(rng, a.output, 2, (2, 2), pads=SAME, name="b")
    c = add(rng, [b.output, a.output], name="c")
    d = conv(rng, c.output, 2, (3, 1), pads=(1, 0, 1, 0), name="d")
    e = concat(rng, [a.output, d.output, c.output], name="e")
    f = conv(rng, e.output, 2, (1, 1), name="f")
    g = add(rng, [f.output, source, a.output], name="g")
    h = add(rng, [g.output, g.output], output=SIGNED, name="h")
    return network(a, b, c, d, e, f, g, h, source=source)


def two_ends(rng: np.random.Generator) -> Network:
    """Two inputs and three outputs: one in the middle, one at the end, one an input with nothing done to it."""
    left, right = tensor((4, 4, 2), name="left"), tensor((2, 2, 4), SIGNED, name="right")
    a = conv(rng, left, 4, (3, 3), stride=(2, 2), pads=(1, 1, 0, 0), name="a")
    b = concat(rng, [right, a.output], output=SIGNED, name="b")
    c = conv(rng, b.output, 3, (2, 2), output=SIGNED, name="c")
    return network(a, b, c, source=(left, right), outputs=("a", "c", "right"))


def inverted(rng: np.random.Generator) -> Network:
    """An inverted residual block, depthwise in its middle, beside a branch in groups and a depthwise 1x1."""
    source = tensor((4, 4, 2))
    a = conv(rng, source, 4, (1, 1), name="a")
    b = depthwise(rng, a.output, (3, 3), pads=(2, 2, 2, 2), dilation=(2, 2), name="b")
    c = conv(rng, b.output, 2, (1, 1), name="c")
    d = conv(rng, a.output, 2, (2, 2), pads=SAME, groups=2, name="d")
    e = depthwise(rng, source, (1, 1), name="e")
    f = add(rng, [e.output, c.output, d.output], name="f")
    g = depthwise(rng, f.output, (4, 4), output=SIGNED, name="g")
    return network(a, b, c, d, e, f, g, source=source)


GRAPHS = {
    "residual": residual,
    "downsampling": downsampling,
    "concatenated": concatenated,
    "nested": nested,
    "two_ends": two_ends,
    "inverted": inverted,
}
