"""Weight fixing: centres of few powers of two, for the whole network."""

import numpy as np
import pytest

from hwgen.codes import signed_terms
from hwgen.quantize import quantize
from hwgen.quantize.methods.fixing import (
    SIGMA,
    SIGMA_MAX,
    UNIT,
    cover,
    find_centres,
    merged,
    normalised,
    sigma_of,
    spread_of,
    units_of,
)
from hwgen.storage import entropy

from .common import check_network, convs, frames, real, single_network, wide_network, zero_network


def gaussian(count, seed=0):
    """A layer's weights in units of their channels."""
    weight = np.random.default_rng(seed).normal(0, 1, (count // 250, 250))
    return normalised(weight).ravel()


def lengths(levels):
    return np.array([len(signed_terms(level)) for level in levels.ravel().tolist()])


@pytest.mark.parametrize("terms", [1, 2, 3])
def test_each_centre_covers_at_least_as_many_free_weights_as_any_other(terms):
    """The invariant of greedy coverage, with a constant sigma: found again by comparing all with all."""
    rng = np.random.default_rng(terms)
    values = np.sort(rng.normal(0, 0.1, 500))
    values = values[np.abs(values) >= UNIT]
    levels, reach = cover(values, np.full(values.size, 0.003), terms)
    every = np.array([level for level in range(-256, 257) if level])
    stages = [(1, 1), (2, 1), (2, 2), (3, 2), (3, 4), (4, 4)] + [(4, 1 << step) for step in range(3, 20)]
    if terms < 3:
        stages = [(allowed, 1) for allowed in range(1, terms)] + [(terms, 1 << step) for step in range(20)]
    free = np.ones(values.size, bool)
    stage = 0
    for level, n in zip(levels.tolist(), reach.tolist(), strict=True):
        within = 0
        while not np.any(within):
            allowed, width = stages[stage]
            candidates = every[lengths(every) <= min(allowed, terms)]
            within = (np.abs(values[free, None] - candidates * UNIT) <= width * 0.003).sum(axis=0)
            stage += not within.any()
        here = np.abs(values - level * UNIT) <= n * 0.003
        assert (n, (here & free).sum()) == (width, within.max())
        assert level in candidates
        free &= ~here
    assert not free.any()
    assert (np.diff(reach) >= 0).all()


def test_a_small_case_by_hand():
    """Five weights near 4 units, three near 8, one at 6: the last is reached by a sum of two powers."""
    values = np.array([3.9, 4, 4, 4.1, 4.1, 6, 7.9, 8, 8.1]) * UNIT
    levels, reach = cover(values, np.full(9, 0.2 * UNIT), 2)
    assert (levels.tolist(), reach.tolist()) == ([4, 8, 6], [1, 1, 1])
    levels, reach = cover(values, np.full(9, 0.2 * UNIT), 1)
    assert (levels.tolist(), reach.tolist()) == ([4, 8, 4], [1, 1, 16])


@pytest.mark.parametrize("terms", [1, 2, 3, 4])
def test_values_have_few_terms(terms):
    mu = np.concatenate([gaussian(20_000), 0.03 * np.random.default_rng(0).standard_t(2, 5000)])
    centres = find_centres(mu, terms)
    fixed = centres.fix(mu)
    assert lengths(fixed).max() <= terms
    assert set(np.unique(fixed)) <= {0, *centres.levels.tolist()}
    assert (fixed[np.abs(mu) < UNIT] == 0).all()
    assert (centres.terms == lengths(centres.levels)).all()


def test_most_weights_of_a_gaussian_network_are_one_power_of_two():
    mu = gaussian(100_000)
    fixed = find_centres(mu).fix(mu)
    assert (lengths(fixed) <= 1).mean() > 0.6
    assert (lengths(fixed[fixed != 0]) == 1).mean() > 0.5
    assert 10 * np.log10(np.square(mu).sum() / np.square(mu - fixed * UNIT).sum()) > 20
    assert entropy(np.unique(fixed, return_counts=True)[1]) < 4.2


def test_the_function_of_the_centres_is_what_the_cover_assigned():
    """Each weight is within the reach at which its centre was taken; no centre that was taken before reaches it."""
    mu = gaussian(5000)
    centres = find_centres(mu)
    fixed, sigma = centres.fix(mu), sigma_of(mu, centres.spread)
    for value, level, each in zip(mu.tolist(), fixed.tolist(), sigma.tolist(), strict=True):
        if abs(value) < UNIT:
            continue
        reached = np.abs(value - centres.levels * UNIT) <= centres.reach * each * (1 + 1e-12)
        assert reached.any()
        assert level == centres.levels[np.argmax(reached)]


def test_sigma_is_that_of_the_paper():
    mu = np.array([0.25, 0.3, 0.375, -0.4, 0.5, -0.49])
    distance = np.abs(np.abs(mu) - 0.25) * np.abs(np.abs(mu) - 0.5) / mu**2
    spread = spread_of(mu)
    assert spread == pytest.approx(np.quantile(distance, 0.75))
    assert sigma_of(mu, spread) == pytest.approx(np.clip(0.0025 * distance / spread, 2.0**-30, 0.05))
    assert sigma_of(mu, 1e-9).max() == SIGMA_MAX
    assert (sigma_of(np.array([0.25, -2.0]), 1.0) == 2.0**-30).all()
    assert sigma_of(np.array([0.35]), spread_of(np.array([0.35]))) == pytest.approx(SIGMA)
    assert spread_of(np.array([1.0, 0.5])) == 1


def test_units_are_powers_of_two_and_bring_channels_together():
    weight = np.random.default_rng(0).normal(0, 1, (6, 3, 3, 50)) * np.geomspace(1e-6, 1e3, 6)[:, None, None, None]
    weight[2] = 0
    units = units_of(weight)
    assert units[2] == 0
    alive = np.delete(units, 2)
    assert (np.log2(alive) % 1 == 0).all()
    rms = np.sqrt(np.square(np.delete(weight, 2, axis=0)).mean(axis=(1, 2, 3))) / alive
    assert (np.abs(np.log2(rms / 2.0**-5)) <= 0.5).all()


def test_the_rarest_values_become_their_nearest_neighbours():
    levels = np.concatenate([np.arange(-200, 201).repeat(2), np.arange(1, 256).repeat(3)])
    few = merged(levels)
    assert np.unique(few).size <= 256
    kept = np.unique(few)
    assert 0 in kept
    assert (np.abs(few - levels) == np.abs(levels[:, None] - kept).min(axis=1)).all()
    assert set(range(1, 201)) <= set(kept.tolist())  # five of each
    fine = np.arange(-127, 128)
    assert (merged(fine) == fine).all()


@pytest.mark.parametrize("code", ["pot3", "e2m2", "pot3-nozero"])
def test_whole_networks(float_network, float_graph, code):
    for model in (float_network(0), float_graph(1)):
        network = check_network(model, "fixing", code)
        assert all(lengths(np.array(conv.codebook.levels)).max() <= 4 for conv in convs(network))
        assert all(len(set(conv.codebook.levels)) <= 256 for conv in convs(network))
        (note,) = (note for note in network.notes if "weights are fixed to" in note)
        assert "bits per weight" in note


def test_all_layers_share_one_set_of_values():
    model = wide_network(0, tail=4)
    network = check_network(model, "fixing:terms=2", "e2m1")
    mu = np.concatenate([normalised(layer.weight).ravel() for layer in model.layers])
    shared = {0, *find_centres(mu, 2).levels.tolist()}
    for conv in convs(network):
        assert set(conv.codebook.levels) <= shared
        assert lengths(np.array(conv.codebook.levels)).max() <= 2
    assert not real(network)[1][2].any()


def test_weights_come_out_near():
    model = wide_network(0)
    network = quantize(model, frames(model, 20, 0), method="fixing")
    for found, layer in zip(real(network), model.layers, strict=True):
        assert 10 * np.log10(np.square(layer.weight).sum() / np.square(found - layer.weight).sum()) > 18


def test_one_weight_and_none():
    for weight in (0.3, -2.0):
        (found,) = real(quantize(single_network(weight), np.ones((4, 1, 1, 1)), method="fixing"))
        assert found.item() == pytest.approx(weight, rel=0.3)
    assert not any(w.any() for w in real(check_network(zero_network(), "fixing", "pot3-nozero")))
