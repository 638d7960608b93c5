"""Branches that meet again: with the FIFOs of the schedule they neither hang nor slow the core down."""

import itertools

import numpy as np
import pytest

from hwgen.plan.schedule import cycles_per_frame, schedule
from hwgen.rtl.top import Core

from ..graphs import GRAPHS, residual
from ..networks import foldings, frames
from .play import check_frames

RNG_SEED = 5


def data_of(net, count, seed=0):
    rng = np.random.default_rng(seed)
    return {tensor.name: frames(rng, tensor, count) for tensor in net.inputs}


def rate(net, chosen, fifos, count=5):
    """Cycles per frame without stalls, when the core has filled up."""
    core = Core(net, chosen, fifos)
    played = check_frames(net, core, data_of(net, count), limit=6 * cycles_per_frame(net, chosen) + 500)
    (last,) = (o for o in core.outputs if o.tensor == net.layers[-1].name)
    ends = played.ends(last.tensor, last.words)
    return (ends[-1] - ends[count // 2]) / (count - 1 - count // 2)


def check(net, chosen, seed):
    """The planned rate without stalls, and the right frames with them."""
    period = cycles_per_frame(net, chosen)
    found = schedule(net, chosen, period)
    assert rate(net, chosen, found.depths) == period
    stalls = {"stall_in": (0.0, 0.3, 0.7)[seed % 3], "stall_out": (0.6, 0.3, 0.0, 0.9)[seed % 4]}
    check_frames(net, Core(net, chosen, found.depths), data_of(net, 2, seed), seed=seed, limit=20_000, **stalls)


def every_folding(net):
    return list(itertools.product(*(foldings(layer) for layer in net.layers)))


RESIDUAL = residual(np.random.default_rng(RNG_SEED))


@pytest.mark.parametrize("index", range(len(every_folding(RESIDUAL))))
def test_every_folding_of_a_residual_block(index):
    check(RESIDUAL, every_folding(RESIDUAL)[index], index)


@pytest.mark.parametrize("index", range(8))
@pytest.mark.parametrize("name", [name for name in GRAPHS if name != "residual"])
def test_foldings_of_other_graphs(name, index):
    net = GRAPHS[name](np.random.default_rng(RNG_SEED))
    rng = np.random.default_rng(index)
    chosen = [options[rng.integers(len(options))] for options in (foldings(layer) for layer in net.layers)]
    check(net, chosen, index)
