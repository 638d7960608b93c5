"""Lane converters: the channels come out in order, whatever the lanes on either side."""

from math import lcm

import numpy as np
import pytest

from hwgen.interval import Interval
from hwgen.rtl.width import Gearbox, Narrow, Widen
from hwgen.sim.stream import run_stream

STALLS = [{}, {"stall_in": 0.5, "stall_out": 0.5, "seed": 1}]
SIGNED = Interval(-4, 3)


def values(count):
    return np.random.default_rng(0).integers(-4, 4, count)


@pytest.mark.parametrize("stalls", STALLS, ids=["free", "stalled"])
@pytest.mark.parametrize(("lanes", "factor"), [(1, 2), (2, 3), (3, 4)])
def test_widen(lanes, factor, stalls):
    x = values(8 * lanes * factor)
    words, cycles = run_stream(Widen(SIGNED, lanes, factor), x.reshape(-1, lanes).tolist(), 8, **stalls)
    assert words == x.reshape(-1, lanes * factor).tolist()
    if not stalls:
        assert np.diff(cycles).tolist() == [factor] * 7, "takes a word in every cycle"


@pytest.mark.parametrize("stalls", STALLS, ids=["free", "stalled"])
@pytest.mark.parametrize(("lanes", "factor"), [(1, 2), (2, 3), (3, 4)])
def test_narrow(lanes, factor, stalls):
    x = values(8 * lanes * factor)
    words, cycles = run_stream(Narrow(SIGNED, lanes, factor), x.reshape(8, -1).tolist(), 8 * factor, **stalls)
    assert words == x.reshape(-1, lanes).tolist()
    if not stalls:
        assert np.diff(cycles).tolist() == [1] * (8 * factor - 1), "emits a word in every cycle"


@pytest.mark.parametrize("stalls", STALLS, ids=["free", "stalled"])
@pytest.mark.parametrize("o_lanes", [1, 2, 3, 4, 6, 12])
@pytest.mark.parametrize("i_lanes", [1, 2, 3, 4, 6, 12])
def test_gearbox(i_lanes, o_lanes, stalls):
    x = values(48)
    dut = Gearbox(SIGNED, i_lanes, o_lanes)
    if i_lanes == o_lanes:
        with pytest.raises(NameError):
            run_stream(dut, [], 0)  # wires: not even a clock
        return
    words, cycles = run_stream(dut, x.reshape(-1, i_lanes).tolist(), 48 // o_lanes, **stalls)
    assert words == x.reshape(-1, o_lanes).tolist()
    if not stalls:
        # Over whole multiples of both, from the end of one to the end of the last.
        per_period = lcm(i_lanes, o_lanes) // o_lanes
        ends = cycles[per_period - 1 :: per_period]
        period = lcm(i_lanes, o_lanes) // min(i_lanes, o_lanes)
        assert np.diff(ends).tolist() == [period] * (len(ends) - 1), "the narrower side moves in every cycle"


@pytest.mark.parametrize("kind", [Widen, Narrow])
def test_refuses_a_factor_of_one(kind):
    with pytest.raises(ValueError, match="factor must be at least 2, not 1"):
        kind(SIGNED, 2, 1)
