from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.codes import CODES
from hwgen.interval import Interval
from hwgen.network import Requant
from hwgen.reference import dequantized, run
from hwgen.reference.conv import ConvKernel
from hwgen.reference.dequantized import real_bias


def data(network, count, seed):
    interval = network.input.interval
    return np.random.default_rng(seed).integers(interval.lo, interval.hi + 1, (count, *network.input.shape))


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 1 << 20), st.sampled_from(sorted(CODES)))
def test_equals_the_integer_reference_on_every_layer(random_network, seed, code):
    network = random_network(seed, CODES[code])
    x = data(network, 8, seed)
    integers, twin = run(network, x, every=True), dequantized(network, x, every=True)
    for name, values in integers.items():
        assert (twin[name] == values).all(), name
    assert (dequantized(network, x) == integers[network.output.name]).all()


def test_ties_are_common_in_these_networks(random_network):
    """Exact ties, the only place where rounding could differ, do occur in what the test above compares."""
    ties = 0
    for seed in range(20):
        network = random_network(seed, CODES["e2m1"])
        layer = network.layers[0]
        acc = ConvKernel(layer, network.input.interval).accumulate(data(network, 8, seed)).astype(np.int64)
        ties += np.count_nonzero((acc * layer.requant.mul + layer.requant.add) % (1 << layer.requant.shift) == 0)
    assert ties > 200


def test_the_bias_comes_back_without_the_rounding_half():
    requant = Requant(np.array([8, 8]), np.array([3 * 16 + 8, 8]), 4, 0, 1)
    assert real_bias(requant, 0.5).tolist() == [1.5, 0.0]


def test_the_weights_are_real_and_matter(random_network):
    network = random_network(5, CODES["e2m1"])
    layer = network.layers[0]
    louder = replace(network, layers=(replace(layer, weight_scale=layer.weight_scale * 1.5), *network.layers[1:]))
    x = data(network, 4, 0)
    assert (dequantized(louder, x, every=True)["conv1"] != dequantized(network, x, every=True)["conv1"]).any()
    assert (run(louder, x) == run(network, x)).all()


@pytest.mark.parametrize("shift", [0, 1, 4])
def test_exact_ties(random_network, shift):
    """One weight of level 1 and factor 8: half units occur for a shift of 4 and up, and round up, for either sign."""
    network = random_network(1, CODES["ternary"])
    layer = network.layers[0]
    codes = np.zeros_like(layer.codes)
    codes[:, 1, 1, 0] = 1
    mul = np.full(4, 8)
    add = np.full(4, 1 << shift >> 1)
    layer = replace(
        layer,
        codes=codes,
        requant=Requant(mul, add, shift, -10000, 10000),
        output=replace(layer.output, interval=Interval(-10000, 10000)),
        weight_scale=layer.output.scale / network.input.scale * mul / 2.0**shift,
    )
    network = replace(network, layers=(layer,))
    x = data(network, 8, 0)
    expected = np.floor(x[..., :1] * 8 / 2**shift + 0.5).astype(int).repeat(4, axis=-1)
    assert (run(network, x) == expected).all()
    assert (dequantized(network, x) == expected).all()
