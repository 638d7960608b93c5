"""BatchNormalization, and how an affine moves backward into the layer that made its operand."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np

from ..expression import Operation
from ..floatnet import FloatAdd, FloatConv, FloatPool
from .builder import Builder
from .channels import per_channel_or_none
from .coded import recoded
from .elementwise import composed
from .function import IDENTITY, Operand, apply
from .pool import passes
from .reader import Reader
from .value import Value

__all__ = ["OPERATORS", "absorbed", "read_batch_normalization"]

_NO_CLIP = (-inf, inf)


def absorbed(builder: Builder, value: Value) -> Value:
    """``value`` with its pending affine in the layer that made it, where that is linear and made it for nothing else.

    A convolution takes any affine per channel, also through pools; an addition one factor and any offsets.
    """
    layer = builder.owned(value)
    affine = value.function.affine
    if layer is None or affine is None or value.function.identity or value.base is None:
        return value
    gain, shift = (per_channel_or_none(value.base, part, neutral) for part, neutral in zip(affine, (1, 0), strict=True))
    if gain is None or shift is None:
        return value
    channels = layer.output_shape[2:]
    factor, offset = np.broadcast_to(gain, channels), np.broadcast_to(shift, channels)
    while layer is not None:
        match layer:
            case FloatConv(clip=clip, fixed=None) if clip == _NO_CLIP:
                weight, bias = layer.weight * factor[:, None, None, None], layer.bias * factor + offset
                builder.layers[layer.name] = replace(
                    layer, weight=weight, bias=bias, coded=recoded(layer.coded, weight)
                )
                return replace(value, function=IDENTITY)
            case FloatAdd(clip=clip, fixed=None) if clip == _NO_CLIP and factor[0] and (factor == factor[0]).all():
                scale = float(factor[0])
                factors, bias = tuple(scale * part for part in layer.factors), layer.bias * scale + offset
                builder.layers[layer.name] = replace(layer, factors=factors, bias=bias)
                return replace(value, function=IDENTITY)
            case FloatPool(clip=clip, fixed=None) if clip == _NO_CLIP and passes(layer, factor, offset):
                layer = builder.before(layer)
            case _:
                return value
    return value


def read_batch_normalization(builder: Builder, reader: Reader) -> Value:
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias`` per channel, with the statistics of training."""
    reader.only("training_mode", reader.integer("training_mode", 0), 0)
    reader.only("spatial", reader.integer("spatial", 1), 1)
    value = reader.value(0)
    shape = value.shape
    scale, bias, mean, variance = (
        reader.constant(index, what) for index, what in enumerate(("scale", "bias", "mean", "variance"), 1)
    )
    if any(values.shape != shape[1:2] for values in (scale, bias, mean, variance)):
        raise reader.error(f"its parameters must be one value for each of {shape[1]} channels; export again")
    variance = variance + reader.number("epsilon", 1e-5)
    if (variance <= 0).any():
        raise reader.error("its variance plus epsilon must be above zero; train or export again")
    factor = scale / np.sqrt(variance)
    spread = (shape[1], *(1 for _ in shape[2:]))
    constants = [Value.of_constant(part.reshape(spread)) for part in (factor, bias - mean * factor)]
    builder.folded.append(reader.node)
    result = composed(builder, reader.node, _scaled, (value, *constants))
    assert result is not None
    return absorbed(builder, result)


def _scaled(x: Operand, factor: Operand, offset: Operand) -> Operand:
    return apply(Operation.ADD, apply(Operation.MUL, x, factor), offset)


OPERATORS = {"BatchNormalization": read_batch_normalization}
