"""How deep the FIFOs on the branches of a network must be, from a schedule.

Engines, FIFOs and gearboxes with back-pressure are a marked graph: every event waits for a fixed number of others, so
a time that moves to an earlier cycle never makes another one later. Self-timed execution, where all act as soon as they
can, is therefore never behind any *admissible* schedule, one that keeps all these waits. It follows (Sriram and
Bhattacharyya, Embedded Multiprocessors, ch. 7; Wiggers, Bekooij and Smit, RTAS 2007) that FIFOs which hold the words
of one admissible schedule with a frame every ``period`` cycles sustain that rate, that none of them can cause a
deadlock, and that a stall outside delays the rest but breaks neither.

The schedule here is the earliest one in which frames repeat exactly and the network's inputs arrive evenly. Its times
are the least solution of the waits, found by going through the layers until nothing changes; every pass is a handful of
running maxima over the words of a frame. What an engine stores by itself (line buffer, output queue) bounds its
neighbours; branches that meet again are unbounded, and what the schedule leaves in them is the depth of their FIFOs.

With all delays 0 and words of one FIFO as the time, the same solution says how many words must have entered the FIFO
before each can leave: the least depth without a deadlock, however slow the core may be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import lcm, prod

import numpy as np

from ..network import Layer, Network
from ..sizing.folding import Folding
from ..sizing.graph import Edge, consumers, edges, input_lanes, result_lanes
from ..sizing.pipeline import FIFO_LATENCY, FORK_WORDS
from .actors import NOTHING, Actor, IntArray, actor_of

__all__ = ["Schedule", "cycles_per_frame", "schedule"]

NEVER = -(1 << 50)
"""A time before every other: no wait."""

PASSES = 24
"""Passes after which waits that still grow are taken for what they are: too little room for the period. Networks of 30
layers that keep their rate settle in 5 to 15."""


@dataclass(frozen=True)
class Schedule:
    """depths: words of FIFO of every edge that needs one. period: cycles per frame that they sustain."""

    period: int
    depths: Mapping[Edge, int]
    _solver: Solver = field(repr=False, compare=False)

    def least_depth(self, edge: Edge) -> int:
        """Words of FIFO on ``edge`` below which the core deadlocks, whatever the other FIFOs hold; 0 for no need."""
        return self._solver.least_depth(edge, set(self.depths) | {edge})


def schedule(
    network: Network, foldings: Sequence[Folding], period: int, *, lanes: Sequence[int] | None = None
) -> Schedule:
    """The FIFOs with which ``network`` on ``foldings`` makes a frame every ``period`` cycles.

    lanes: values per beat of every output, one unless given. ``period`` must be at least the cycles per frame of every
    engine and stream.
    """
    solver = Solver(network, foldings, lanes=lanes)
    open_edges = _meeting(network)
    while True:
        times, growing = solver.solve(period, open_edges)
        if not growing:
            break
        # A wait that grows moves all before it; the last one is nearest to its cause.
        open_edges.add(max(growing, key=list(edges(network)).index))
    depths = _depths(times, open_edges)
    # Where few words wait, they may as well do so in the engine that makes them, if that keeps up.
    for edge in sorted(depths, key=lambda edge: depths[edge]):
        if edge in depths and depths[edge] <= 2 * solver.queue(edge) and solver.least_depth(edge, open_edges) == 0:
            times, growing = solver.solve(period, open_edges - {edge})
            if not growing:
                open_edges -= {edge}
                depths = _depths(times, open_edges)
    return Schedule(period, depths, solver)


def _depths(times: _Times, open_edges: set[Edge]) -> dict[Edge, int]:
    found = {edge: times.depth(edge) for edge in times.passed if edge in open_edges}
    return {edge: depth for edge, depth in found.items() if depth}


def cycles_per_frame(network: Network, foldings: Sequence[Folding], *, lanes: Sequence[int] | None = None) -> int:
    """Cycles between two frames in steady state: those of the slowest engine, input or output.

    lanes: values per beat of every output, one unless given.
    """
    outputs = [network.tensor(name) for name in network.outputs]
    taken = input_lanes(network, [folding.simd for folding in foldings])
    ends = [prod(tensor.shape) // count for tensor, count in zip(network.inputs, taken, strict=True)]
    ends += [prod(tensor.shape) // count for tensor, count in zip(outputs, result_lanes(network, lanes), strict=True)]
    engines = (folding.cycles(layer) for layer, folding in zip(network.layers, foldings, strict=True))
    return max(*ends, *engines)


def _meeting(network: Network) -> set[Edge]:
    """Edges into a layer of several sources, two of which come from one tensor: the ends of branches that meet."""
    origins: dict[str, set[str]] = {tensor.name: {tensor.name} for tensor in network.inputs}
    found = set()
    for layer in network.layers:
        past = [origins[name] for name in layer.sources]
        for index, name in enumerate(layer.sources):
            others = set().union(*(p for k, p in enumerate(past) if k != index))
            if past[index] & others:
                found.add(Edge(name, layer.name, index))
        origins[layer.name] = set().union({layer.name}, *past)
    return found


class _Frame:
    """Periodic times: arithmetic on arrays of one frame, where word ``n + len`` comes ``period`` later."""

    def __init__(self, period: int):
        self.period = period

    def at(self, times: IntArray, index: IntArray) -> IntArray:
        """``times[index]``; indices outside lie in other frames."""
        frame, word = np.divmod(index, len(times))
        return np.maximum(times[word] + frame * self.period, NEVER)

    def back(self, times: IntArray, words: int) -> IntArray:
        """The time of ``words`` words before each."""
        return self.at(times, np.arange(-words, len(times) - words))

    def in_order(self, times: IntArray, service: IntArray | int) -> IntArray:
        """The least times, none earlier than these, of which each is ``service`` of its predecessor after that."""
        before = np.arange(len(times)) * service if isinstance(service, int) else np.cumsum(service) - service
        last = service if isinstance(service, int) else int(service[-1])
        result = np.maximum.accumulate(times - before) + before
        return np.maximum(result, result[-1] + last - self.period + before)


@dataclass
class _Times:
    """One solution: when firings start, words leave engines and forks, and pass every boundary of every edge."""

    frame: _Frame
    start: dict[str, IntArray]
    popped: dict[str, IntArray]
    forked: dict[str, IntArray]
    passed: dict[Edge, list[IntArray]]

    def depth(self, edge: Edge) -> int:
        """Most words between the first two boundaries of ``edge``; 0 when none ever waits there."""
        entered, left = self.passed[edge][:2]
        words, period = len(entered), self.frame.period
        if (left <= entered + FIFO_LATENCY).all():
            return 0
        frames = int((left - entered).max()) // period + 2
        gone = np.concatenate([left + period * frame for frame in range(-frames, frames + 1)])
        return int((np.arange(1, words + 1) + frames * words - np.searchsorted(gone, entered, side="left")).max())


class Solver:
    """The waits of a network on its foldings.

    lanes: values per beat of every output, one unless given.
    """

    def __init__(self, network: Network, foldings: Sequence[Folding], *, lanes: Sequence[int] | None = None):
        self._network = network
        self._actors = {
            layer.name: actor_of(layer, folding) for layer, folding in zip(network.layers, foldings, strict=True)
        }
        self._readers = consumers(network)
        self._result_lanes = result_lanes(network, lanes)
        taken = input_lanes(network, [folding.simd for folding in foldings])
        self._lanes = {tensor.name: count for tensor, count in zip(network.inputs, taken, strict=True)}
        self._lanes |= {name: actor.lanes for name, actor in self._actors.items()}
        self._words = {name: prod(tensor.shape) // self._lanes[name] for name, tensor in network.tensors.items()}

    def _gears(self, edge: Edge) -> tuple[int, int]:
        """Factors of the gearbox of ``edge``: words that are joined into one, and into how many that is cut."""
        have = self._lanes[edge.source]
        if edge.consumer is None:
            want = self._result_lanes[edge.index]
        else:
            want = self._actors[edge.consumer].intakes[edge.index].lanes
        common = lcm(have, want)
        return common // have, common // want

    def queue(self, edge: Edge) -> int:
        """Words of the output queue of the engine before ``edge``; an input of the network has none."""
        actor = self._actors.get(edge.source)
        return actor.queue if actor else 0

    def solve(self, period: int, open_edges: set[Edge]) -> tuple[_Times, set[Edge]]:
        """The earliest times with a frame every ``period`` cycles, and the edges whose bounds cannot keep it up."""
        return self._iterate(period, open_edges, None)

    def least_depth(self, edge: Edge, open_edges: set[Edge]) -> int:
        """See :meth:`Schedule.least_depth`."""
        times, growing = self._iterate(self._words[edge.source], open_edges, edge)
        if growing:
            raise AssertionError(f"{edge}: other edges deadlock before this one: {sorted(map(str, growing))}")
        entered = times.passed[edge][1]  # the word that must have entered before each can leave
        depth = int((entered - np.arange(len(entered))).max()) + 1
        return max(depth, 0)

    def _iterate(self, period: int, open_edges: set[Edge], seed: Edge | None) -> tuple[_Times, set[Edge]]:
        times = self._initial(period, open_edges)
        late: set[Edge] = set()  # edges whose words still become later in the last passes
        for number in range(PASSES if seed is None else 10 * PASSES):
            # Data goes forwards and room backwards; alternating carries both through all layers at once.
            changed, moved = self._pass(times, open_edges, seed, backwards=number % 2 == 1)
            if not moved:
                return times, set()
            if number >= PASSES - 4:
                late |= {edge for edge, blocked in changed.items() if blocked}
        return times, late - open_edges

    def _initial(self, period: int, open_edges: set[Edge]) -> _Times:
        def never(words: int) -> IntArray:
            return np.full(words, NEVER)

        passed = {}
        for edge in edges(self._network):
            joined, cut = self._gears(edge)
            words = self._words[edge.source]
            boundaries = [never(words)] * (2 if edge in open_edges else 1)
            boundaries += [never(words // joined)] if joined > 1 else []
            boundaries += [never(words // joined * cut)] if cut > 1 else []
            passed[edge] = boundaries
        return _Times(
            _Frame(period),
            {name: never(len(actor.service)) for name, actor in self._actors.items()},
            {name: never(words) for name, words in self._words.items()},
            {name: never(words) for name, words in self._words.items()},
            passed,
        )

    def _pass(
        self, times: _Times, open_edges: set[Edge], seed: Edge | None, *, backwards: bool
    ) -> tuple[dict[Edge, bool], bool]:
        """Go through the layers once.

        Returns the edges whose words became later, with whether the way ahead was the reason, and whether anything did.
        """
        changed: dict[Edge, bool] = {}
        fired_later = False

        def emit_input(name: str) -> None:
            words = self._words[name]
            even = np.full(words, NEVER) if seed else np.arange(words) * times.frame.period // words
            self._emit(times, name, even, open_edges, seed, changed)

        def emit(layer: Layer) -> None:
            actor = self._actors[layer.name]
            offered = times.start[layer.name][actor.emits] + actor.offered * (0 if seed else 1)
            self._emit(times, layer.name, np.maximum(offered, NEVER), open_edges, seed, changed)

        def fire(layer: Layer) -> None:
            start = self._start(times, layer, self._actors[layer.name], 0 if seed else 1)
            nonlocal fired_later
            fired_later |= bool((start != times.start[layer.name]).any())
            times.start[layer.name] = start

        if backwards:
            for layer in reversed(self._network.layers):
                emit(layer)
                fire(layer)
        for tensor in self._network.inputs:
            emit_input(tensor.name)
        if not backwards:
            for layer in self._network.layers:
                fire(layer)
                emit(layer)
        return changed, fired_later or bool(changed)

    def _start(self, times: _Times, layer: Layer, actor: Actor, moving: int) -> IntArray:
        frame = times.frame
        start = times.start[layer.name]
        for index, intake in enumerate(actor.intakes):
            edge = Edge(layer.sources[index], layer.name, index)
            here = times.passed[edge][-1] + (moving if intake.stores else 0)
            for need, within in zip(intake.need, intake.within, strict=True):
                start = np.maximum(start, np.where(need == NOTHING, NEVER, here[need] - within * moving))
        place = frame.back(times.popped[layer.name], actor.queue) + moving - actor.claimed * moving
        start = start.copy()
        np.maximum.at(start, actor.emits, place)
        return frame.in_order(start, actor.service * moving)

    def _emit(self, times, name, offered, open_edges, seed, changed) -> None:
        """Words of tensor ``name`` leave their engine, in the cycles ``offered`` or later, for all readers."""
        frame, moving = times.frame, 0 if seed else 1
        readers = self._readers[name]
        if len(readers) == 1:
            times.popped[name] = self._send(times, readers[0], offered, open_edges, seed, changed)
            return
        taken = times.forked[name]
        popped = np.maximum(offered, frame.back(taken, FORK_WORDS) + moving)
        times.popped[name] = popped = frame.in_order(popped, moving)
        offered = np.maximum(popped, frame.back(taken, 1)) + moving
        for edge in readers:
            taken = np.maximum(taken, self._send(times, edge, offered, open_edges, seed, changed))
        times.forked[name] = taken

    def _send(self, times, edge, offered, open_edges, seed, changed) -> IntArray:
        """Words pass the boundaries of ``edge``; returns when they pass the first."""
        frame, moving = times.frame, 0 if seed else 1
        joined, cut = self._gears(edge)
        steps: list[str] = (["fifo"] if edge in open_edges else []) + ["join"] * (joined > 1) + ["cut"] * (cut > 1)
        passed = times.passed[edge]
        for place, step in enumerate([*steps, "engine"]):
            before = passed[place]
            now = np.maximum(offered, before)
            match step:
                case "join":  # the last word of several waits until the joined one before is gone
                    now = now.copy()
                    now[joined - 1 :: joined] = np.maximum(now[joined - 1 :: joined], frame.back(passed[place + 1], 1))
                case "cut":
                    now = np.maximum(now, frame.at(passed[place + 1], np.arange(len(now)) * cut - 1))
                case "engine" if edge.consumer is not None:
                    now = np.maximum(now, self._room(times, edge, moving))
            if edge == seed and step == "fifo":
                now = np.maximum(now, np.arange(len(now)))
            free = frame.in_order(offered, moving)  # if nothing but what comes before were in the way
            now = frame.in_order(now, moving)
            if (now != before).any():
                changed[edge] = changed.get(edge, False) or bool((now > free).any())
            passed[place] = now
            match step:
                case "fifo":
                    offered = np.full(len(now), NEVER) if edge == seed else now + FIFO_LATENCY * moving
                case "join":
                    offered = now[joined - 1 :: joined] + moving
                case "cut":
                    offered = np.repeat(now, cut) + moving
        return passed[0]

    def _room(self, times: _Times, edge: Edge, moving: int) -> IntArray:
        """When the engine at the end of ``edge`` has a place for each word."""
        assert edge.consumer is not None
        actor = self._actors[edge.consumer]
        intake, start = actor.intakes[edge.index], times.start[edge.consumer]
        if not intake.stores:
            return times.frame.at(start, intake.after)
        return np.maximum(times.frame.at(start + actor.service * moving, intake.after) + intake.wait * moving, NEVER)
