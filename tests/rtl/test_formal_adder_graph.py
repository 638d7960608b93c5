"""Proofs for the graph engine: additions for all words, stream rules in all states, no push without a claim.

The provers and what must be refuted beside each proof are those of ``test_formal.py``.
"""

import numpy as np
import pytest
from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

import hwgen.rtl.results
from hwgen.rtl.adder_graph import ParallelGraph
from hwgen.rtl.graph_conv import GraphConvEngine
from hwgen.rtl.queue import Queue
from hwgen.rtl.stream import shape_of
from hwgen.sim.formal import Refuted, StreamRules, prove, prove_always, prove_bounded
from hwgen.sizing.adder_graph import solve
from hwgen.sizing.graph_engine import GraphFolding

from ..networks import SIGNED, conv, tensor
from . import test_formal
from .mutants import mutate
from .test_formal import CRUMB, CYCLES, Deaf, EngineProof

pytestmark = pytest.mark.synth


class AdditionProof(wiring.Component):
    """``ParallelGraph._add`` is ``left ± (right << shift)`` for all operands, in the bits that their intervals say."""

    def __init__(self, matrix, *, error: int = 0):
        self._graph = solve(np.array(matrix), SIGNED)
        self._error = error
        super().__init__({f"x{number}": In(shape_of(SIGNED)) for number in range(self._graph.inputs)})

    def elaborate(self, platform):
        m = Module()
        graph = self._graph
        nodes = [getattr(self, f"x{number}") for number in range(graph.inputs)]
        for node, adder in enumerate(graph.adders, graph.inputs):
            total = Signal(shape_of(graph.intervals[node]), name=f"node{node}")
            left, right = nodes[adder.left], nodes[adder.right] << adder.shift
            m.d.comb += [
                total.eq(ParallelGraph._add(adder, left, nodes[adder.right])),
                Assert(total == (left - right if adder.subtract else left + right) + self._error),
            ]
            nodes.append(total)
        return m


MATRICES = {"sums and differences": [[5, -3], [7, 12]], "far shifts": [[1, -1], [512, 1024]]}


@pytest.mark.parametrize("name", MATRICES)
def test_additions_are_exact(name, tmp_path):
    prove(AdditionProof(MATRICES[name]), tmp_path)


def test_a_wrong_addition_is_refuted(tmp_path):
    with pytest.raises(Refuted):
        prove(AdditionProof([[3]], error=1), tmp_path)


def tiny(folding: GraphFolding, kernel=(1, 2), shape=(2, 2, 1), pads=(0, 0, 0, 0)) -> GraphConvEngine:
    source = tensor(shape, CRUMB)
    layer = conv(np.random.default_rng(0), source, 2, kernel, output=CRUMB, book="ternary", pads=pads)
    return GraphConvEngine(layer, source, folding)


ENGINES = {
    "bit-parallel": lambda: tiny(GraphFolding(None, 2)),
    "bit-parallel, serialised": lambda: tiny(GraphFolding(None, 1)),
    "bit-parallel, padded": lambda: tiny(GraphFolding(None, 2), pads=(0, 1, 0, 1)),
    "bit-serial": lambda: tiny(GraphFolding(1, 1)),
    "bit-serial, 1x1": lambda: tiny(GraphFolding(1, 2), kernel=(1, 1)),
}


@pytest.mark.parametrize("name", ENGINES)
def test_streams_hold_what_is_not_taken(name, tmp_path):
    prove_always(StreamRules(ENGINES[name]()), tmp_path)


@pytest.mark.parametrize("name", ENGINES)
def test_a_deaf_stream_is_refuted(name, tmp_path):
    with pytest.raises(Refuted):
        prove_bounded(StreamRules(Deaf(ENGINES[name]())), tmp_path, steps=40)


@pytest.fixture
def short_queues(monkeypatch):
    """Queues of four words fill soon; and a claim is for the results of two channels."""
    monkeypatch.setattr(hwgen.rtl.results, "queue_depth", lambda words, period, latency: 4)
    monkeypatch.setattr(test_formal, "engine_rows", lambda engine: 2)


@pytest.mark.usefixtures("short_queues")
@pytest.mark.parametrize("name", ENGINES)
def test_engines_push_what_they_claimed(name, tmp_path):
    prove_bounded(EngineProof(ENGINES[name]()), tmp_path, steps=CYCLES)


@pytest.mark.usefixtures("short_queues")
@pytest.mark.parametrize("name", [name for name in ENGINES if name.startswith("bit-parallel")])
def test_an_engine_that_ignores_room_is_refuted(name, tmp_path, monkeypatch):
    """Of the fast engines: a slow one fills its queue after more cycles than a solver likes."""
    mutate(monkeypatch, Queue, "elaborate", "self.room.eq(free >= self._words)", "self.room.eq(1)")
    with pytest.raises(Refuted):
        prove_bounded(EngineProof(ENGINES[name]()), tmp_path, steps=CYCLES)
