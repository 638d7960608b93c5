import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.floatnet import PoolKind, window_shape
from hwgen.interval import Interval
from hwgen.network import Pool, Requant, Tensor
from hwgen.reference.pool import pool


def make(kind, kernel, stride, pads, shape, interval, requant=None, dilation=(1, 1), divisors=None):
    output = Tensor("pool", window_shape(shape, kernel, stride, pads, shape[2], dilation), interval, 1.0)
    return Pool("pool", "input", shape, kind, kernel, stride, pads, requant, output, dilation, divisors)


def windows(layer, frame):
    """Each output pixel's (row, column, channel) and the values under its window, padding left out."""
    height, width, channels = layer.input_shape
    for oy in range(layer.output.shape[0]):
        for ox in range(layer.output.shape[1]):
            y, x = oy * layer.stride[0] - layer.pads[0], ox * layer.stride[1] - layer.pads[1]
            for c in range(channels):
                yield (
                    (oy, ox, c),
                    [
                        int(frame[iy, ix, c])
                        for iy in range(y, y + layer.kernel[0] * layer.dilation[0], layer.dilation[0])
                        for ix in range(x, x + layer.kernel[1] * layer.dilation[1], layer.dilation[1])
                        if 0 <= iy < height and 0 <= ix < width
                    ],
                )


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1 << 32), st.sampled_from(PoolKind), st.sampled_from([Interval(0, 15), Interval(-8, 7)]))
def test_equals_the_definition(seed, kind, interval):
    rng = np.random.default_rng(seed)
    kernel, stride = tuple(rng.integers(1, 4, 2).tolist()), tuple(rng.integers(1, 4, 2).tolist())
    # Padding narrower than the kernel: every window keeps at least one pixel.
    pads = tuple(int(rng.integers(0, kernel[side % 2])) for side in range(4))
    dilation = tuple(rng.integers(1, 3, 2).tolist())
    shape = (*rng.integers(5, 8, 2).tolist(), 2)
    requant = Requant(np.array([10, 10]), np.array([16, 16]), 5, interval.lo, interval.hi)
    chosen = requant if kind is PoolKind.AVERAGE else None
    layer = make(kind, kernel, stride, pads, shape, interval, chosen, dilation)
    x = rng.integers(interval.lo, interval.hi + 1, (2, *shape))
    result = pool(layer, interval, x)
    assert result.dtype == np.int32
    for frame, out in zip(x, result, strict=True):
        for index, values in windows(layer, frame):
            if kind is PoolKind.MAX:
                assert out[index] == max(values, default=interval.lo)
            else:
                assert out[index] == min(max((sum(values) * 10 + 16) >> 5, interval.lo), interval.hi)


def test_every_divisor_has_its_factor():
    """2x2 windows over a padded 2x3 map; factors that divide exactly, so the result is the average of what is there."""
    interval = Interval(0, 255)
    divisors = ((1, 2, 1), (1, 2, 2, 1))
    requant = Requant(np.array([64, 32, 16]), np.array([3, 2, 1]), 6, 0, 255)
    layer = make(PoolKind.AVERAGE, (2, 2), (1, 1), (1, 1, 1, 1), (2, 3, 1), interval, requant, divisors=divisors)
    assert layer.distinct_divisors == (1, 2, 4)
    x = 4 * np.arange(6).reshape(1, 2, 3, 1)
    expected = [[0, 2, 6, 8], [6, 8, 12, 14], [12, 14, 18, 20]]
    assert pool(layer, interval, x)[0, ..., 0].tolist() == expected


def test_the_input_is_left_as_it_was():
    x = np.arange(8, dtype=np.int32).reshape(1, 2, 4, 1)
    layer = make(PoolKind.MAX, (2, 2), (2, 2), (0, 0, 0, 0), (2, 4, 1), Interval(0, 9))
    assert pool(layer, Interval(0, 9), x).ravel().tolist() == [5, 7]
    assert x.ravel().tolist() == list(range(8))


def test_an_average_needs_a_requantization():
    layer = make(PoolKind.AVERAGE, (2, 2), (2, 2), (0, 0, 0, 0), (2, 2, 1), Interval(0, 9))
    with pytest.raises(ValueError, match="requantization"):
        pool(layer, Interval(0, 9), np.zeros((1, 2, 2, 1), np.int32))
