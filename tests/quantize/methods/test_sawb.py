"""SAWB's coefficients and clips."""

import json
from pathlib import Path

import numpy as np
import pytest

from hwgen.codes import CODES, codebook
from hwgen.quantize import quantize
from hwgen.quantize.methods.saturation import DENSITIES, optimal_clip
from hwgen.quantize.methods.sawb import PUBLISHED, REFITTED, clips_of, coefficients, fitted, losses, profits
from hwgen.quantize.requant import KMAX

from .common import check_network, convs, frames, real, single_network, wide_network, zero_network

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results" / "sawb.json"


def levels_of(code):
    return tuple(CODES[code].sorted_levels.tolist())


@pytest.mark.parametrize(
    ("levels", "constants"),
    [((-3, -1, 1, 3), (3.17, -2.13)), (tuple(range(-7, 8)), (11.90, -11.85)), (levels_of("pot3"), (9.03, -8.75))],
)
def test_the_regression_gives_the_constants_of_the_literature(levels, constants):
    assert fitted(levels) == pytest.approx(constants, rel=0.05)


@pytest.mark.parametrize("count", [4, 8, 15, 16, 32, 127])
def test_it_gives_those_that_are_published(count):
    assert fitted(tuple(range(1 - count, count, 2))) == pytest.approx(PUBLISHED[count], rel=0.05)


@pytest.mark.parametrize("code", sorted(REFITTED))
def test_the_coefficients_of_named_codebooks_are_its_own(code):
    assert REFITTED[code] == pytest.approx(fitted(levels_of(code)), rel=0.01, abs=0.001)
    assert coefficients(CODES[code]) == REFITTED[code]
    assert profits(levels_of(code), REFITTED[code])


def test_no_named_codebook_is_forgotten():
    for code, book in CODES.items():
        if code not in REFITTED and coefficients(book) is not None:
            assert coefficients(book) in PUBLISHED.values()
    assert coefficients(CODES["ternary"]) == PUBLISHED[3]
    assert coefficients(codebook("1,-1,3,-3,nozero")) == PUBLISHED[4]
    assert coefficients(CODES["int8"]) is None


def test_the_table_is_what_the_script_wrote():
    rows = {row["levels"]: row for row in json.loads(RESULTS.read_text())}
    refitted = {name: (row["c1"], row["c2"]) for name, row in rows.items() if row["used"] == "refitted"}
    assert refitted == REFITTED


def test_a_codebook_without_a_name_is_fitted_when_it_is_needed():
    """The levels of PoT3, twice as large."""
    assert coefficients(codebook("0,2,-2,4,-4,8,-8")) == pytest.approx(REFITTED["pot3"], rel=0.001)


@pytest.mark.parametrize("name", DENSITIES)
@pytest.mark.parametrize("code", ["e2m1", "pot3", "int4"])
def test_samples_of_a_density_get_its_best_clip(name, code):
    density = DENSITIES[name]
    rng = np.random.default_rng(0)
    sample = np.interp(rng.random((1, 100_000)), np.cumsum(density.shares), density.values) * 0.03
    clip = clips_of(sample, CODES[code]) / 0.03
    best, noise = optimal_clip(CODES[code].sorted_levels, density)
    assert 10 * np.log10(density.noise(CODES[code].sorted_levels, clip)[0] / noise) < 0.6
    assert code == "e2m1" or clip[0] == pytest.approx(best, rel=0.15)


def test_where_the_line_ends():
    """Equal magnitudes are flatter than any density; the falling line would be near 0 there."""
    rows = np.array([[1.0, -1, 1, 1], [0, 0, 0, 0], [4, 0, 0, 0]])
    c1, c2 = coefficients(CODES["int4"])
    assert 0 < c1 + c2 < 0.01
    assert clips_of(rows, CODES["int4"]).tolist() == [1.0, 0.0, 8.0]  # the last: an octave above its largest weight
    c1, c2 = coefficients(CODES["int8"]) or (0.0, 0.0)
    assert (c1, c2) == (0.0, 0.0)
    assert clips_of(rows, CODES["int8"]).tolist() == [1.0, 0.0, 4.0]


def test_a_negative_clip_is_the_largest_magnitude(monkeypatch):
    monkeypatch.setitem(REFITTED, "pot3", (1.0, -2.0))
    row = np.random.default_rng(0).normal(0, 1, (1, 1000))
    assert clips_of(row, CODES["pot3"]) == np.abs(row).max()


def test_losses_are_none_at_the_best_clip():
    by_line, by_peak = losses((-1, 1), (0.0, 1.0))  # sign codes: the best clip is E|w| whatever the density
    assert by_line == pytest.approx(np.zeros(6), abs=1e-4)
    assert (by_peak > 1).all()


@pytest.mark.parametrize("code", ["pot3", "e2m1", "e2m2", "pot3-nozero"])
@pytest.mark.parametrize("per", ["channel", "layer"])
def test_whole_networks(float_network, float_graph, code, per):
    for model in (float_network(0), float_graph(1)):
        network = check_network(model, f"sawb:per={per}", code)
        fallback = any("no SAWB coefficients" in note for note in network.notes)
        assert fallback == (code == "e2m2")


def test_gaussian_layers_lose_little_to_the_search_for_the_best_scale():
    model = wide_network(0)
    noise = {}
    for method in ("plain", "sawb", "sawb:per=layer"):
        network = quantize(model, frames(model, 20, 0), code="e2m1", method=method)
        noise[method] = [
            np.square(w - layer.weight).mean() for w, layer in zip(real(network), model.layers, strict=True)
        ]
    for layer in (1, 4):  # of more than 100 weights per channel
        assert noise["sawb"][layer] < 1.25 * noise["plain"][layer]
        assert noise["sawb:per=layer"][layer] < 1.25 * noise["plain"][layer]


def test_one_scale_for_a_layer(float_graph):
    network = check_network(float_graph(0), "sawb:per=layer", "pot3")
    assert all(len(set(conv.weight_scale.tolist())) == 1 for conv in convs(network))


def test_one_weight_and_none():
    for weight in (0.3, -2.0):
        (found,) = real(quantize(single_network(weight), np.ones((4, 1, 1, 1)), method="sawb"))
        assert found.item() == pytest.approx(weight, rel=0.09)
    assert not any(w.any() for w in real(check_network(zero_network(), "sawb", "e2m1")))
    assert not real(quantize(wide_network(0), frames(wide_network(0), 9, 0), method="sawb"))[1][2].any()


def test_a_channel_of_zeros_is_as_small_as_can_be_where_there_is_no_zero():
    """The layer's scale would make it as large as the other channels."""
    model = wide_network(0)
    body = convs(quantize(model, frames(model, 9, 0), code="pot3-nozero", method="sawb:per=layer"))[1]
    dead, *others = body.weight_scale[[2, 0, 1, 3]]
    assert len(set(others)) == 1
    assert dead <= others[0] / 2**KMAX
