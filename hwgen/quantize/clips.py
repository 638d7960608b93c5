"""Activations after a maximum pool move into the layer before it.

A clip is monotone, so ``clip(max(window)) == max(clip(window))``: after this a maximum pool is only ever a maximum.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import HwgenError
from ..floatnet import FloatLayer, FloatNetwork, FloatPool, PoolKind
from ..interval import Interval

__all__ = ["push_clips"]


def _compose(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """The clip that equals ``first`` followed by ``second``."""
    return (
        min(max(first[0], second[0]), second[1]),
        min(max(first[1], second[0]), second[1]),
    )


def push_clips(network: FloatNetwork, interval: Interval, scale: float) -> FloatNetwork:
    """``network`` with no clip on any maximum pool; it computes the same.

    interval, scale: of the input. A clip that reaches the input must not change any of its values, else
    :class:`HwgenError`: there is no layer to hold it.
    """
    layers: list[FloatLayer] = list(network.layers)
    for index in range(len(layers) - 1, -1, -1):
        layer = layers[index]
        if not isinstance(layer, FloatPool) or layer.kind is not PoolKind.MAX:
            continue
        if index:
            before = layers[index - 1]
            layers[index - 1] = replace(before, clip=_compose(before.clip, layer.clip))
        elif layer.clip[0] > interval.lo * scale or layer.clip[1] < interval.hi * scale:
            raise HwgenError(
                f"layer {layer.name!r} pools the input and then clips it to {layer.clip[0]:g}..{layer.clip[1]:g}; "
                "remove the activation, or clip the data instead"
            )
        layers[index] = replace(layer, clip=(float("-inf"), float("inf")))
    return replace(network, layers=tuple(layers))
