"""Recipes: a random network as a few numbers in JSON, from which the very same network is built again.

A recipe holds no weights. Every layer draws its own from the recipe's seed and the layer's name, so a layer that is
taken out leaves the others as they are, which is what makes a failing network shrinkable. What a smaller network can
no longer hold (a kernel larger than its map, groups that do not divide the channels) is cut to what fits; an addition
of maps that no longer have one shape is a ``ValueError``.

::

    {"seed": 7,
     "inputs": [{"name": "x0", "shape": [5, 4, 2], "interval": [0, 255]}],
     "layers": [{"name": "l0", "kind": "conv", "sources": ["x0"], "outputs": 4, "kernel": [3, 3], ..., "fold": 3,
                 "unroll": 1}],
     "outputs": ["l0"],
     "frames": 3,
     "stalls": {"stall_in": 0.3, "stall_out": 0.0, "seed": 1}}

``fold`` chooses among the legal foldings of the layer, however many there are, and ``unroll`` (default 0) how many taps
it then reads per cycle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import gcd
from typing import Any
from zlib import crc32

import numpy as np

from hwgen.floatnet import PoolKind
from hwgen.interval import Interval
from hwgen.network import Layer, Network, Tensor
from hwgen.sizing.folding import Folding

from .. import networks

__all__ = ["RATE_FRAMES", "Recipe", "build", "build_layer", "data", "describe", "foldings", "input_tensor"]

Recipe = dict[str, Any]

MOST_CYCLES = 1500
"""Of a layer per frame, where it has a folding with as few."""

RATE_FRAMES = 6
"""Frames after which a core that is never stalled has settled to its rate."""


def build(recipe: Recipe) -> Network:
    """The network of ``recipe``. ``ValueError`` when its layers do not fit together."""
    inputs = [input_tensor(entry) for entry in recipe["inputs"]]
    tensors = {tensor.name: tensor for tensor in inputs}
    layers: list[Layer] = []
    for entry in recipe["layers"]:
        layers.append(build_layer(recipe["seed"], entry, [tensors[name] for name in entry["sources"]]))
        tensors[entry["name"]] = layers[-1].output
    return networks.network(*layers, source=inputs, outputs=recipe["outputs"], name="fuzz")


def describe(recipe: Recipe, name: str) -> dict[str, Any]:
    """An input that is like tensor ``name``."""
    tensor = build(recipe).tensor(name)
    return {"name": name, "shape": list(tensor.shape), "interval": [tensor.interval.lo, tensor.interval.hi]}


def foldings(recipe: Recipe, network: Network) -> list[Folding]:
    """The folding that the recipe chooses for every layer, among those that can be simulated in a few seconds."""
    chosen = []
    for entry, layer in zip(recipe["layers"], network.layers, strict=True):
        legal = _quick(layer, networks.foldings(layer))
        wider = networks.unrolled(layer, legal[entry["fold"] % len(legal)])
        chosen.append(wider[entry.get("unroll", 0) % len(wider)])
    return chosen


def _quick(layer: Layer, legal: list[Folding]) -> list[Folding]:
    quick = [folding for folding in legal if folding.cycles(layer) <= MOST_CYCLES]
    return quick or [min(legal, key=lambda folding: folding.cycles(layer))]


def data(recipe: Recipe, network: Network) -> Any:
    """The recipe's input frames, as ``reference.run`` takes them."""
    return networks.input_frames(np.random.default_rng([recipe["seed"], 0]), network, recipe["frames"])


def input_tensor(entry: Mapping[str, Any]) -> Tensor:
    return networks.tensor(entry["shape"], Interval(*entry["interval"]), entry["name"])


def build_layer(seed: int, entry: Mapping[str, Any], sources: Sequence[Tensor]) -> Layer:
    """The layer of one entry of a recipe, which reads ``sources``."""
    rng = np.random.default_rng([seed, crc32(entry["name"].encode())])
    output = Interval(*entry["interval"]) if "interval" in entry else None
    return _BUILDERS[entry["kind"]](rng, entry, sources, output)


