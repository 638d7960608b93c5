"""Branches that meet again: with the FIFOs of the schedule they neither hang nor slow the core down."""

import itertools

import numpy as np
import pytest

from hwgen.plan.schedule import cycles_per_frame, schedule
from hwgen.rtl.top import Core
from hwgen.sizing.folding import Folding

from ..graphs import GRAPHS, residual
from ..networks import foldings, frames
from .play import Deadlock, check_frames

RNG_SEED = 5


def data_of(net, count, seed=0):
    rng = np.random.default_rng(seed)
    return {tensor.name: frames(rng, tensor, count) for tensor in net.inputs}


def rate(net, chosen, fifos, count=5, lanes=None):
    """Cycles per frame without stalls, when the core has filled up."""
    core = Core(net, chosen, fifos, lanes=lanes)
    played = check_frames(net, core, data_of(net, count), limit=6 * cycles_per_frame(net, chosen) + 500)
    (last,) = (o for o in core.outputs if o.tensor == net.layers[-1].name)
    ends = played.ends(last)
    return (ends[-1] - ends[count // 2]) / (count - 1 - count // 2)


def check(net, chosen, seed):
    """The planned rate without stalls, and the right frames with them."""
    period = cycles_per_frame(net, chosen)
    found = schedule(net, chosen, period)
    assert rate(net, chosen, found.depths) == period
    stalls = {"stall_in": (0.0, 0.3, 0.7)[seed % 3], "stall_out": (0.6, 0.3, 0.0, 0.9)[seed % 4]}
    check_frames(net, Core(net, chosen, found.depths), data_of(net, 2, seed), seed=seed, limit=20_000, **stalls)


@pytest.mark.parametrize(("lanes", "period"), [(1, 24), (2, 12)])
def test_the_rate_with_several_lanes_at_the_end(lanes, period):
    """Every layer makes a pixel of two channels per cycle; they leave as fast as the lanes let them."""
    net = residual(np.random.default_rng(RNG_SEED))
    chosen = [Folding(2, 2, 2, (2, 2)), Folding(2, 2, 2, (2, 2)), Folding(2, 2, 2)]
    assert cycles_per_frame(net, chosen, lanes=[lanes]) == period
    fifos = schedule(net, chosen, period, lanes=[lanes]).depths
    assert rate(net, chosen, fifos, lanes=[lanes]) == period


def every_folding(net):
    return list(itertools.product(*(foldings(layer) for layer in net.layers)))


RESIDUAL = residual(np.random.default_rng(RNG_SEED))


def some_of(net, index):
    """A folding for every layer, any of the legal ones."""
    rng = np.random.default_rng(index)
    return [options[rng.integers(len(options))] for options in (foldings(layer) for layer in net.layers)]


EVERY = every_folding(RESIDUAL)


@pytest.mark.parametrize("index", [pytest.param(n, marks=[pytest.mark.slow] * (n % 6 > 0)) for n in range(len(EVERY))])
def test_every_folding_of_a_residual_block(index):
    check(RESIDUAL, EVERY[index], index)


@pytest.mark.parametrize("index", [pytest.param(n, marks=[pytest.mark.slow] * (n > 1)) for n in range(12)])
@pytest.mark.parametrize("name", [name for name in GRAPHS if name != "residual"])
def test_foldings_of_other_graphs(name, index):
    net = GRAPHS[name](np.random.default_rng(RNG_SEED))
    check(net, some_of(net, index), index)


@pytest.mark.parametrize("name", ["residual", "concatenated", "nested"])
def test_one_entry_less_than_the_least_depth_deadlocks(name):
    """Of every FIFO in turn, the others as planned; exactly at the least depth the core is slow but goes on."""
    net = GRAPHS[name](np.random.default_rng(RNG_SEED))
    chosen = some_of(net, 0)
    found = schedule(net, chosen, cycles_per_frame(net, chosen))
    tried = 0
    for edge, depth in found.depths.items():
        least = found.least_depth(edge)
        assert least <= depth
        if least:
            tried += 1
            rate(net, chosen, {**found.depths, edge: least}, count=3)
            with pytest.raises(Deadlock, match="nothing moved for"):
                rate(net, chosen, {**found.depths, edge: least - 1}, count=3)
    assert tried


def test_two_entries_less_than_planned_cost_throughput():
    """The bottleneck lies between the branches and is busy in every cycle: what it waits, the frame waits.

    One entry of the planned ones is for latencies that the schedule rounds up to a word.
    """
    net = residual(np.random.default_rng(1), shape=(4, 4, 2), kernel=(3, 3), pads=(1, 1, 1, 1))
    chosen = [Folding(1, 2, 1), Folding(1, 2, 1), Folding(1, 1, 1)]
    period = cycles_per_frame(net, chosen)
    ((edge, depth),) = schedule(net, chosen, period).depths.items()
    assert rate(net, chosen, {edge: depth}) == period
    assert rate(net, chosen, {edge: depth - 2}) > period
