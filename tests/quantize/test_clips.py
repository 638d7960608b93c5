from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.floatnet import Fixed, FloatConv, FloatInput, FloatNetwork, FloatPool, FloatRemap, FloatTable, PoolKind
from hwgen.interval import Interval
from hwgen.lower import evaluate
from hwgen.network import Tensor
from hwgen.quantize.clips import moves_only, push_clips

limits = st.tuples(st.floats(-2, 2), st.floats(-2, 2)).map(lambda pair: (min(pair), max(pair)))

INPUT = {"input": Tensor("input", (8, 9, 2), Interval(-128, 127), 1.0)}


def same(network, pushed, x):
    """Equal at every output; nothing that moves values clips or rounds any more."""
    for layer in pushed.layers:
        if moves_only(layer):
            assert layer.fixed is None
            assert not isinstance(layer, FloatPool) or layer.clip == (-inf, inf)
    before, after = evaluate(network, x, every=True), evaluate(pushed, x, every=True)
    return all((before[name] == after[name]).all() for name in network.outputs)


@given(limits, limits)
def test_a_clip_moves_in_front_of_a_maximum_and_nothing_changes(float_network, before, after):
    network = float_network(0)
    layers = list(network.layers)
    layers[0], layers[1] = replace(layers[0], clip=before), replace(layers[1], clip=after)
    network = replace(network, layers=tuple(layers))
    pushed = push_clips(network, INPUT)
    assert [layer.name for layer in pushed.layers] == [layer.name for layer in layers]
    assert same(network, pushed, np.random.default_rng(0).normal(0, 1, (3, 8, 9, 2)))


def chain(network, *layers, outputs=None):
    return replace(network, layers=(network.layers[0], *layers), outputs=outputs or (layers[-1].name,))


def test_a_chain_of_maxima_passes_its_clips_on(float_network):
    network = float_network(0)
    pool = FloatPool("pool1", "conv1", PoolKind.MAX, (1, 1), network.layers[0].output_shape, clip=(0.0, 1.0))
    chained = chain(network, pool, replace(pool, name="again", source="pool1", clip=(0.5, 3.0)))
    pushed = push_clips(chained, INPUT)
    assert [layer.clip for layer in pushed.layers] == [(0.5, 1.0), (-inf, inf), (-inf, inf)]


def test_a_layer_that_others_read_keeps_its_values_and_a_table_clips(float_network):
    network = float_network(0)
    shape = network.layers[0].output_shape
    pool = FloatPool("pool1", "conv1", PoolKind.MAX, (2, 2), shape, clip=(0.1, 1.0))
    other = FloatPool("other", "conv1", PoolKind.AVERAGE, (2, 2), shape)
    network = chain(network, pool, other, outputs=("pool1", "other"))
    pushed = push_clips(network, INPUT)
    assert [layer.name for layer in pushed.layers] == ["conv1", "pool1_moved", "pool1", "other"]
    assert pushed.layers[2].sources == ("pool1_moved",)
    assert pushed.layers[0].clip == network.layers[0].clip
    assert same(network, pushed, np.random.default_rng(0).normal(0, 1, (3, 8, 9, 2)))


def test_an_output_that_a_pool_clips_keeps_its_values(float_network):
    network = float_network(0)
    pool = FloatPool("pool1", "conv1", PoolKind.MAX, (2, 2), network.layers[0].output_shape, clip=(0.1, 1.0))
    network = chain(network, pool, outputs=("conv1", "pool1"))
    pushed = push_clips(network, INPUT)
    assert isinstance(pushed.layers[2], FloatTable)
    assert same(network, pushed, np.random.default_rng(0).normal(0, 1, (3, 8, 9, 2)))


@pytest.mark.parametrize("fixed", [None, Fixed(0.25, Interval(-4, 3))])
def test_a_format_moves_through_a_remap_with_its_fill(float_network, fixed):
    network = float_network(2)
    shape = network.layers[0].output_shape
    rows, channels = np.arange(-1, shape[0]), np.arange(shape[2])
    columns = np.arange(shape[1]) * shape[2]
    remap = FloatRemap("pad", "conv1", shape, rows, np.zeros_like(rows), columns, channels, 0.3, fixed)
    clip = (-0.2, inf if fixed else 0.2)
    pool = FloatPool("pool1", "pad", PoolKind.MAX, (2, 2), remap.output_shape, clip=clip)
    network = chain(network, remap, pool)
    pushed = push_clips(network, INPUT)
    if fixed is None:
        assert pushed.layers[1].fill == 0.2
        assert [layer.name for layer in pushed.layers] == ["conv1", "pad", "pool1"]
    else:  # a clip behind a rounding is not a clip before it
        assert pushed.layers[0].fixed == fixed
        assert pushed.layers[1].fill == 0.25
        assert [layer.name for layer in pushed.layers] == ["conv1", "pad", "pool1_moved", "pool1"]
    assert same(network, pushed, np.random.default_rng(0).normal(0, 1, (3, 8, 9, 2)))


def test_a_format_moves_into_a_table_and_a_convolution(float_network):
    network = float_network(0)
    shape, fixed = network.layers[0].output_shape, Fixed(0.5, Interval(0, 7))
    pool = FloatPool("pool1", "conv1", PoolKind.MAX, (2, 2), shape, clip=(0.1, 2.2), fixed=fixed)
    network = chain(network, pool)
    pushed = push_clips(network, INPUT)
    assert isinstance(pushed.layers[0], FloatConv)
    assert pushed.layers[0].fixed == fixed
    assert same(network, pushed, np.random.default_rng(0).normal(0, 1, (3, 8, 9, 2)))


@pytest.mark.parametrize(("interval", "layers"), [(Interval(0, 255), 1), (Interval(-128, 127), 2)])
def test_a_clip_on_the_input_vanishes_where_it_changes_nothing(interval, layers):
    pool = FloatPool("pool", "x", PoolKind.MAX, (2, 2), (4, 4, 1), (2, 2), clip=(0.0, inf))
    network = FloatNetwork("net", (FloatInput("x", (4, 4, 1)),), (pool,), ("pool",))
    pushed = push_clips(network, {"x": Tensor("x", (4, 4, 1), interval, 1.0)})
    assert len(pushed.layers) == layers
    x = np.random.default_rng(0).integers(interval.lo, interval.hi, (3, 4, 4, 1))
    assert same(network, pushed, x.astype(float))


@pytest.mark.parametrize(("limit", "names"), [(1.5, ["conv1", "pool1"]), (1.6, ["conv1", "pool1_moved", "pool1"])])
def test_a_clip_on_the_grid_of_a_format_moves_in_front_of_it(float_network, limit, names):
    network = float_network(0)
    fixed = Fixed(0.5, Interval(0, 7))
    conv = replace(network.layers[0], fixed=fixed)
    pool = FloatPool("pool1", "conv1", PoolKind.MAX, (2, 2), conv.output_shape, clip=(0.5, limit))
    network = replace(network, layers=(conv, pool), outputs=("pool1",))
    pushed = push_clips(network, INPUT)
    assert [layer.name for layer in pushed.layers] == names
    assert pushed.layers[0].fixed == fixed
    assert same(network, pushed, np.random.default_rng(0).normal(0, 1, (3, 8, 9, 2)))
