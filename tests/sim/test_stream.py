"""The checks of the simulation vocabulary itself: a component that breaks the stream rules is caught."""

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hwgen.sim.stream import Stalled, run_stream


class Register(wiring.Component):
    """A one-word buffer; ``fault`` names what is wrong with it."""

    i: In(stream.Signature(8))
    o: Out(stream.Signature(8))

    def __init__(self, fault=""):
        self._fault = fault
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        taken = Signal(8)
        with m.If(~self.o.valid | self.o.ready):
            m.d.comb += self.i.ready.eq(taken < 5 if self._fault == "deadlock" else 1)
            m.d.sync += [self.o.valid.eq(self.i.valid & self.i.ready), self.o.payload.eq(self.i.payload)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += taken.eq(taken + 1)
        if self._fault == "drops valid":
            with m.If(self.o.valid & ~self.o.ready):
                m.d.sync += self.o.valid.eq(0)
        if self._fault == "changes payload":
            with m.If(self.o.valid & ~self.o.ready):
                m.d.sync += self.o.payload.eq(self.o.payload + 1)
        if self._fault == "repeats":
            with m.If(self.o.valid & self.o.ready & ~self.i.valid):
                m.d.sync += self.o.valid.eq(1)
        return m


WORDS = list(range(10, 30))


@pytest.mark.parametrize("stalls", [{}, {"stall_in": 0.5}, {"stall_out": 0.5}, {"stall_in": 0.4, "stall_out": 0.4}])
def test_a_good_component_passes(stalls):
    words, cycles = run_stream(Register(), WORDS, len(WORDS), **stalls)
    assert words == WORDS
    assert cycles == sorted(set(cycles))
    if not stalls:
        assert cycles == list(range(1, 21)), "latency 1, one word per cycle"


def test_the_seed_decides_the_stalls():
    runs = [run_stream(Register(), WORDS, 20, stall_in=0.3, stall_out=0.3, seed=seed)[1] for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("fault", ["drops valid", "changes payload"])
def test_a_word_that_does_not_wait_is_caught(fault):
    run_stream(Register(fault), WORDS, len(WORDS))  # harmless while nobody stalls
    with pytest.raises(AssertionError, match="a waiting word must stay as it is"):
        run_stream(Register(fault), WORDS, len(WORDS), stall_out=0.5)


def test_too_many_words_are_caught():
    with pytest.raises(AssertionError, match="more than 20 words"):
        run_stream(Register("repeats"), WORDS, len(WORDS))


def test_a_deadlock_is_caught():
    with pytest.raises(Stalled, match="no word for 100 cycles after 5 of 20"):
        run_stream(Register("deadlock"), WORDS, len(WORDS), limit=100)


def test_words_that_nobody_takes_do_no_harm():
    """A source with more to say than the test wants to hear ends with the test."""
    assert run_stream(Register("deadlock"), WORDS, 5)[0] == WORDS[:5]
