"""Random integer layers for the reference's tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hwgen.codes import Codebook
from hwgen.floatnet import PoolKind, window_shape
from hwgen.interval import Interval
from hwgen.network import MANTISSAS, Conv, Layer, Network, Pool, Requant, Tensor


def _random_conv(rng: np.random.Generator, book: Codebook, interval: Interval) -> Conv:
    """A convolution of any small shape: strides, one-sided pads, a pad value that may lie outside ``interval``."""
    kernel = tuple(rng.integers(1, 4, 2).tolist())
    shape = (*rng.integers(3, 6, 2).tolist(), int(rng.integers(1, 4)))
    outputs = int(rng.integers(1, 5))
    stride, pads = tuple(rng.integers(1, 3, 2).tolist()), tuple(rng.integers(0, 3, 4).tolist())
    legal = [code for code in range(len(book.levels)) if book.is_canonical(code)]
    shift = int(rng.integers(0, 13))
    requant = Requant(
        rng.choice(MANTISSAS, outputs) << rng.integers(0, 4, outputs),
        rng.integers(-(1 << 16), 1 << 16, outputs),
        shift,
        -100,
        100,
    )
    return Conv(
        name="conv",
        source="input",
        input_shape=shape,
        codes=rng.choice(legal, (outputs, *kernel, shape[2])).astype(np.uint8),
        codebook=book,
        weight_scale=np.ones(outputs),
        pad_value=rng.integers(2 * interval.lo - 5, 2 * interval.hi + 5, shape[2]),
        stride=stride,
        pads=pads,
        requant=requant,
        output=Tensor("conv", window_shape(shape, kernel, stride, pads, outputs), Interval(-100, 100), 1.0),
    )


@pytest.fixture(scope="session")
def random_conv() -> Callable[[np.random.Generator, Codebook, Interval], Conv]:
    return _random_conv


def _random_network(seed: int, book: Codebook) -> Network:
    """Convolution, maximum, strided convolution, average, dense layer on 7x8x2, with scales that fit the integers.

    Shifts are small and factors round, so that exact ties are common. Outputs are signed where the seed is odd.
    """
    rng = np.random.default_rng(seed)
    signed = bool(seed % 2)
    source = Tensor("input", (7, 8, 2), Interval.of_bits(6, signed=signed), float(rng.uniform(0.01, 10)))
    first, layers = source, list[Layer]()

    def conv(name: str, kernel: tuple[int, int], outputs: int, pads: tuple[int, int, int, int], stride=(1, 1)) -> None:
        nonlocal source
        legal = [code for code in range(len(book.levels)) if book.is_canonical(code)]
        codes = rng.choice(legal, (outputs, *kernel, source.shape[2])).astype(np.uint8)
        reach = int(np.abs(book.decode(codes)).reshape(outputs, -1).sum(axis=1).max()) * source.interval.hi
        shift = max(1, (max(reach, 1) * 8 >> 6).bit_length())
        mul = rng.choice(MANTISSAS, outputs) << rng.integers(0, 3, outputs)
        # Biases in eighths of an output unit: with fine ones hardly any sum would be an exact tie.
        add = (rng.integers(-64, 64, outputs) << shift >> 3) + (1 << shift >> 1)
        interval = Interval.of_bits(6, signed=signed)
        scale = float(rng.uniform(0.01, 10))
        layers.append(
            Conv(
                name=name,
                source=source.name,
                input_shape=source.shape,
                codes=codes,
                codebook=book,
                weight_scale=scale / source.scale * mul / 2.0**shift,
                pad_value=rng.integers(-9, 10, source.shape[2]),
                stride=stride,
                pads=pads,
                requant=Requant(mul, add, shift, interval.lo, interval.hi),
                output=Tensor(name, window_shape(source.shape, kernel, stride, pads, outputs), interval, scale),
            )
        )
        source = layers[-1].output

    def pool(name: str, kind: PoolKind, pads: tuple[int, int, int, int]) -> None:
        nonlocal source
        requant, scale, kernel = None, source.scale, (2, 3)
        if kind is PoolKind.AVERAGE:
            mul, shift = 12, 6
            one = np.ones(source.shape[2], np.int64)
            requant = Requant(mul * one, (1 << shift >> 1) * one, shift, source.interval.lo, source.interval.hi)
            scale = source.scale * 2**shift / (kernel[0] * kernel[1] * mul)
        shape = window_shape(source.shape, kernel, (1, 2), pads, source.shape[2])
        output = Tensor(name, shape, source.interval, scale)
        layers.append(Pool(name, source.name, source.shape, kind, kernel, (1, 2), pads, requant, output))
        source = output

    conv("conv1", (3, 3), 4, (1, 1, 1, 1))
    pool("pool1", PoolKind.MAX, (1, 0, 0, 1))
    conv("conv2", (3, 2), 5, (0, 1, 2, 0), (1, 1))
    pool("pool2", PoolKind.AVERAGE, (0, 1, 0, 0))
    conv("dense", source.shape[:2], 3, (0, 0, 0, 0))
    return Network(f"random{seed}", first, tuple(layers))


@pytest.fixture(scope="session")
def random_network() -> Callable[[int, Codebook], Network]:
    return _random_network