def _window(entry: Mapping[str, Any], source: Tensor) -> dict[str, Any]:
    """Kernel, stride, pads and dilation; a kernel that is larger than the padded map is cut."""
    pads, dilation = entry["pads"], entry["dilation"]
    room = [source.shape[axis] + pads[axis] + pads[axis + 2] for axis in range(2)]
    kernel = tuple(min(entry["kernel"][axis], (room[axis] - 1) // dilation[axis] + 1) for axis in range(2))
    return {"kernel": kernel, "stride": tuple(entry["stride"]), "pads": tuple(pads), "dilation": tuple(dilation)}


def _conv(rng, entry, sources, output):
    """``groups`` 0: depthwise, with as many outputs as inputs."""
    (source,) = sources
    inputs = source.shape[2]
    outputs = entry["outputs"] if entry["groups"] else inputs
    groups = gcd(entry["groups"], inputs, outputs) if entry["groups"] else inputs
    return networks.conv(
        rng,
        source,
        outputs,
        **_window(entry, source),
        groups=groups,
        book=entry["book"],
        output=output,
        scale=float(rng.uniform(0.01, 10)),
        coarse=entry["coarse"],
        name=entry["name"],
    )


def _pool(rng, entry, sources, output):
    return networks.pool(
        rng,
        sources[0],
        PoolKind(entry["pool"]),
        **_window(entry, sources[0]),
        count_inside=entry["count_inside"],
        output=output,
        coarse=entry["coarse"],
        name=entry["name"],
    )


def _add(rng, entry, sources, output):
    scale = float(rng.uniform(0.01, 10))
    return networks.add(rng, sources, output=output, scale=scale, coarse=entry["coarse"], name=entry["name"])


def _concat(rng, entry, sources, output):
    return networks.concat(rng, sources, output=output, coarse=entry["coarse"], name=entry["name"])


def _table(rng, entry, sources, output):
    scale = float(rng.uniform(0.01, 10))
    return networks.table(
        rng, sources[0], per_channel=entry["per_channel"], output=output, scale=scale, name=entry["name"]
    )


def _crop(rng, entry, sources, output):
    """``y`` and ``x``: start, stop and step; outside the map lies padding. ``channels``: the same, in any direction."""
    (source,) = sources
    channels = list(range(source.shape[2]))[slice(*entry["channels"])] or [0]
    y, x = (range(*entry[axis]) for axis in "yx")
    return networks.crop(source, y, x, channels, name=entry["name"])


def _upsample(rng, entry, sources, output):
    return networks.upsample(sources[0], entry["factor"], name=entry["name"])


def _depth_to_space(rng, entry, sources, output):
    block = max(block for block in range(1, entry["factor"] + 1) if sources[0].shape[2] % block**2 == 0)
    return networks.depth_to_space(sources[0], block, name=entry["name"])


def _shuffle(rng, entry, sources, output):
    height, width, channels = sources[0].shape
    return networks.crop(sources[0], range(height), range(width), rng.permutation(channels), name=entry["name"])


def _remap(rng, entry, sources, output):
    """Any map of the shape ``outputs`` that a Remap allows: skipped, repeated and empty rows, columns in any order."""
    (source,) = sources
    height, width, channels = source.shape
    row_offset, column, channel = rng.multinomial(width * channels - 1, [1 / 3] * 3).tolist()

    def some(count: int, below: int, empty: float) -> np.ndarray:
        return np.where(rng.random(count) < empty, -1, rng.integers(0, below, count))

    rows, columns, depth = entry["outputs"]
    taken = np.where(rng.random(rows) < 0.2, -1, np.sort(rng.integers(0, height, rows)))
    return networks.remap(
        source,
        taken,
        some(columns, column + 1, 0.1),
        some(depth, channel + 1, 0.1),
        row_offset=rng.integers(0, row_offset + 1, rows),
        fill=int(rng.integers(source.interval.lo, source.interval.hi + 1)),
        name=entry["name"],
    )


_BUILDERS = {
    "conv": _conv,
    "pool": _pool,
    "add": _add,
    "concat": _concat,
    "table": _table,
    "crop": _crop,
    "upsample": _upsample,
    "depth_to_space": _depth_to_space,
    "shuffle": _shuffle,
    "remap": _remap,
}
