"""MaxPool, AveragePool and their global forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..floatnet import FloatConv, FloatPool, Layout, PoolKind
from .builder import Builder, Source
from .function import Array, Function, spread
from .reader import Reader
from .value import Value
from .view import border, natural
from .window import Pads, Window, read_window, real_taps, taps

__all__ = ["OPERATORS", "passes", "pool", "read_pool"]

_KINDS = {
    "AveragePool": PoolKind.AVERAGE,
    "GlobalAveragePool": PoolKind.AVERAGE,
    "GlobalMaxPool": PoolKind.MAX,
    "MaxPool": PoolKind.MAX,
}


def passes(layer: FloatPool, factor: Array, offset: Array) -> bool:
    """Whether pooling and an affine may change places: padding of a maximum never wins, that of an average is zero."""
    if layer.kind is PoolKind.MAX:
        return bool((factor >= 0).all())
    return not any(layer.pads) or not offset.any() or layer.divisors == real_taps(layer)


def pool(builder: Builder, reader: Reader, source: Source, layer: FloatPool, shape: tuple[int, ...]) -> Value:
    """The value of ``layer``, which reads ``source`` in natural order; its scaling moves behind the pool.

    layer: its name and source are still to be filled in. shape: the model's, channel-first.
    """
    if not passes(layer, source.factor, source.offset):
        source = builder.unscaled(reader.node, source)
    layer = replace(layer, name=builder.layer_name(reader.node), source=source.base.name)
    base = builder.append(layer, (source.value,))
    height, width, _ = layer.output_shape
    function = Function.of_affine(spread(source.factor, height * width), spread(source.offset, height * width))
    return replace(builder.output(base, shape, Layout.CHANNEL_FIRST, reader.node), function=function)


def read_pool(builder: Builder, reader: Reader) -> Value:
    """MaxPool and AveragePool (padding of a maximum never wins), with pads, dilations and ``ceil_mode``."""
    kind = _KINDS[reader.node.operator]
    value, size = reader.image()
    kernel = reader.integers("kernel_shape", None, len(size))
    if len(reader.node.outputs) > 1 and reader.node.outputs[1]:
        raise reader.error("its second output, the indices, is not supported")
    window = read_window(reader, kernel, size, value.shape[1])
    source = builder.source(reader.node, value, Layout.CHANNEL_FIRST)
    include = bool(reader.integer("count_include_pad", 0))
    merged = _merged(builder, source, window, kind, include)
    if merged is not None:
        source, window = merged
        include = True
    source = builder.arranged(reader.node, source)
    layer = FloatPool(
        "", "", kind, window.kernel, source.shape, window.stride, window.all_pads, dilation=window.dilation
    )
    if min(min(counts) for counts in real_taps(layer)) < 1:
        raise reader.error(
            f"pads {window.pads} must be smaller than the kernel {window.kernel}; export the model again"
        )
    if kind is PoolKind.AVERAGE:
        layer = replace(layer, divisors=_divisors(layer, window, include))
    shape = (1, source.shape[2], *window.output[2 - len(size) :])
    if shape != reader.output_shape:
        raise reader.error(
            "ceil_mode=1 puts its last window into the padding; export with operator set 22 or without it"
        )
    return pool(builder, reader, source, layer, shape)


def _divisors(layer: FloatPool, window: Window, include: bool) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """What an average divides by: the positions in the map, with ``include`` also those in its padding."""
    counts = []
    for axis in (0, 1):
        before, behind = (window.pads[axis], window.pads[axis + 2]) if include else (0, 0)
        places = taps(
            window.output[axis],
            window.kernel[axis],
            window.stride[axis],
            window.dilation[axis],
            -window.pads[axis],
            -before,
            layer.input_shape[axis] + behind,
        )
        counts.append(tuple(places.tolist()))
    whole = all(count == window.kernel[axis] for axis in (0, 1) for count in counts[axis])
    return None if whole else (counts[0], counts[1])


def _merged(
    builder: Builder, source: Source, window: Window, kind: PoolKind, include: bool
) -> tuple[Source, Window] | None:
    """A border of constants (a Pad) as padding of the pool, where that means the same."""
    pads, inside = border(source.index)
    if not any(pads) or any(window.extra) or not natural(inside, source.shape) or not source.plain:
        return None
    fill = float(np.max(source.fill))
    if kind is PoolKind.AVERAGE:
        same = not np.any(source.fill) and (include or not any(window.pads))
    else:
        # A constant that is below every value never wins, like the padding of a maximum.
        layer = builder.layers.get(source.base.name)
        lowest = layer.clip[0] if isinstance(layer, FloatConv | FloatPool) else -np.inf
        same = fill <= lowest or fill < -1e30
    total: Pads = tuple(a + b for a, b in zip(pads, window.pads, strict=True))  # type: ignore[assignment]
    reach = [d * (k - 1) + 1 for d, k in zip(window.dilation, window.kernel, strict=True)]
    if not same or any(total[end] >= reach[end % 2] for end in range(4)):
        return None
    return replace(source, index=inside), replace(window, pads=total)


def read_global_pool(builder: Builder, reader: Reader) -> Value:
    """GlobalAveragePool and GlobalMaxPool: one window over the whole map."""
    value, size = reader.image()
    source = builder.map(reader.node, value, Layout.CHANNEL_FIRST)
    layer = FloatPool("", "", _KINDS[reader.node.operator], source.shape[:2], source.shape)
    return pool(builder, reader, source, layer, (1, source.shape[2], *(1 for _ in size)))


OPERATORS = {
    "AveragePool": read_pool,
    "GlobalAveragePool": read_global_pool,
    "GlobalMaxPool": read_global_pool,
    "MaxPool": read_pool,
}
