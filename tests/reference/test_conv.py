import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.codes import CODES
from hwgen.interval import Interval
from hwgen.reference.conv import ConvKernel, exact_dtype, grouped_product, partial_sum_bound
from hwgen.reference.window import padded

from ..networks import BYTE, depthwise, tensor

INTERVALS = [Interval(0, 255), Interval(-128, 127), Interval(0, 3), Interval(-2, 1)]


def naive(layer, frame):
    """The definition, in Python integers, one multiplication at a time."""
    levels = layer.codebook.levels
    top, left, bottom, right = layer.pads
    height, width, channels = layer.input_shape
    pixels, pad_value, codes = frame.tolist(), layer.pad_value.tolist(), layer.codes.tolist()

    def pixel(y, x, c):
        return pixels[y][x][c] if 0 <= y < height and 0 <= x < width else pad_value[c]

    down, across = layer.dilation
    rows = (height + top + bottom - down * (layer.kernel[0] - 1) - 1) // layer.stride[0] + 1
    columns = (width + left + right - across * (layer.kernel[1] - 1) - 1) // layer.stride[1] + 1
    each, outputs = channels // layer.groups, len(codes) // layer.groups
    return [
        [
            [
                sum(
                    levels[codes[o][ky][kx][c]]
                    * pixel(
                        oy * layer.stride[0] + ky * down - top,
                        ox * layer.stride[1] + kx * across - left,
                        o // outputs * each + c,
                    )
                    for ky in range(layer.kernel[0])
                    for kx in range(layer.kernel[1])
                    for c in range(each)
                )
                for o in range(len(codes))
            ]
            for ox in range(columns)
        ]
        for oy in range(rows)
    ]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1 << 32), st.sampled_from(sorted(CODES)), st.sampled_from(INTERVALS))
def test_accumulators_equal_the_definition(random_conv, seed, code, interval):
    rng = np.random.default_rng(seed)
    layer = random_conv(rng, CODES[code], interval)
    x = rng.integers(interval.lo, interval.hi + 1, (2, *layer.input_shape))
    acc = ConvKernel(layer, interval).accumulate(x)
    assert acc.astype(np.int64).tolist() == [naive(layer, frame) for frame in x]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1 << 32), st.sampled_from(sorted(CODES)))
def test_all_arithmetics_agree(random_conv, seed, code):
    rng = np.random.default_rng(seed)
    interval = Interval(-128, 127)
    layer = random_conv(rng, CODES[code], interval)
    x = rng.integers(interval.lo, interval.hi + 1, (3, *layer.input_shape))
    kernels = [ConvKernel(layer, interval, dtype) for dtype in (None, np.float64, np.int64)]
    results = [kernel(x) for kernel in kernels]
    assert all((result == results[0]).all() for result in results)
    assert results[0].dtype == np.int32


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1 << 32), st.sampled_from(sorted(CODES)), st.sampled_from(INTERVALS))
def test_the_bound_is_reached_and_never_passed(random_conv, seed, code, interval):
    layer = random_conv(np.random.default_rng(seed), CODES[code], interval)
    levels = layer.codebook.decode(layer.codes)
    bound = partial_sum_bound(levels, interval)
    # The worst input takes the end of the interval that is larger in magnitude; its products all have one sign at best.
    worst = interval.hi if interval.hi >= -interval.lo else interval.lo
    products = np.abs(levels * worst).reshape(len(levels), -1)
    assert products.sum(axis=1).tolist() == bound.tolist()


def test_a_pad_value_outside_the_interval_counts():
    assert partial_sum_bound(np.array([[[[1, -2]]]]), Interval(0, 10), np.array([-30, 5])).tolist() == [30 + 20]


def test_a_pad_value_counts_in_its_own_group():
    levels = np.array([[[[1]]], [[[2]]], [[[3]]], [[[4]]]])  # two outputs for each of two channels
    assert partial_sum_bound(levels, Interval(0, 10), np.array([-30, 5])).tolist() == [30, 60, 30, 40]


def test_depthwise_without_a_matrix_product_equals_the_product():
    rng = np.random.default_rng(0)
    layer = depthwise(rng, tensor((9, 7, 5)), (3, 2), stride=(2, 1), pads=(1, 0, 1, 1), dilation=(2, 1))
    assert layer.depthwise
    kernel, x = ConvKernel(layer, BYTE), rng.integers(0, 256, (3, 9, 7, 5))
    maps = padded(x, layer.pads, layer.pad_value, np.int64)
    assert (kernel.accumulate(x) == grouped_product(layer, maps, layer.codebook.decode(layer.codes))).all()


@pytest.mark.parametrize(
    ("bound", "dtype"),
    [(0, "f4"), ((1 << 24) - 1, "f4"), (1 << 24, "f8"), ((1 << 53) - 1, "f8"), (1 << 53, "i8")],
)
def test_arithmetic_follows_the_bound(bound, dtype):
    assert exact_dtype(bound) == np.dtype(dtype)


def test_float32_would_be_wrong_where_it_is_not_chosen(random_conv):
    """The bound matters: just past it, single precision does lose a unit."""
    interval = Interval(0, (1 << 24) + 1)
    layer = random_conv(np.random.default_rng(1), CODES["ternary"], interval)
    x = np.full((1, *layer.input_shape), interval.hi)
    exact = ConvKernel(layer, interval)
    assert exact.dtype == np.float64
    single = ConvKernel(layer, interval, np.float32).accumulate(x)
    assert (single.astype(np.int64) != exact.accumulate(x).astype(np.int64)).any()


def test_accumulators_past_62_bits_are_refused(random_conv):
    layer = random_conv(np.random.default_rng(0), CODES["pot5"], Interval(0, 1))
    with pytest.raises(ValueError, match="62 bits"):
        ConvKernel(layer, Interval(0, 1 << 60))
