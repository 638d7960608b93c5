"""Small random quantized networks: legal in every respect, with values chosen to reach rounding and clipping."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgen.bounds import accumulators, window_sum
from hwgen.codes import CODES
from hwgen.floatnet import PoolKind, window_shape
from hwgen.folding import Folding, divisors
from hwgen.interval import Interval
from hwgen.network import MANTISSAS, Conv, Layer, Network, Pool, Requant, Tensor

BYTE = Interval(0, 255)
SIGNED = Interval(-128, 127)


def tensor(shape: Sequence[int], interval: Interval = BYTE, name: str = "x") -> Tensor:
    return Tensor(name, (shape[0], shape[1], shape[2]), interval, 1.0)


def requant(rng: np.random.Generator, channels: int, acc: Interval, output: Interval) -> Requant:
    """Random factors and biases whose result covers ``output`` and overshoots it at the extremes of ``acc``."""
    mul = np.array([int(rng.choice(MANTISSAS)) << int(rng.integers(0, 3)) for _ in range(channels)])
    reach = max(abs(acc.lo), abs(acc.hi), 1) * int(mul.max())
    shift = max(1, reach.bit_length() - output.bits - 3)
    step = 1 << shift
    add = rng.integers(-8 * step, 8 * step, channels) + step // 2
    return Requant(mul, add, shift, output.lo, output.hi)


def conv(
    rng: np.random.Generator,
    source: Tensor,
    outputs: int,
    kernel: tuple[int, int],
    *,
    stride: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    book: str = "e2m1",
    output: Interval = BYTE,
    name: str = "conv",
) -> Conv:
    """A convolution with random codes; outside the map a random nonzero value per channel."""
    codes = CODES[book]
    inputs = source.shape[2]
    levels = rng.choice(codes.sorted_levels, (outputs, *kernel, inputs))
    shape = window_shape(source.shape, kernel, stride, pads, outputs)

    def layer(requantization: Requant) -> Conv:
        return Conv(
            name,
            source.name,
            source.shape,
            codes.encode(levels),
            codes,
            np.ones(outputs),
            pad_value,
            stride,
            pads,
            requantization,
            Tensor(name, shape, output, 1.0),
        )

    pad_value = rng.integers(source.interval.lo, source.interval.hi + 1, inputs)
    placeholder = Requant(np.ones(outputs, np.int64), np.zeros(outputs, np.int64), 0, output.lo, output.hi)
    acc = Interval.hull(accumulators(layer(placeholder), source.interval))
    return layer(requant(rng, outputs, acc, output))


def pool(
    rng: np.random.Generator,
    source: Tensor,
    kind: PoolKind,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    *,
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    output: Interval | None = None,
    name: str = "pool",
) -> Pool:
    """A maximum, or an average with one random factor for all channels (as the quantizer makes it)."""
    channels = source.shape[2]
    shape = window_shape(source.shape, kernel, stride, pads, channels)
    interval = source.interval if kind is PoolKind.MAX else output or source.interval

    def layer(requantization: Requant | None) -> Pool:
        result = Tensor(name, shape, interval, 1.0)
        return Pool(name, source.name, source.shape, kind, kernel, stride, pads, requantization, result)

    if kind is PoolKind.MAX:
        return layer(None)
    one = requant(rng, 1, window_sum(layer(None), source.interval), interval)
    return layer(Requant(one.mul.repeat(channels), one.add.repeat(channels), one.shift, one.lo, one.hi))


def network(*layers: Layer, source: Tensor, name: str = "net") -> Network:
    return Network(name, source, layers)


def frames(rng: np.random.Generator, source: Tensor, count: int) -> np.ndarray:
    """(N, H, W, C) random integers of ``source``; one in eight is an end of the interval."""
    lo, hi = source.interval.lo, source.interval.hi
    x = rng.integers(lo, hi + 1, (count, *source.shape))
    ends = rng.random(x.shape)
    return np.where(ends < 1 / 16, lo, np.where(ends > 15 / 16, hi, x))


def foldings(layer: Layer) -> list[Folding]:
    """Every legal folding of ``layer``."""
    inputs = divisors(layer.input_shape[2])
    if isinstance(layer, Pool):
        return [Folding(lanes, lanes, lanes) for lanes in inputs]
    return [
        Folding(pe, simd, lanes) for pe in divisors(layer.codes.shape[0]) for simd in inputs for lanes in divisors(pe)
    ]
