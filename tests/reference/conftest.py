"""Random integer layers for the reference's tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hwgen.codes import Codebook
from hwgen.floatnet import window_shape
from hwgen.interval import Interval
from hwgen.network import MANTISSAS, Conv, Requant, Tensor


def _random_conv(rng: np.random.Generator, book: Codebook, interval: Interval) -> Conv:
    """Any small shape: strides, dilation, groups, one-sided pads, a pad value that may lie outside ``interval``."""
    kernel, dilation = tuple(rng.integers(1, 4, 2).tolist()), tuple(rng.integers(1, 3, 2).tolist())
    groups = int(rng.integers(1, 4))
    each = 1 if rng.random() < 0.5 else int(rng.integers(2, 4))
    shape = (*rng.integers(5, 7, 2).tolist(), groups * each)
    outputs = groups * int(rng.integers(1, 4))
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
    result = window_shape(shape, kernel, stride, pads, outputs, dilation)
    return Conv(
        name="conv",
        source="input",
        input_shape=shape,
        codes=rng.choice(legal, (outputs, *kernel, each)).astype(np.uint8),
        codebook=book,
        weight_scale=np.ones(outputs),
        pad_value=rng.integers(2 * interval.lo - 5, 2 * interval.hi + 5, shape[2]),
        stride=stride,
        pads=pads,
        requant=requant,
        output=Tensor("conv", result, Interval(-100, 100), 1.0),
        dilation=dilation,
        groups=groups,
    )


@pytest.fixture(scope="session")
def random_conv() -> Callable[[np.random.Generator, Codebook, Interval], Conv]:
    return _random_conv
