"""Checks of a :class:`~hwgen.network.Network`: that its sources, shapes, intervals and arrays fit together."""

from __future__ import annotations

import numpy as np

from .codes import signed_terms
from .floatnet import PoolKind, window_shape
from .interval import Interval
from .network import RESCALE_TERMS, Add, Concat, Conv, Layer, Network, Pool, Remap, Table, Tensor

__all__ = ["validate"]


def validate(network: Network) -> None:
    """Raise ``ValueError``, one sentence that names the layer, for what is wrong with ``network``."""
    if not network.inputs or not network.outputs:
        raise ValueError("a network must have at least one input and one output")
    if not network.layers:
        raise ValueError("a network must have at least one layer")
    if len(network.layouts) != len(network.inputs):
        raise ValueError(f"there must be {len(network.inputs)} layouts, not {len(network.layouts)}")
    known: dict[str, Tensor] = {}
    for tensor in network.inputs:
        _new(tensor.name, tensor, known)
    for layer in network.layers:
        sources = []
        for name in layer.sources:
            if name not in known:
                raise ValueError(f"{layer.name}: its source {name!r} must be an input or an earlier layer")
            sources.append(known[name])
        if layer.output.name != layer.name:
            raise ValueError(f"{layer.name}: its output must have the layer's name, not {layer.output.name!r}")
        shape, interval = _check(layer, sources)
        if layer.output.shape != shape:
            raise ValueError(f"{layer.name}: output shape must be {shape}, not {layer.output.shape}")
        if layer.output.interval != interval:
            raise ValueError(f"{layer.name}: output interval must be {interval}, not {layer.output.interval}")
        _new(layer.name, layer.output, known)
    for name in network.outputs:
        if name not in known:
            raise ValueError(f"output {name!r} must be a tensor of the network")
    used = {name for layer in network.layers for name in layer.sources} | set(network.outputs)
    for name in known:
        if name not in used:
            raise ValueError(f"{name}: nothing reads this tensor, and it is not an output")


def _new(name: str, tensor: Tensor, known: dict[str, Tensor]) -> None:
    if name in known:
        raise ValueError(f"{name}: tensor name {name!r} must not be in use before")
    known[name] = tensor


def _check(layer: Layer, sources: list[Tensor]) -> tuple[tuple[int, int, int], Interval]:
    """Checks of one layer; the shape and the interval that its output must have."""
    source = sources[0]
    if isinstance(layer, Conv | Pool | Remap) and layer.input_shape != source.shape:
        raise ValueError(f"{layer.name}: input shape must be {source.shape}, not {layer.input_shape}")
    match layer:
        case Conv():
            return _conv(layer, source)
        case Pool():
            return _pool(layer, source)
        case Add():
            return _add(layer, sources)
        case Concat():
            return _concat(layer, sources)
        case Table():
            return _table(layer, source)
        case Remap():
            return _remap(layer, source)


def _conv(layer: Conv, source: Tensor) -> tuple[tuple[int, int, int], Interval]:
    outputs, inputs = layer.codes.shape[0], source.shape[2]
    if inputs % layer.groups or outputs % layer.groups or layer.codes.shape[3] * layer.groups != inputs:
        raise ValueError(f"{layer.name}: {layer.groups} groups do not fit {inputs} to {outputs} channels")
    if layer.pad_value.shape != (inputs,) or layer.weight_scale.shape != (outputs,):
        raise ValueError(f"{layer.name}: it must have {inputs} padding values and {outputs} weight scales")
    if layer.requant.mul.shape != (outputs,):
        raise ValueError(f"{layer.name}: requantization must have {outputs} channels")
    shape = window_shape(source.shape, layer.kernel, layer.stride, layer.pads, outputs, layer.dilation)
    return shape, Interval(layer.requant.lo, layer.requant.hi)


