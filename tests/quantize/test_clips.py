from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.errors import HwgenError
from hwgen.floatnet import FloatNetwork, FloatPool, PoolKind
from hwgen.interval import Interval
from hwgen.lower import evaluate
from hwgen.quantize.clips import push_clips

limits = st.tuples(st.floats(-2, 2), st.floats(-2, 2)).map(lambda pair: (min(pair), max(pair)))


@given(limits, limits)
def test_a_clip_moves_in_front_of_a_maximum_and_nothing_changes(float_network, before, after):
    network = float_network(0)
    layers = list(network.layers)
    layers[0], layers[1] = replace(layers[0], clip=before), replace(layers[1], clip=after)
    network = replace(network, layers=tuple(layers))
    pushed = push_clips(network, Interval(0, 255), 1.0)
    assert pushed.layers[1].clip == (-inf, inf)
    x = np.random.default_rng(0).normal(0, 1, (3, 8, 9, 2))
    assert (evaluate(network, x) == evaluate(pushed, x)).all()


def test_a_chain_of_maxima_passes_its_clips_on(float_network):
    network = float_network(0)
    pool = FloatPool("pool1", PoolKind.MAX, (1, 1), network.layers[0].output_shape, clip=(0.0, 1.0))
    chained = replace(network, layers=(network.layers[0], pool, replace(pool, name="again", clip=(0.5, 3.0))))
    pushed = push_clips(chained, Interval(0, 255), 1.0)
    assert [layer.clip for layer in pushed.layers] == [(0.5, 1.0), (-inf, inf), (-inf, inf)]


def test_a_clip_on_the_input_must_change_nothing():
    pool = FloatPool("pool", PoolKind.MAX, (2, 2), (4, 4, 1), (2, 2), clip=(0.0, inf))
    network = FloatNetwork("net", (4, 4, 1), (pool,))
    assert push_clips(network, Interval(0, 255), 1.0).layers[0].clip == (-inf, inf)
    with pytest.raises(HwgenError, match="'pool'"):
        push_clips(network, Interval(-128, 127), 1.0)
