"""One pool of vectors for the whole network, and the dot products by table that it is for."""

import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.quantize import quantize
from hwgen.quantize.methods import weight_pool
from hwgen.quantize.methods.weight_pool import (
    VECTOR,
    WeightPool,
    assigned,
    bit_serial,
    find_pool,
    k_means,
    stored_bits,
    tables,
)

from .common import check_network, convs, frames, real, single_network, weights_only, wide_network, zero_network


@pytest.fixture(scope="module", params=["e2m1", "pot3", "ternary"])
def pool(request):
    return find_pool([wide_network(0).layers[1].weight], CODES[request.param], 32, 0)


def test_tables_are_dot_products_with_every_pattern(pool):
    patterns = np.arange(256)[:, None] >> np.arange(VECTOR) & 1
    table = tables(pool)
    assert table.shape == (len(pool), 256)
    assert (table == pool @ patterns.T).all()
    assert (table[:, 0] == 0).all()
    assert (table[:, 255] == pool.sum(axis=1)).all()
    numbers, bits = (side.ravel() for side in np.meshgrid(np.arange(len(pool)), np.arange(256), indexing="ij"))
    assert (bit_serial(pool, numbers, patterns[bits], 1, 1) == (pool[numbers] * patterns[bits]).sum(axis=1)).all()


@pytest.mark.parametrize("bits", [4, 8])
def test_planes_add_up_to_the_dot_product_with_masked_activations(pool, bits):
    rng = np.random.default_rng(0)
    numbers, x = rng.integers(0, len(pool), 500), rng.integers(0, 1 << bits, (500, VECTOR))
    for planes in range(bits + 1):
        masked = x & ((1 << bits) - 1) << (bits - planes)
        assert (bit_serial(pool, numbers, x, bits, planes) == (pool[numbers] * masked).sum(axis=1)).all()


@pytest.mark.parametrize(("weights", "size", "bits"), [(77_312, 64, 4), (8, 2, 3), (2304, 33, 5), (64, 128, 8)])
def test_the_memory_is_counted_exactly(weights, size, bits):
    assert stored_bits(weights, size, bits) == weights / 8 * np.ceil(np.log2(size)) + 8 * size * bits


def test_eight_weights_take_the_bits_of_one_number():
    assert stored_bits(80_000, 64, 4) - stored_bits(0, 64, 4) == 80_000 * 0.75


def test_clusters_that_are_there_are_found():
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 10, (20, VECTOR))
    vectors = centres[rng.integers(0, 20, 2000)] + rng.normal(0, 0.01, (2000, VECTOR))
    for seed in range(3):
        found = k_means(vectors, 20, seed)
        assert np.square(vectors - found[assigned(vectors, found)]).sum(axis=1).mean() < 8 * 0.01**2 * 1.1


def test_rounds_of_k_means_end_at_a_fixed_point_better_than_the_start():
    vectors = np.random.default_rng(0).normal(0, 1, (600, VECTOR))
    found = k_means(vectors, 16, 0)
    numbers = assigned(vectors, found)
    chosen = vectors[:16]

    def noise(centres):
        return np.square(vectors - centres[assigned(vectors, centres)]).sum()

    assert noise(found) < 0.8 * noise(chosen)
    means = np.stack([vectors[numbers == number].mean(axis=0) for number in range(16)])
    assert np.square(means - found).max() < 0.05


def test_an_empty_cluster_moves_to_the_farthest_vector(monkeypatch):
    """All start at one place, so that all but the first are empty at once."""
    monkeypatch.setattr(weight_pool, "_first_centres", lambda vectors, size, seed: np.full((size, 2), -1e3))
    vectors = np.array([[0.0, 0], [0.1, 0], [5, 0], [50, 0], [50, 0]])
    found = np.sort(k_means(vectors, 3, 0)[:, 0])
    assert found == pytest.approx([0.05, 5, 50])


def test_few_vectors_are_all_in_the_pool():
    vectors = np.array([[1.0, 2], [3, 4], [1, 2]])
    assert k_means(vectors, 2, 0).tolist() == [[1, 2], [3, 4]]
    assert k_means(vectors, 9, 0).tolist() == [[1, 2], [3, 4]]


def test_the_nearest_vector_counts_what_matters():
    pool, vector = np.array([[0, 0], [4, 0], [0, 3]]), np.array([[2.5, 1.6]])
    assert assigned(vector, pool).tolist() == [1]
    assert assigned(vector, pool, np.array([[1.0, 100.0]])).tolist() == [2]
    assert assigned(np.array([[2.0, 0]]), pool).tolist() == [0]


