"""The adder tree: exact sums, the promised latency, no bit too many."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwgen.interval import Interval
from hwgen.rtl.stream import lanes_of, shape_of
from hwgen.rtl.tree import adder_tree, tree_latency

from .drive import clocked


class Tree(wiring.Component):
    def __init__(self, inputs, interval):
        self._interval = interval
        self._inputs = inputs
        super().__init__({"x": In(lanes_of(interval, inputs)), "y": Out(shape_of(interval * inputs))})

    def elaborate(self, platform):
        m = Module()
        total = adder_tree(m, [self.x[i] for i in range(self._inputs)], self._interval)
        assert len(total) == (self._interval * self._inputs).bits
        m.d.comb += self.y.eq(total)
        return m


@pytest.mark.parametrize("interval", [Interval(0, 5), Interval(-8, 7), Interval(-1, 0)], ids=str)
@pytest.mark.parametrize("inputs", [2, 3, 4, 5, 7, 8, 9])
def test_sums(inputs, interval):
    rng = np.random.default_rng(inputs)
    rows = rng.integers(interval.lo, interval.hi + 1, (30, inputs)).tolist()
    rows += [[interval.lo] * inputs, [interval.hi] * inputs]
    latency = tree_latency(inputs)
    assert latency == int(np.ceil(np.log2(inputs)))
    (seen,) = clocked(
        Tree(inputs, interval), [(row,) for row in rows], inputs=["x"], outputs=["y"], cycles=len(rows) + latency
    )
    assert seen[latency:] == [sum(row) for row in rows], "one sum per cycle"


def test_one_input_is_a_wire():
    assert tree_latency(1) == 0
    dut = Tree(1, Interval(0, 3))
    m = dut.elaborate(None)
    assert not m._statements.get("sync"), "nothing to add, nothing to register"
