"""The register slice: nothing lost, nothing reordered, full rate."""

import pytest
from amaranth.hdl import signed

from hwgen.rtl.relay import Relay
from hwgen.sim.stream import run_stream

WORDS = [(index * 37) % 256 - 128 for index in range(200)]


@pytest.mark.parametrize(("stall_in", "stall_out"), [(0, 0), (0.5, 0), (0, 0.5), (0.4, 0.6), (0.05, 0.05)])
def test_words_pass(stall_in, stall_out):
    taken, cycles = run_stream(Relay(signed(8)), WORDS, len(WORDS), stall_in=stall_in, stall_out=stall_out)
    assert taken == WORDS
    if not stall_in and not stall_out:
        assert cycles[-1] - cycles[0] == len(WORDS) - 1
