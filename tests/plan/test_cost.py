"""The cost model: block RAMs exactly, LUTs in the right direction."""

from math import prod

import numpy as np
import pytest

from hwgen.floatnet import PoolKind
from hwgen.interval import Interval
from hwgen.plan import Folding
from hwgen.plan.cost import SHAPES, Cost, block_rams, layer_cost, memory_rams
from hwgen.sizing.folding import divisors, geometry_of
from hwgen.sizing.line_buffer import buffer_words

from ..networks import conv, pool, tensor


@pytest.mark.parametrize(
    ("family", "bits", "words", "count"),
    [
        ("ice40", 16, 256, 1),
        ("ice40", 8, 512, 1),
        ("ice40", 2, 2048, 1),
        ("ice40", 1, 2049, 2),
        ("ice40", 17, 256, 2),
        ("ice40", 24, 300, 3),
        ("ice40", 32, 1024, 8),
        ("ecp5", 36, 512, 1),
        ("ecp5", 18, 1024, 1),
        ("ecp5", 1, 16384, 1),
        ("ecp5", 72, 512, 2),
        ("ecp5", 37, 513, 3),
        ("ecp5", 9, 2049, 2),
    ],
)
def test_block_rams(family, bits, words, count):
    assert block_rams(family, bits, words) == count


@pytest.mark.parametrize("family", SHAPES)
def test_block_rams_hold_their_bits(family):
    """Never fewer than the bits need, never more than one shape alone would need."""
    capacity = max(width * depth for width, depth in SHAPES[family])
    for bits in (1, 3, 8, 16, 36, 50, 128):
        for words in (1, 100, 512, 1000, 5000):
            count = block_rams(family, bits, words)
            assert count * capacity >= bits * words
            assert all(count <= -(-bits // width) * -(-words // depth) for width, depth in SHAPES[family])


def test_costs_add():
    assert Cost(3, 1) + Cost(4, 2) == Cost(7, 3)


@pytest.fixture
def layer():
    return conv(np.random.default_rng(0), tensor((8, 8, 8)), 16, (3, 3), pads=(1, 1, 1, 1))


@pytest.mark.parametrize("family", SHAPES)
def test_wider_is_never_smaller(layer, family):
    """More PEs or lanes of the same layer cost more LUTs."""
    source = tensor((8, 8, 8))
    for simd in divisors(8):
        luts = [layer_cost(layer, source, Folding.of(layer, pe, simd), family).lut for pe in divisors(16)]
        assert luts == sorted(luts)
    for pe in divisors(16):
        luts = [layer_cost(layer, source, Folding(pe, simd, pe), family).lut for simd in divisors(8)]
        assert luts == sorted(luts)


def test_richer_codes_cost_more():
    source = tensor((8, 8, 8))
    luts = []
    for book in ("ternary", "pot3", "e2m1", "e3m1"):
        made = conv(np.random.default_rng(0), source, 16, (3, 3), book=book)
        luts.append(layer_cost(made, source, Folding(8, 8, 1), "ecp5").lut)
    assert luts == sorted(set(luts))


@pytest.mark.parametrize("family", SHAPES)
def test_wider_activations_cost_more(family):
    wide, narrow = tensor((8, 8, 8)), tensor((8, 8, 8), Interval(0, 15))
    layer = conv(np.random.default_rng(0), wide, 16, (3, 3))
    luts = [layer_cost(layer, source, Folding(4, 4, 1), family).lut for source in (narrow, wide)]
    assert luts[0] < luts[1]


def test_weights_fill_block_rams():
    """16 x 3 x 3 x 64 codes of 4 bits are 36,864 bits: nine block RAMs of iCE40, with buffer and queue beside them."""
    source = tensor((8, 8, 64))
    layer = conv(np.random.default_rng(0), source, 16, (3, 3))
    narrow = layer_cost(layer, source, Folding(4, 1, 1), "ice40").bram
    assert narrow >= 9
    dense = conv(np.random.default_rng(0), source, 16, (8, 8))
    assert layer_cost(dense, source, Folding(4, 1, 1), "ice40").bram >= 64


def test_an_average_pays_for_its_requantizer():
    source = tensor((8, 8, 4))
    rng = np.random.default_rng(0)
    luts = [
        layer_cost(pool(rng, source, kind, (2, 2), (2, 2)), source, Folding(4, 4, 4), "ecp5").lut
        for kind in (PoolKind.MAX, PoolKind.AVERAGE)
    ]
    assert luts[0] < luts[1]


@pytest.mark.parametrize("unroll", [(1, 3), (3, 1), (3, 3)])
def test_every_tap_of_a_block_has_a_copy_of_the_line_buffer(unroll):
    source = tensor((32, 32, 16))
    layer = conv(np.random.default_rng(0), source, 4, (3, 3), pads=(1, 1, 1, 1))
    weights = memory_rams("ecp5", 16 * prod(unroll) * 4, 36 // prod(unroll))
    buffer = block_rams("ecp5", 16 * 8, buffer_words(geometry_of(layer), 16))
    assert layer_cost(layer, source, Folding(1, 16, 1, unroll), "ecp5").bram == prod(unroll) * buffer + weights
