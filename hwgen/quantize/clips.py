"""Activations and number formats behind layers that only move values go to where the values are made.

A maximum pool and a remap have no arithmetic that could clip or round. Both operations are monotone, so
``clip(max(window)) == max(clip(window))``, and either moves into the layer before, where nothing else reads that
layer. Elsewhere a table behind the pool does it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from math import inf

import numpy as np

from ..expression import Apply, Constant, Expression, Operation, Variable
from ..floatnet import Fixed, FloatLayer, FloatNetwork, FloatPool, FloatRemap, FloatTable, PoolKind
from ..network import Tensor

__all__ = ["clip_of", "compose", "moves_only", "push_clips", "readers"]

Clip = tuple[float, float]

NO_CLIP: Clip = (-inf, inf)


def compose(first: Clip, second: Clip) -> Clip:
    """The clip that equals ``first`` followed by ``second``."""
    return (
        min(max(first[0], second[0]), second[1]),
        min(max(first[1], second[0]), second[1]),
    )


def clip_of(layer: FloatLayer) -> Clip:
    """The clip of ``layer``, which not every kind has."""
    return NO_CLIP if isinstance(layer, FloatRemap | FloatTable) else layer.clip


def moves_only(layer: FloatLayer) -> bool:
    """Whether ``layer`` puts out only values that it reads: its output has the unit and the interval of its source."""
    return isinstance(layer, FloatRemap) or (isinstance(layer, FloatPool) and layer.kind is PoolKind.MAX)


def readers(network: FloatNetwork) -> Counter[str]:
    """How often each tensor is read, by layers and as an output of the network."""
    return Counter([name for layer in network.layers for name in layer.sources] + list(network.outputs))


def push_clips(network: FloatNetwork, inputs: Mapping[str, Tensor]) -> FloatNetwork:
    """``network`` with no clip and no format of its own on any layer that only moves values; it computes the same.

    inputs: the network's input tensors by name; a clip that changes none of their values vanishes. A table that has to
    be added takes over the name of its pool or remap.
    """
    return _Pusher(network, inputs).run()


class _Pusher:
    def __init__(self, network: FloatNetwork, inputs: Mapping[str, Tensor]) -> None:
        self._network, self._inputs, self._readers = network, inputs, readers(network)
        self._layers: dict[str, FloatLayer] = {layer.name: layer for layer in network.layers}

    def run(self) -> FloatNetwork:
        tables: dict[str, FloatTable] = {}
        for name in reversed(list(self._layers)):
            layer = self._layers[name]
            clip = clip_of(layer)
            if not moves_only(layer) or (clip == NO_CLIP and layer.fixed is None):
                continue
            assert isinstance(layer, FloatPool | FloatRemap)
            if not self._absorb(layer.source, clip, layer.fixed):
                tables[name] = FloatTable(name, name, layer.output_shape, _clipped(Variable(), clip), layer.fixed)
            elif isinstance(layer, FloatRemap):
                layer = replace(layer, fill=_value(layer.fill, clip, layer.fixed))
            layer = replace(layer, fixed=None)
            self._layers[name] = replace(layer, clip=NO_CLIP) if isinstance(layer, FloatPool) else layer
        return replace(self._network, layers=tuple(self._with_tables(tables)))

    def _absorb(self, name: str, clip: Clip, fixed: Fixed | None) -> bool:
        """Let the tensor ``name`` be clipped and rounded; false, and nothing has changed, where that is impossible."""
        if name in self._inputs:
            tensor = self._inputs[name]
            inside = clip[0] <= tensor.interval.lo * tensor.scale and tensor.interval.hi * tensor.scale <= clip[1]
            return inside and fixed in (None, Fixed(tensor.scale, tensor.interval))
        layer = self._layers[name]
        if clip == NO_CLIP and fixed is not None and layer.fixed == fixed:
            return True
        if self._readers[name] > 1 or not _commutes(layer.fixed, clip, fixed):
            return False
        fixed = layer.fixed or fixed
        if isinstance(layer, FloatRemap):
            if not self._absorb(layer.source, clip, fixed):
                return False
            self._layers[name] = replace(layer, fill=_value(layer.fill, clip, fixed))
        elif isinstance(layer, FloatTable):
            self._layers[name] = replace(layer, function=_clipped(layer.function, clip), fixed=fixed)
        else:
            self._layers[name] = replace(layer, clip=compose(layer.clip, clip), fixed=fixed)
        return True

    def _with_tables(self, tables: Mapping[str, FloatTable]) -> list[FloatLayer]:
        found: list[FloatLayer] = []
        taken = {*self._layers, *self._inputs}
        for layer in self._layers.values():
            if layer.name not in tables:
                found.append(layer)
                continue
            inner = f"{layer.name}_moved"
            while inner in taken:
                inner += "_"
            taken.add(inner)
            found += [replace(layer, name=inner), replace(tables[layer.name], source=inner)]
        return found


def _commutes(own: Fixed | None, clip: Clip, fixed: Fixed | None) -> bool:
    """Whether a clip and the format ``fixed`` behind the format ``own`` come to the same before it."""
    if own is None:
        return True
    return fixed in (None, own) and all(abs(limit) == inf or (limit / own.scale).is_integer() for limit in clip)


def _value(value: float, clip: Clip, fixed: Fixed | None) -> float:
    value = min(max(value, clip[0]), clip[1])
    if fixed is None:
        return value
    return fixed.scale * min(max(round(value / fixed.scale), fixed.interval.lo), fixed.interval.hi)


def _clipped(function: Expression, clip: Clip) -> Expression:
    for operation, limit in zip((Operation.MAX, Operation.MIN), clip, strict=True):
        if abs(limit) < inf:
            function = Apply(operation, (function, Constant(np.array(limit))))
    return function