@pytest.mark.parametrize("code", ["e2m1", "pot3", "e2m2", "pot3-nozero"])
@pytest.mark.parametrize("size", [2, 16])
def test_layers_hold_vectors_of_one_pool(code, size):
    model = wide_network(0)
    network = check_network(model, f"pool:size={size}", code)
    found = [conv.codebook.decode(conv.codes) for conv in convs(network)]
    vectors = np.concatenate([found[index].reshape(-1, VECTOR) for index in (1, 3, 4)])
    assert len(np.unique(vectors, axis=0)) <= size
    if code != "pot3-nozero":
        assert not found[1][2].any()
    assert len(np.unique(found[0].reshape(-1, 3), axis=0)) > size
    notes = "\n".join(network.notes)
    assert "first: plainly rounded instead of from the pool, being the first." in notes
    assert (
        "depthwise: plainly rounded instead of from the pool, the inputs of an output being no multiple of 8" in notes
    )
    assert "body, grouped, last: weights are vectors of 8 out of a pool of" in notes


def test_channels_share_the_pool_whatever_their_scale():
    model = wide_network(1)
    model.layers[4].weight[:] *= np.geomspace(1, 30, 10)[:, None, None, None]
    network = quantize(model, frames(model, 20, 0), method="pool:size=128")
    error = np.square(real(network)[4] - model.layers[4].weight).sum(axis=(1, 2, 3))
    share = error / np.square(model.layers[4].weight).sum(axis=(1, 2, 3))
    assert share.max() < 1.5 * share.min()


def test_a_larger_pool_is_better():
    model, noise = wide_network(0), []
    for size in (4, 32, 256):
        network = quantize(model, frames(model, 20, 0), code="e2m1", method=f"pool:size={size}")
        noise.append(
            np.square(real(network)[1] - model.layers[1].weight).sum() / np.square(model.layers[1].weight).sum()
        )
    assert noise[2] < 0.25
    assert noise[2] < noise[1] < noise[0] < 1


def test_repeated_vectors_cost_nothing():
    """A network whose layers are made of few vectors is taken as it is, up to the grid of scales."""
    model = wide_network(0)
    rng = np.random.default_rng(0)
    few = rng.choice(CODES["e2m1"].sorted_levels, (6, VECTOR))
    few[:, 0] = 12
    for index in (1, 3, 4):
        weight = model.layers[index].weight
        weight[:] = few[rng.integers(0, 6, weight.size // VECTOR)].reshape(weight.shape)
    network = quantize(model, frames(model, 20, 0), code="e2m2", method="pool:size=64")
    for index in (1, 3, 4):
        weight = model.layers[index].weight
        assert np.square(real(network)[index] - weight).sum() < 0.01 * np.square(weight).sum()


def test_seeds_give_other_pools():
    model = wide_network(0)
    one, other = (quantize(model, frames(model, 20, 0), method=f"pool:size=16,seed={seed}") for seed in (0, 1))
    assert (convs(one)[1].codes != convs(other)[1].codes).any()


@pytest.mark.parametrize("code", ["pot3", "e2m1", "e2m2"])
def test_networks_without_eights_are_rounded_plainly(float_network, float_graph, code):
    for model in (float_network(0), float_graph(1)):
        network = check_network(model, "pool", code)
        plain = quantize(model, frames(model, 20, 0), code=code, method="plain")
        assert all((a.codes == b.codes).all() for a, b in zip(convs(network), convs(plain), strict=True))
        assert any("no multiple of 8" in note for note in network.notes)


def test_a_layer_with_a_code_of_its_own_is_rounded_plainly():
    model = wide_network(0)
    coder = WeightPool().coder(model, CODES["e2m1"])
    layer = model.layers[1]
    found = coder(weights_only(layer, CODES["pot3"]))
    assert found.note == "plainly rounded instead of from the pool, in codes other than e2m1"
    assert found.codebook == CODES["pot3"]


def test_one_weight_and_none():
    (found,) = real(quantize(single_network(-2.0), np.ones((4, 1, 1, 1)), method="pool"))
    assert found.item() == pytest.approx(-2, rel=0.09)
    assert not any(w.any() for w in real(check_network(zero_network(), "pool", "e2m1")))
    check_network(zero_network(), "pool", "pot3-nozero")
