"""The proof helper itself: what is true is proved, what is false is refuted, and nothing is not a proof."""

import pytest
from amaranth.hdl import Assert, Assume, Fragment, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hwgen.errors import HwgenError
from hwgen.sim.formal import Refuted, StreamRules, driven, prove, prove_always, prove_bounded

pytestmark = pytest.mark.synth


class Sum(wiring.Component):
    x: In(8)
    y: In(8)

    def __init__(self, claim):
        self._claim = claim
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self._claim(self.x, self.y)
        return m


def test_truth_is_proved(tmp_path):
    prove(Sum(lambda x, y: [Assert((x + y) - y == x)]), tmp_path)
    assert (tmp_path / "proof.log").stat().st_size > 0


def test_one_counterexample_in_65536_is_found(tmp_path):
    with pytest.raises(Refuted, match=r"an assertion of Sum does not hold; see .*proof\.log"):
        prove(Sum(lambda x, y: [Assert((x != 200) | (y != 123))]), tmp_path)


def test_assumptions_count(tmp_path):
    prove(Sum(lambda x, y: [Assume(y == 0), Assert((x != 200) | (y != 123))]), tmp_path)


def test_nothing_to_prove_is_an_error(tmp_path):
    with pytest.raises(HwgenError, match="yosys failed"):
        prove(Sum(lambda x, y: [Assume(y == 0)]), tmp_path)


class Counter(wiring.Component):
    """Counts to ``top`` and starts over; asserts that it stays at or below ``bound``."""

    step: In(1)

    def __init__(self, top, bound):
        self._top, self._bound = top, bound
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        count = Signal(5)
        with m.If(self.step):
            m.d.sync += count.eq(Mux(count == self._top, 0, count + 1))
        m.d.comb += Assert(count <= self._bound)
        return m


def test_induction(tmp_path):
    prove_always(Counter(9, 9), tmp_path)
    with pytest.raises(Refuted):
        prove_always(Counter(9, 8), tmp_path)


def test_bounded_proofs_see_only_their_steps(tmp_path):
    prove_bounded(Counter(9, 8), tmp_path, steps=9)
    with pytest.raises(Refuted):
        prove_bounded(Counter(9, 8), tmp_path, steps=10)


def test_driven_names_the_registers_of_all_parts():
    class Outer(wiring.Component):
        step: In(1)

        def elaborate(self, platform):
            m = Module()
            m.submodules.inner = inner = Counter(9, 9)
            own = Signal()
            m.d.sync += own.eq(self.step)
            m.d.comb += inner.step.eq(own)
            return m

    fragment = Fragment.get(Outer(), "formal")
    assert set(driven(fragment)) == {"own", "inner.count"}
    assert set(driven(fragment, "comb")) == {"step"}


class Stage(wiring.Component):
    """One register between two streams; with ``deaf`` it does not wait for its sink."""

    i: In(stream.Signature(4))
    o: Out(stream.Signature(4))

    def __init__(self, *, deaf=False):
        self._deaf = deaf
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        with m.If(1 if self._deaf else (~self.o.valid | self.o.ready)):
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += [self.o.valid.eq(self.i.valid), self.o.payload.eq(self.i.payload)]
        return m


class Wires(wiring.Component):
    """Keeps the rules only as long as its source does."""

    i: In(stream.Signature(4))
    o: Out(stream.Signature(4))

    def elaborate(self, platform):
        m = Module()
        wiring.connect(m, wiring.flipped(self.i), wiring.flipped(self.o))
        return m


def test_stream_rules(tmp_path):
    prove_always(StreamRules(Stage()), tmp_path)
    with pytest.raises(Refuted):
        prove_bounded(StreamRules(Stage(deaf=True)), tmp_path, steps=4)


def test_inputs_are_assumed_to_keep_the_rules(tmp_path):
    prove_always(StreamRules(Wires()), tmp_path)
