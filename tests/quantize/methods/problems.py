"""Layers with correlated inputs, and their problems, for the tests of weight methods."""

from __future__ import annotations

from math import inf

import numpy as np

from hwgen.quantize.gram import measure, sampled
from hwgen.quantize.methods import Problem
from hwgen.quantize.moments import variance_patch
from hwgen.reference.window import padded, patches

from ..conftest import random_conv

LAYERS = {
    "dense": (6, {}),
    "strided": (6, {"stride": (2, 1), "pads": (1, 1, 1, 0)}),
    "grouped": (4, {"groups": 2, "pads": (0, 2, 0, 0)}),
    "depthwise": (8, {"groups": 4, "dilation": (2, 2), "pads": (2, 2, 2, 2)}),
}
SCALE = 0.25


def case(kind, seed=0):
    """A layer, and inputs of it in float and quantized: (layer, integers, pad, floats).

    Two smooth maps, mixed into four channels, and a little noise: neighbours are correlated, and so are channels.
    """
    rng = np.random.default_rng(seed)
    outputs, rest = LAYERS[kind]
    layer = random_conv(rng, "conv1", "input", (8, 9, 4), outputs, (3, 3), clip=(0.0, inf), **rest)
    smooth = np.cumsum(rng.normal(0, 8, (12, 8, 9, 2)), axis=2)
    floats = (smooth @ rng.normal(0, 1, (2, 4)) + rng.normal(3, 2, (12, 8, 9, 4))).astype(np.float32)
    integers = np.rint((floats + rng.normal(0, 0.2, floats.shape)) / SCALE).astype(np.int32)
    return layer, integers, np.rint(layer.pad_value / SCALE).astype(np.int64), floats


def output(layer, levels_or_weight, x, pad_value):
    """The layer without bias and clip, group by group: (pixels, O)."""
    maps = padded(x.astype(float), layer.pads, pad_value)
    each, outputs = maps.shape[3] // layer.groups, len(layer.weight) // layer.groups
    results = []
    for group in range(layer.groups):
        rows = patches(
            np.ascontiguousarray(maps[..., group * each :][..., :each]), layer.kernel, layer.stride, layer.dilation
        )
        results.append(rows @ levels_or_weight[group * outputs :][:outputs].reshape(outputs, -1).T)
    return np.concatenate(results, axis=1)


def variance_of_error(layer, weight, integers, pad_value, floats):
    """Of the output per channel: the squared error that is left with the best bias."""
    quantized = output(layer, weight, SCALE * integers, SCALE * pad_value)
    return (quantized - output(layer, layer.weight, floats, layer.pad_value)).var(axis=0)


def problem(kind, book, seed=0):
    """The problem of a :func:`case`, with output units as large as the input's."""
    layer, integers, pad, floats = case(kind, seed)
    importance = variance_patch(layer, integers, pad)
    data = layer, SCALE, integers, pad, floats
    return Problem(layer, book, 1.0, importance, lambda: measure(*data), lambda count: sampled(*data, count))


def real(coded):
    """The real weights that the codes stand for."""
    return coded.codebook.decode(coded.codes) * coded.weight_scale[:, None, None, None]