def _pool(layer: Pool, source: Tensor) -> tuple[tuple[int, int, int], Interval]:
    shape = window_shape(source.shape, layer.kernel, layer.stride, layer.pads, source.shape[2], layer.dilation)
    if (layer.requant is None) != (layer.kind is PoolKind.MAX):
        raise ValueError(f"{layer.name}: an average, and only that, must have a requantization")
    if layer.divisors is not None and tuple(map(len, layer.divisors)) != shape[:2]:
        raise ValueError(f"{layer.name}: divisors must be one for each of {shape[0]} rows and {shape[1]} columns")
    if layer.requant is None:
        return shape, source.interval
    entries = source.shape[2] if layer.divisors is None else len(layer.distinct_divisors)
    if layer.requant.mul.shape != (entries,):
        raise ValueError(f"{layer.name}: requantization must have {entries} channels")
    return shape, Interval(layer.requant.lo, layer.requant.hi)


def _add(layer: Add, sources: list[Tensor]) -> tuple[tuple[int, int, int], Interval]:
    shape = sources[0].shape
    if len(sources) < 2 or len(layer.mul) != len(sources) or any(tensor.shape != shape for tensor in sources):
        raise ValueError(f"{layer.name}: it must add two or more tensors of one shape, with a factor for each")
    if any(mul == 0 or len(signed_terms(abs(mul))) > RESCALE_TERMS for mul in layer.mul):
        raise ValueError(f"{layer.name}: mul must be sums of at most {RESCALE_TERMS} powers of two, not {layer.mul}")
    if layer.add.shape != shape[2:] or layer.shift < 0 or layer.lo > layer.hi:
        raise ValueError(f"{layer.name}: it must have {shape[2]} biases, shift >= 0 and lo <= hi")
    return shape, Interval(layer.lo, layer.hi)


def _concat(layer: Concat, sources: list[Tensor]) -> tuple[tuple[int, int, int], Interval]:
    shapes = tuple(tensor.shape for tensor in sources)
    if layer.input_shapes != shapes or len({shape[:2] for shape in shapes}) != 1:
        raise ValueError(f"{layer.name}: its maps must be {shapes}, of one height and width, not {layer.input_shapes}")
    if len(layer.rescale) != len(sources):
        raise ValueError(f"{layer.name}: there must be {len(sources)} rescalings, not {len(layer.rescale)}")
    intervals = [
        tensor.interval if rule is None else Interval(rule.lo, rule.hi)
        for tensor, rule in zip(sources, layer.rescale, strict=True)
    ]
    height, width, _ = shapes[0]
    hull = Interval(min(part.lo for part in intervals), max(part.hi for part in intervals))
    return (height, width, sum(shape[2] for shape in shapes)), hull


def _table(layer: Table, source: Tensor) -> tuple[tuple[int, int, int], Interval]:
    size = source.interval.hi - source.interval.lo + 1
    if layer.values.ndim != 2 or layer.values.shape[0] not in (1, source.shape[2]) or layer.values.shape[1] != size:
        raise ValueError(f"{layer.name}: its table must be 1 or {source.shape[2]} rows of {size} values")
    # Any interval that holds the table's values will do: a tensor that calibration gave 8 bits keeps them.
    interval = layer.output.interval
    if int(layer.values.min()) not in interval or int(layer.values.max()) not in interval:
        raise ValueError(f"{layer.name}: its table must hold values of {interval} only")
    return source.shape, interval


def _remap(layer: Remap, source: Tensor) -> tuple[tuple[int, int, int], Interval]:
    height, width, channels = source.shape
    shape = (len(layer.rows), len(layer.columns), len(layer.channels))
    if min(shape) < 1 or layer.row_offset.shape != layer.rows.shape:
        raise ValueError(f"{layer.name}: it must have rows, columns and channels, and an offset for every row")
    real = layer.rows[layer.rows >= 0]
    if (np.diff(real) < 0).any() or (real.size and int(real.max()) >= height):
        raise ValueError(f"{layer.name}: its rows must not decrease and lie below {height}")
    if min(int(part.min()) for part in (layer.rows, layer.columns, layer.channels)) < -1:
        raise ValueError(f"{layer.name}: its rows, columns and channels must be -1 or more")
    parts = (layer.row_offset, layer.columns, layer.channels)
    if int(layer.row_offset.min()) < 0 or sum(int(part.max()) for part in parts) >= width * channels:
        raise ValueError(f"{layer.name}: its offsets must lie inside a row of {width * channels} values")
    if layer.fill not in source.interval:
        raise ValueError(f"{layer.name}: fill must lie in {source.interval}, not {layer.fill}")
    return shape, source.interval
