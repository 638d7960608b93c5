from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.codes import CODES
from hwgen.floatnet import PoolKind
from hwgen.interval import Interval
from hwgen.network import Conv, Requant
from hwgen.reference import dequantized, run
from hwgen.reference.conv import ConvKernel
from hwgen.reference.dequantized import real_bias

from .. import networks
from ..fuzz.grow import random_network

SOURCE = networks.tensor((7, 8, 2), Interval(-32, 31), "input", 0.37)
WIDE = Interval(-10000, 10000)


def data(network, count, seed=0):
    return networks.input_frames(np.random.default_rng(seed), network, count)


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 1 << 20))
def test_equals_the_integer_reference_on_every_layer(seed):
    network = random_network(seed)
    x = data(network, 8, seed)
    integers, twin = run(network, x, every=True), dequantized(network, x, every=True)
    for name, values in integers.items():
        assert (twin[name] == values).all(), name


@pytest.mark.parametrize("book", sorted(CODES))
def test_equals_it_in_every_code(book):
    rng = np.random.default_rng(7)
    layer = networks.conv(rng, SOURCE, 9, (3, 3), pads=(1, 2, 0, 1), book=book, scale=2.3, coarse=True)
    network = networks.network(layer, source=SOURCE)
    x = data(network, 50)
    assert (dequantized(network, x) == run(network, x)).all()


def test_ties_are_common_in_these_networks():
    """Exact ties, the only place where rounding could differ, do occur in what the test above compares."""
    ties = 0
    for seed in range(80):
        network = random_network(seed)
        values = run(network, data(network, 8, seed), every=True)
        for layer in network.layers:
            if isinstance(layer, Conv) and layer.source in values:
                acc = ConvKernel(layer, network.tensor(layer.source).interval).accumulate(values[layer.source])
                wide = acc.astype(np.int64) * layer.requant.mul + layer.requant.add
                ties += np.count_nonzero(wide % (1 << layer.requant.shift) == 0)
    assert ties > 1000


def test_the_bias_comes_back_without_the_rounding_half():
    requant = Requant(np.array([8, 8]), np.array([3 * 16 + 8, 8]), 4, 0, 1)
    assert real_bias(requant, 0.5).tolist() == [1.5, 0.0]


def test_the_weights_are_real_and_matter():
    layer = networks.conv(np.random.default_rng(0), SOURCE, 4, (3, 3))
    network = networks.network(layer, source=SOURCE)
    louder = networks.network(replace(layer, weight_scale=layer.weight_scale * 1.5), source=SOURCE)
    x = data(network, 4)
    assert (dequantized(louder, x) != dequantized(network, x)).any()
    assert (run(louder, x) == run(network, x)).all()


def test_an_average_divides_by_its_area():
    """The twin knows no factor of an average over whole windows, so a wrong unit shows."""
    layer = networks.pool(np.random.default_rng(0), SOURCE, PoolKind.AVERAGE, (2, 3), (1, 2))
    network = networks.network(layer, source=SOURCE)
    wrong = replace(layer, output=replace(layer.output, scale=layer.output.scale * 1.5))
    x = data(network, 4)
    assert (dequantized(network, x) == run(network, x)).all()
    assert (dequantized(networks.network(wrong, source=SOURCE), x) != run(network, x)).any()


def test_what_is_not_rescaled_must_have_the_results_unit():
    other = networks.tensor(SOURCE.shape, SOURCE.interval, "other", SOURCE.scale * 2)
    layer = networks.concat(np.random.default_rng(0), [SOURCE, other])
    network = networks.network(layer, source=[SOURCE, other])
    x = data(network, 4)
    assert (dequantized(network, x) != run(network, x)).any()


@pytest.mark.parametrize("shift", [0, 1, 4])
def test_exact_ties_of_a_convolution(shift):
    """One weight of level 1 and factor 8: half units occur for a shift of 4 and up, and round up, for either sign."""
    layer = networks.conv(np.random.default_rng(0), SOURCE, 4, (3, 3), pads=(1, 1, 1, 1), book="ternary", output=WIDE)
    codes = np.zeros_like(layer.codes)
    codes[:, 1, 1, 0] = 1
    mul = np.full(4, 8)
    layer = replace(
        layer,
        codes=codes,
        requant=Requant(mul, np.full(4, 1 << shift >> 1), shift, WIDE.lo, WIDE.hi),
        weight_scale=layer.output.scale / SOURCE.scale * mul / 2.0**shift,
    )
    network = networks.network(layer, source=SOURCE)
    x = data(network, 8)
    expected = np.floor(x[..., :1] * 8 / 2**shift + 0.5).astype(int).repeat(4, axis=-1)
    assert (run(network, x) == expected).all()
    assert (dequantized(network, x) == expected).all()


@pytest.mark.parametrize("shift", [0, 1, 2, 5])
def test_exact_ties_of_an_addition(shift):
    """Factors 3 and -5 with units that are no powers of two; every quotient of a small power of two occurs."""
    other = networks.tensor(SOURCE.shape, SOURCE.interval, "other", 1 / 3)
    layer = networks.add(np.random.default_rng(0), [SOURCE, other], output=WIDE, scale=0.7)
    layer = replace(layer, mul=(3, -5), add=np.full(2, 1 << shift >> 1), shift=shift)
    network = networks.network(layer, source=[SOURCE, other])
    x = data(network, 8)
    expected = np.floor((3 * x["input"] - 5 * x["other"]) / 2**shift + 0.5)
    assert (run(network, x) == expected).all()
    assert (dequantized(network, x) == expected).all()
