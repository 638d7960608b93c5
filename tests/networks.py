"""Small random quantized layers and networks: legal in every respect, with values that reach rounding and clipping.

Scales fit the integers, as those of the quantizer do, so that the float twin computes the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from hwgen.codes import CODES, signed_terms
from hwgen.floatnet import PoolKind, window_shape
from hwgen.interval import Interval
from hwgen.network import (
    MANTISSAS,
    RESCALE_TERMS,
    Add,
    Concat,
    Conv,
    Layer,
    Network,
    Pool,
    Requant,
    Rescale,
    Table,
    Tensor,
)
from hwgen.sizing.bounds import accumulators, addition, window_sum
from hwgen.sizing.folding import Folding, divisors

from .remaps import crop, depth_to_space, remap, upsample

__all__ = [
    "BYTE", "SIGNED", "add", "concat", "conv", "crop", "depth_to_space", "depthwise", "foldings", "frames",
    "input_frames", "network", "pool", "remap", "requant", "table", "tensor", "upsample",
]  # fmt: skip

BYTE = Interval(0, 255)
SIGNED = Interval(-128, 127)

FACTORS = [mul for mul in range(1, 256) if len(signed_terms(mul)) <= RESCALE_TERMS]
"""Factors of a whole tensor."""


def tensor(shape: Sequence[int], interval: Interval = BYTE, name: str = "x", scale: float = 1.0) -> Tensor:
    return Tensor(name, (shape[0], shape[1], shape[2]), interval, scale)


def _shift(reach: int, output: Interval, overshoot: int) -> int:
    """The shift that brings ``reach`` to ``2**overshoot`` times ``output``."""
    return max(1, reach.bit_length() - output.bits - overshoot)


def _biases(rng: np.random.Generator, count: int, shift: int, output: Interval, coarse: bool) -> np.ndarray:
    """A few output units of bias, the rounding half included; ``coarse``: in eighths, so that ties occur."""
    step = 1 << shift
    units = min(8, (output.hi - output.lo + 1) // 2)
    bias = rng.integers(-units * step, units * step, count)
    return (bias - bias % max(step // 8, 1) if coarse else bias) + step // 2


def requant(
    rng: np.random.Generator,
    channels: int,
    acc: Interval,
    output: Interval,
    *,
    coarse: bool = False,
    overshoot: int = 3,
) -> Requant:
    """Random factors and biases whose result covers ``output``.

    The extremes of ``acc`` overshoot it by ``overshoot`` bits: a sum of many products seldom comes near its extremes.
    """
    mul = np.array([int(rng.choice(MANTISSAS)) << int(rng.integers(0, 3)) for _ in range(channels)])
    shift = _shift(max(abs(acc.lo), abs(acc.hi), 1) * int(mul.max()), output, overshoot)
    return Requant(mul, _biases(rng, channels, shift, output, coarse), shift, output.lo, output.hi)


def conv(
    rng: np.random.Generator,
    source: Tensor,
    outputs: int,
    kernel: tuple[int, int],
    *,
    stride: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    book: str = "e2m1",
    output: Interval = BYTE,
    scale: float = 1.0,
    coarse: bool = False,
    name: str = "conv",
) -> Conv:
    """A convolution with random codes; outside the map a random nonzero value per channel."""
    codes = CODES[book]
    inputs = source.shape[2]
    levels = rng.choice(codes.sorted_levels, (outputs, *kernel, inputs // groups))
    shape = window_shape(source.shape, kernel, stride, pads, outputs, dilation)

    def layer(requantization: Requant) -> Conv:
        return Conv(
            name,
            source.name,
            source.shape,
            codes.encode(levels),
            codes,
            scale / source.scale * requantization.mul / 2.0**requantization.shift,
            pad_value,
            stride,
            pads,
            requantization,
            Tensor(name, shape, output, scale),
            dilation,
            groups,
        )

    pad_value = rng.integers(source.interval.lo, source.interval.hi + 1, inputs)
    placeholder = Requant(np.ones(outputs, np.int64), np.zeros(outputs, np.int64), 0, output.lo, output.hi)
    acc = Interval.hull(accumulators(layer(placeholder), source.interval))
    return layer(requant(rng, outputs, acc, output, coarse=coarse))


def depthwise(rng: np.random.Generator, source: Tensor, kernel: tuple[int, int], **options) -> Conv:
    """A convolution of every channel on its own."""
    return conv(rng, source, source.shape[2], kernel, groups=source.shape[2], **options)


def inside(size: int, kernel: int, stride: int, pad: int, dilation: int, count: int) -> tuple[int, ...]:
    """How many taps of each of ``count`` windows along one axis lie inside the map: a divisor each, at least 1."""
    return tuple(
        max(1, sum(0 <= at * stride - pad + tap * dilation < size for tap in range(kernel))) for at in range(count)
    )


def pool(
    rng: np.random.Generator,
    source: Tensor,
    kind: PoolKind,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    *,
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
    count_inside: bool = False,
    output: Interval | None = None,
    coarse: bool = False,
    name: str = "pool",
) -> Pool:
    """A maximum, or an average with one random factor for all channels (as the quantizer makes it).

    ``count_inside``: an average that divides by the taps inside the map, so with a factor for each such number.
    """
    channels = source.shape[2]
    shape = window_shape(source.shape, kernel, stride, pads, channels, dilation)
    interval = source.interval if kind is PoolKind.MAX else output or source.interval
    counts = tuple(
        inside(source.shape[axis], kernel[axis], stride[axis], pads[axis], dilation[axis], shape[axis])
        for axis in range(2)
    )
    divided = (counts[0], counts[1]) if count_inside and kind is PoolKind.AVERAGE else None

    def layer(requantization: Requant | None, scale: float = source.scale) -> Pool:
        result = Tensor(name, shape, interval, scale)
        return Pool(
            name,
            source.name,
            source.shape,
            kind,
            kernel,
            stride,
            pads,
            requantization,
            result,
            dilation,
            divided,
        )

    unscaled = layer(None)
    if kind is PoolKind.MAX:
        return unscaled
    acc = window_sum(unscaled, source.interval)
    if divided is not None:
        return layer(requant(rng, len(unscaled.distinct_divisors), acc, interval, coarse=coarse, overshoot=1))
    one = requant(rng, 1, acc, interval, coarse=coarse, overshoot=1)
    area = kernel[0] * kernel[1]
    return layer(
        Requant(one.mul.repeat(channels), one.add.repeat(channels), one.shift, one.lo, one.hi),
        source.scale * 2.0**one.shift / (area * int(one.mul[0])),
    )


def add(
    rng: np.random.Generator,
    sources: Sequence[Tensor],
    *,
    output: Interval = BYTE,
    scale: float = 1.0,
    coarse: bool = False,
    name: str = "add",
) -> Add:
    """A sum with random factors, half of them negative where a tensor is signed or there is one before it."""
    mul = [int(rng.choice(FACTORS)) * int(rng.choice([1, -1]) if index else 1) for index in range(len(sources))]
    names = tuple(source.name for source in sources)
    shape = sources[0].shape
    zeros = np.zeros(shape[2], np.int64)
    bare = Add(name, names, tuple(mul), zeros, 0, output.lo, output.hi, Tensor(name, shape, output, scale))
    acc = addition(bare, [source.interval for source in sources])
    shift = _shift(max(abs(acc.lo), abs(acc.hi), 1), output, 1)
    return Add(
        name,
        names,
        tuple(mul),
        _biases(rng, shape[2], shift, output, coarse),
        shift,
        output.lo,
        output.hi,
        Tensor(name, shape, output, scale),
    )


def concat(
    rng: np.random.Generator,
    sources: Sequence[Tensor],
    *,
    output: Interval | None = None,
    coarse: bool = False,
    name: str = "concat",
) -> Concat:
    """The sources' channels after each other.

    ``output``: every source is rescaled to it by a random factor, or some of them where their own interval fits into
    it. Without it nothing is rescaled. The first source that is not rescaled gives the output its unit.
    """

    def rule(source: Tensor) -> Rescale | None:
        if output is None or (source.interval | output == output and source.scale == unit and rng.random() < 0.5):
            return None
        mul = int(rng.choice(FACTORS))
        shift = _shift(max(abs(source.interval.lo), abs(source.interval.hi), 1) * mul, output, 1)
        return Rescale(mul, int(_biases(rng, 1, shift, output, coarse)[0]), shift, output.lo, output.hi)

    unit = sources[0].scale
    rescale = tuple(rule(source) for source in sources)
    interval = Interval.hull(
        [
            source.interval if part is None else Interval(part.lo, part.hi)
            for source, part in zip(sources, rescale, strict=True)
        ]
    )
    height, width, _ = sources[0].shape
    shape = (height, width, sum(source.shape[2] for source in sources))
    return Concat(
        name,
        tuple(source.name for source in sources),
        tuple(source.shape for source in sources),
        rescale,
        Tensor(name, shape, interval, unit),
    )


def table(
    rng: np.random.Generator,
    source: Tensor,
    *,
    per_channel: bool = False,
    output: Interval = BYTE,
    scale: float = 1.0,
    name: str = "table",
) -> Table:
    """A table of random values."""
    size = (source.shape[2] if per_channel else 1, source.interval.hi - source.interval.lo + 1)
    values = rng.integers(output.lo, output.hi + 1, size)
    return Table(name, source.name, values, Tensor(name, source.shape, output, scale))


def network(
    *layers: Layer,
    source: Tensor | Sequence[Tensor],
    outputs: Sequence[str] | None = None,
    name: str = "net",
) -> Network:
    """``outputs``: by default the last layer's."""
    inputs = (source,) if isinstance(source, Tensor) else tuple(source)
    return Network(name, inputs, layers, (layers[-1].name,) if outputs is None else tuple(outputs))


