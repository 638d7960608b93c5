"""The storage of a network: what is counted, what is best, bits per weight of Gaussian and Laplacian weights."""

import json

import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.quantize.mse import SortedValues
from hwgen.storage import Format, Ham, HuffmanCode, Sham, entropy, network_storage
from hwgen.storage.sizes import layer_storage, matrix

from ..networks import SIGNED, conv, depthwise, network, pool, tensor
from ..networks import PoolKind as Pooling


def some_network():
    rng = np.random.default_rng(3)
    source = tensor((8, 8, 4))
    first = conv(rng, source, 6, (3, 2), groups=2, name="first", output=SIGNED)
    second = depthwise(rng, first.output, (3, 3), book="pot3", name="second")
    third = pool(rng, second.output, Pooling.MAX, (2, 2), (2, 2), name="third")
    fourth = conv(rng, third.output, 10, (2, 1), book="pot4-nozero", name="fourth")
    return network(first, second, third, fourth, source=source)


def test_every_convolution_in_every_format():
    net = some_network()
    storage = network_storage(net)
    convolutions = [layer for layer in net.layers if hasattr(layer, "codes")]
    assert [row.name for row in storage.layers] == ["first", "second", "fourth"]
    for layer, row in zip(convolutions, storage.layers, strict=True):
        codes = matrix(layer)
        assert codes.shape == (layer.codes[0].size, layer.codes.shape[0])
        assert np.array_equal(codes[:, 1], layer.codes[1].ravel())
        assert row.weights == layer.codes.size
        assert row.nonzero == np.count_nonzero(layer.codebook.decode(layer.codes))
        assert row.storage_bits == layer.codes.size * layer.codebook.bits
        assert row.ham_bits == Ham.encode(codes, layer.codebook).bits
        assert row.sham_bits == Sham.encode(codes, layer.codebook).bits
        assert row.entropy_bits == row.weights * entropy(np.bincount(layer.codes.ravel()))
        assert row.longest == HuffmanCode.of_symbols(layer.codes).longest
        assert row.entropy_bits <= row.ham_bits


def test_totals_and_json():
    storage = network_storage(some_network())
    result = storage.as_dict()
    assert json.loads(json.dumps(result)) == result
    for key in ("weights", "storage_bits", "ham_bits", "sham_bits", "entropy_bits"):
        assert result["totals"][key] == sum(row[key] for row in result["layers"])
    assert result["totals"]["best_bits"] == sum(
        min(row["storage_bits"], row["ham_bits"], row["sham_bits"]) for row in result["layers"]
    )
    assert [row["nonzero_share"] for row in result["layers"]][2] == 1  # a code without zero
    for row in result["layers"]:
        assert row["bits_per_weight"]["ham"] * row["weights"] == pytest.approx(row["ham_bits"])
        assert row["entropy_per_weight"] <= row["bits_per_weight"]["ham"]
        assert 0.5 < row["nonzero_share"] <= 1


@pytest.mark.parametrize(("zeros", "outputs", "best"), [(0.0, 2, "codes"), (0.5, 200, "ham"), (0.98, 200, "sham")])
def test_the_best_format(zeros, outputs, best):
    """A dictionary costs too much for few weights; pointers and indices pay for many zeros only."""
    rng = np.random.default_rng(0)
    layer = conv(rng, tensor((3, 3, 16)), outputs, (3, 3))
    layer.codes[rng.random(layer.codes.shape) < zeros] = 0
    row = layer_storage(layer)
    assert row.best is Format(best)
    assert row.bits[row.best] == min(row.bits.values())


def test_equal_sizes_stay_plain_codes():
    rng = np.random.default_rng(0)
    layer = conv(rng, tensor((1, 1, 8)), 4, (1, 1), book="pot3")
    layer.codes[...] = 0
    layer.codes[:, 0, 0, :4] = np.arange(4)
    row = layer_storage(layer)
    assert (row.storage_bits, row.ham_bits, row.best) == (96, 128, Format.CODES)


def test_a_limit_reaches_the_formats():
    rng = np.random.default_rng(0)
    layer = conv(rng, tensor((1, 1, 500)), 20, (1, 1), book="pot4-nozero")
    layer.codes[...] = rng.choice(15, layer.codes.shape, p=2.0 ** -np.r_[1:15, 14])
    free, limited = layer_storage(layer), layer_storage(layer, 8)
    assert (free.longest > 8, limited.longest) == (True, 8)
    assert limited.ham_bits > free.ham_bits
    assert limited.ham_bits == Ham.encode(matrix(layer), layer.codebook, 8).bits


@pytest.mark.parametrize(
    ("code", "gauss", "laplace"), [("pot4", 3.49, 3.56), ("pot3", 2.74, 2.42), ("apot4", 3.72, 3.25)]
)
def test_bits_per_weight_of_random_weights(code, gauss, laplace):
    """Random weights at the scale with the least squared error; words of APoT4 have at most 7 bits.

    The figures are those of the survey behind this project, measured by another program.
    """
    rng = np.random.default_rng(0)
    book = CODES[code]
    for weights, expected in ((rng.normal(size=200_000), gauss), (rng.laplace(size=200_000), laplace)):
        scales = weights.std() / book.max_level * np.geomspace(1, 12, 400)
        scale = scales[SortedValues(weights).squared_error(book.sorted_levels, scales).argmin()]
        counts = np.bincount(book.encode(book.nearest(weights / scale)))
        huffman = HuffmanCode.of_counts(counts)
        rate = huffman.total_bits(counts) / weights.size
        assert rate == pytest.approx(expected, rel=0.01)
        assert entropy(counts) <= rate < entropy(counts) + 0.1
        assert huffman.longest <= 7
