"""Figures of weights: those that are known of Gaussian weights, and those of a layer small enough to count by hand."""

from dataclasses import replace
from math import log10

import numpy as np
import pytest

from hwgen import boards
from hwgen.codes import codebook
from hwgen.compare import compare, parse_schemes
from hwgen.compare.weights import layer_weights, total_weights
from hwgen.evaluate import decibels
from hwgen.quantize import quantize
from hwgen.storage import network_storage

from .networks import dense, frames, small

# Code: SQNR in dB at the best real scale, and distinct levels, of 200,000 Gaussian weights. The table that the codes
# were chosen by; test_codes_quality.py measures the same of the codebooks alone.
TABLE = {
    "int3": (13.27, 7),
    "pot3": (13.21, 7),
    "pot3-nozero": (13.54, 8),
    "int4": (18.87, 15),
    "pot4": (14.22, 15),
    "apot4": (19.15, 15),
    "sp2_4": (17.18, 13),
    "e2m1": (18.96, 15),
    "e2m1-nozero": (18.35, 16),
    "dyadic4": (18.54, 15),
    "e2m2": (24.87, 31),
    "int5": (24.28, 31),
}


@pytest.fixture(scope="module")
def gaussian():
    """The rows of every code of :data:`TABLE`, by code."""
    model = dense(np.random.default_rng(0).normal(size=(8, 16384)))
    schemes = parse_schemes(" ".join(TABLE), "plain")
    result = compare(model, frames(model, 16), schemes, board=boards.board("ulx3s-85f"))
    return {row["code"]: row for row in result["schemes"]}


@pytest.mark.parametrize("code", TABLE)
def test_gaussian_weights(gaussian, code):
    """Within 0.3 dB, although the scales of the channels are those of the grid that hardware can undo."""
    sqnr, distinct = TABLE[code]
    row = gaussian[code]
    assert row["weights"] == 8 * 16384
    assert row["weight_sqnr_db"] == pytest.approx(sqnr, abs=0.3)
    assert row["distinct"] == distinct
    # One layer: what holds of it holds of all.
    (layer,) = row["layers"]
    assert {key: layer[key] for key in ("weight_sqnr_db", "zero_share", "distinct")} == pytest.approx(
        {key: row[key] for key in ("weight_sqnr_db", "zero_share", "distinct")}
    )


@pytest.mark.parametrize("code", TABLE)
def test_zeros_and_entropy_of_gaussian_weights(gaussian, code):
    """Those of the Gaussian distribution cut at the boundaries between levels, at the scale with the least error."""
    book = codebook(code)
    values = np.random.default_rng(1).normal(size=20_000)
    scales = np.geomspace(0.5, 8, 200) / book.max_level
    best = min(scales, key=lambda scale: float(((values - scale * book.nearest(values / scale)) ** 2).sum()))
    levels = book.nearest(values / best)
    # The grid of scales has six to the octave, so that a boundary moves by up to 6 %; pot4 hardly has a best scale.
    share = (levels == 0).mean()
    assert gaussian[code]["zero_share"] == pytest.approx(share, rel=0.1, abs=0.01)
    assert (gaussian[code]["zero_share"] == 0) is book.zero_free
    counts = np.unique(levels, return_counts=True)[1] / len(levels)
    entropy = -(counts * np.log2(counts)).sum()
    assert gaussian[code]["entropy_bits"] / gaussian[code]["weights"] == pytest.approx(entropy, abs=0.12)
    assert gaussian[code]["storage_bits"] == book.bits * 8 * 16384


def quantized(model, code="e2m1"):
    network = quantize(model, frames(model, 40), code=code, method="plain")
    return list(zip(model.layers, network.layers, strict=True)), network


def test_a_layer_by_hand():
    """Levels that are known: the weights of a dense layer are replaced after it was quantized."""
    (((model, layer),), _) = quantized(dense(np.array([[1.0, -0.5, 0.25, 0.0], [0.3, 0.3, -0.3, 0.1]])))
    levels = np.array([[12, -6, 3, 0], [0, 0, -4, 2]])
    layer = replace(layer, codes=layer.codebook.encode(levels[:, None, None, :]), weight_scale=np.array([0.1, 0.05]))
    row = layer_weights(model, layer)
    assert (row["name"], row["code"], row["weights"]) == ("dense", "e2m1", 8)
    assert (row["lowest"], row["highest"], row["lowest_level"], row["highest_level"]) == (-0.5, 1.0, -6, 12)
    assert (row["distinct"], row["zero_share"]) == (6, 3 / 8)
    signal = 1 + 0.25 + 0.0625 + 3 * 0.09 + 0.01
    noise = 0.2**2 + 0.1**2 + 0.05**2 + 2 * 0.3**2 + 0.1**2 + 0
    assert row["weight_sqnr_db"] == pytest.approx(10 * log10(signal / noise))
    shares = np.array([3, 1, 1, 1, 1, 1]) / 8
    assert row["entropy_bits"] == pytest.approx(-8 * (shares * np.log2(shares)).sum())


def test_bits_are_those_of_the_storage_report():
    pairs, network = quantized(small(), "pot3")
    rows = [layer_weights(*pair) for pair in pairs]
    totals = total_weights(pairs, rows)
    stored = network_storage(network)
    assert {key: totals[key] for key in stored.totals} == stored.totals
    for row, layer in zip(rows, stored.layers, strict=True):
        assert row["entropy_bits"] == layer.entropy_bits
        assert row["best_bits"] == min(row["storage_bits"], row["ham_bits"], row["sham_bits"])


def test_totals_weigh_layers_by_their_weights():
    pairs, _ = quantized(small())
    rows = [layer_weights(*pair) for pair in pairs]
    totals = total_weights(pairs, rows)
    ratios = [10 ** (-row["weight_sqnr_db"] / 10) for row in rows]
    mean = np.average(ratios, weights=[row["weights"] for row in rows])
    assert totals["weight_sqnr_db"] == pytest.approx(-10 * log10(mean))
    zeros = sum((layer.codebook.decode(layer.codes) == 0).sum() for _, layer in pairs)
    assert totals["zero_share"] == pytest.approx(zeros / totals["weights"])
    # A factor that moves from one layer to another changes nothing.
    (first, coded), rest = pairs[0], pairs[1:]
    moved = (replace(first, weight=1000 * first.weight), replace(coded, weight_scale=1000 * coded.weight_scale))
    assert total_weights([moved, *rest], rows)["weight_sqnr_db"] == pytest.approx(totals["weight_sqnr_db"])


def test_no_signal_and_no_noise_are_no_ratio():
    assert decibels(0, 0) is decibels(1, 0) is decibels(0, 1) is None
    pairs, _ = quantized(dense(np.zeros((2, 3))))
    rows = [layer_weights(*pair) for pair in pairs]
    assert (rows[0]["weight_sqnr_db"], rows[0]["zero_share"], rows[0]["distinct"]) == (None, 1, 1)
    assert total_weights(pairs, rows)["weight_sqnr_db"] is None
    assert total_weights([], [])["weights"] == 0