def frames(rng: np.random.Generator, source: Tensor, count: int) -> np.ndarray:
    """(N, H, W, C) random integers of ``source``; one in eight is an end of the interval."""
    lo, hi = source.interval.lo, source.interval.hi
    x = rng.integers(lo, hi + 1, (count, *source.shape))
    ends = rng.random(x.shape)
    return np.where(ends < 1 / 16, lo, np.where(ends > 15 / 16, hi, x))


def input_frames(rng: np.random.Generator, net: Network, count: int) -> np.ndarray | dict[str, np.ndarray]:
    """Frames for every input, as ``reference.run`` takes them."""
    data = {source.name: frames(rng, source, count) for source in net.inputs}
    return data if len(data) > 1 else data[net.input.name]


def foldings(layer: Layer) -> list[Folding]:
    """Every legal folding of ``layer`` of one tap per cycle, the smallest first."""
    channels = layer.output.shape[2]
    inputs = getattr(layer, "input_shape", layer.output.shape)[2]
    return [
        folding
        for pe in divisors(channels)
        for simd in divisors(inputs)
        for lanes in divisors(pe)
        if _legal(folding := Folding(pe, simd, lanes), layer)
    ]


def unrolled(layer: Layer, folding: Folding) -> list[Folding]:
    """``folding`` with every legal number of taps per cycle, one first."""
    unrolls = product(*map(divisors, getattr(layer, "kernel", (1, 1))))
    return [wider for unroll in unrolls if _legal(wider := replace(folding, unroll=unroll), layer)]


def _legal(folding: Folding, layer: Layer) -> bool:
    try:
        folding.validate(layer)
    except ValueError:
        return False
    return True
