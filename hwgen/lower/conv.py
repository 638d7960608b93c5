"""Conv: one or two axes, any stride, padding, dilation and groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..floatnet import FloatConv, Layout
from ..importers.graph import Node
from .builder import Builder, Source
from .coded import IntArray, recoded
from .function import Array
from .reader import Reader
from .value import Base, Value
from .view import border, natural
from .window import Pads, read_window

__all__ = ["OPERATORS", "convolution", "read_codes", "read_conv", "read_weight"]


def read_weight(reader: Reader, channels: int, rank: int) -> tuple[Array, int]:
    """The weight as (outputs or inputs, per group, kh, kw), as the model has it, and the number of groups."""
    weight = reader.constant(1, "weight")
    if weight.ndim != rank + 2 or 0 in weight.shape:
        raise reader.error(f"its weight of shape {weight.shape} does not fit its input; export again")
    kernel = weight.shape[2:]
    reader.only("kernel_shape", reader.integers("kernel_shape", kernel, rank), kernel)
    groups = reader.integer("group", 1)
    if groups < 1 or channels % groups:
        raise reader.error(f"its {channels} channels cannot be divided into {groups} groups; export again")
    return weight if rank == 2 else weight[:, :, None, :], groups


def read_codes(reader: Reader, rank: int) -> IntArray | None:
    """The levels of the weight that :func:`read_weight` reads, in the same shape."""
    levels = reader.levels(1)
    return levels if levels is None or rank == 2 else levels[:, :, None, :]


def read_bias(reader: Reader, outputs: int) -> Array:
    """The bias (outputs,), zero where there is none."""
    bias = reader.constant(2, "bias") if reader.has(2) else np.zeros(outputs)
    if bias.shape != (outputs,):
        raise reader.error(f"its bias of shape {bias.shape} does not fit {outputs} outputs; export again")
    return bias


def read_conv(builder: Builder, reader: Reader) -> Value:
    """Conv with constant weights (O, I / groups, kh, kw) and an optional constant bias (O,)."""
    value, size = reader.image()
    channels = value.shape[1]
    weight, groups = read_weight(reader, channels, len(size))
    levels, outputs = read_codes(reader, len(size)), weight.shape[0]
    if weight.shape[1] * groups != channels or outputs % groups:
        raise reader.error(f"its weight of shape {weight.shape} does not fit {channels} input channels; export again")
    bias = read_bias(reader, outputs)
    window = read_window(reader, weight.shape[4 - len(size) :], size, channels)
    source = builder.source(reader.node, value, Layout.CHANNEL_FIRST)
    layer = FloatConv(
        "",
        "",
        weight.transpose(0, 2, 3, 1),
        bias,
        (0, 0, channels),
        np.zeros(channels),
        window.stride,
        window.pads,
        dilation=window.dilation,
        groups=groups,
        coded=recoded(levels if levels is None else levels.transpose(0, 2, 3, 1), weight.transpose(0, 2, 3, 1)),
    )
    base = convolution(builder, reader.node, source, layer)
    shape = (1, outputs, *window.output[2 - len(size) :])
    return builder.output(base, shape, Layout.CHANNEL_FIRST, reader.node)


def convolution(builder: Builder, node: Node, source: Source, layer: FloatConv) -> Base:
    """``layer`` of ``source``, whose scaling goes into the weights.

    layer: in terms of the model's values; its name, source, input shape and padding values are still to be filled in.
    """
    source, pads, fill = _padded(builder, node, source, layer.pads)
    if any(pads) and ((source.factor == 0) & (source.offset != fill)).any():
        source = builder.unscaled(node, source)  # no raw value would be the model's padding
    inputs = layer.weight.shape[3]
    group = np.arange(layer.weight.shape[0]) // (layer.weight.shape[0] // layer.groups)
    members = group[:, None] * inputs + np.arange(inputs)  # (O, I / groups): the input channel of each weight
    bias = layer.bias + np.einsum("oyxi,oi->o", layer.weight, source.offset[members])
    weight = layer.weight * source.factor[members][:, None, None, :]
    # The model pads with ``fill``; the layer sees raw values, where that is another number.
    raw = (fill - source.offset) / np.where(source.factor == 0, 1, source.factor)
    layer = replace(
        layer,
        name=builder.layer_name(node),
        source=source.base.name,
        weight=weight,
        bias=bias,
        input_shape=source.shape,
        pad_value=raw if any(pads) else np.zeros_like(raw),
        pads=pads,
        coded=recoded(layer.coded, weight),
    )
    return builder.append(layer, (source.value,))


def _padded(builder: Builder, node: Node, source: Source, pads: Pads) -> tuple[Source, Pads, Array]:
    """``source`` in natural order, the padding, and its value per channel; a border of constants becomes padding."""
    around, inside = border(source.index)
    channels = source.index.shape[2]
    if any(around) and natural(inside, source.shape):
        fills = np.broadcast_to(source.fill, source.index.shape)[source.index < 0].reshape(-1, channels)
        if (fills == fills[0]).all() and (not any(pads) or not fills.any()):
            total: Pads = tuple(a + b for a, b in zip(around, pads, strict=True))  # type: ignore[assignment]
            return replace(source, index=inside, fill=np.zeros(())), total, fills[0]
    return builder.arranged(node, source), pads, np.zeros(channels)


OPERATORS = {"Conv": read_conv}
