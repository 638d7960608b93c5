"""Choosing a folding for every layer: the fastest pipeline that fits, or the smallest that is fast enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from ..boards import Board
from ..boards.frame import buffer_depth
from ..errors import HwgenError
from ..floatnet import Shape
from ..network import Conv, Layer, Network, Pool
from ..sizing.folding import Folding, divisors, foldings
from ..sizing.graph import consumers, input_lanes
from .branch_cost import end_buffers, fifo_cost, fork_cost, streaming_cost
from .cost import SHELL, Cost, block_rams, layer_cost
from .outcome import Plan, PlannedFifo, PlannedLayer, PlannedPort
from .schedule import schedule
from .width import gearbox_cost

__all__ = ["FILL", "check_sizes", "plan"]

FILL = 0.85
"""Share of a device's LUTs that a plan uses unless told otherwise: above it place and route gets slow, then fails."""


MAX_VALUES = 1 << 22
"""Most values of one tensor: beyond that a schedule, which looks at every word, takes minutes, and no device is fit."""


def check_sizes(shapes: Mapping[str, Shape]) -> None:
    """Raise :class:`HwgenError` when one of the tensors, by name, is larger than what can be planned."""
    for name, shape in shapes.items():
        if prod(shape) > MAX_VALUES:
            raise HwgenError(
                f"{name!r} has {prod(shape)} values, and {MAX_VALUES} are the most that can be planned;"
                " use a smaller input"
            )


def plan(
    network: Network,
    board: Board,
    *,
    target_fps: float | None = None,
    max_luts: int | None = None,
    clock_mhz: float | None = None,
) -> Plan:
    """Choose PE x SIMD and unrolling of every layer.

    Without ``target_fps``: the fastest pipeline within the board's LUTs (``FILL`` of them, or ``max_luts`` if given)
    and block RAMs; with it: the smallest one that makes that many frames per second at ``clock_mhz`` (default: what
    the board usually reaches). No layer is made faster than the slowest stage needs, and an output gets several lanes
    only where a value per cycle would be slower than that.

    Raises :class:`HwgenError` with the number that is too large when nothing fits.
    """
    check_sizes({name: tensor.shape for name, tensor in network.tensors.items()})
    luts = min(board.lut, max_luts) if max_luts is not None else int(board.lut * FILL)
    search = _Search(network, board, luts, clock_mhz or board.frequency_mhz)
    if target_fps is not None:
        if not target_fps > 0:
            raise HwgenError(f"target fps must be positive, not {target_fps:g}")
        wanted = int(search.clock_mhz * 1e6 / target_fps)
        best = search.at(wanted)
        if best is None or best.cycles_per_frame > wanted:
            fastest = search.at(search.fastest)
            assert fastest is not None
            raise HwgenError(
                f"{target_fps:g} frames/s at {search.clock_mhz:g} MHz allow {wanted} cycles per frame, but "
                f"{fastest.bottleneck!r} needs {fastest.cycles_per_frame} at its fastest folding"
            )
        _check(best, board, luts)
        return best
    smallest = None
    for limit in search.limits:
        smallest = search.at(limit, fits=True) or smallest
        if smallest is not None and smallest.cost.lut <= luts and smallest.cost.bram <= board.bram:
            return smallest
    assert smallest is not None
    _check(smallest, board, luts)
    return smallest


@dataclass(frozen=True)
class _Option:
    """A folding of a layer with its cycles per frame and its cost, the way to the next layer not included."""

    cycles: int
    folding: Folding
    cost: Cost


class _Search:
    """All foldings of all layers, and the cheapest plan for any number of cycles per frame.

    A block RAM counts as many LUTs as the device has per block RAM.
    """

    def __init__(self, network: Network, board: Board, luts: int, clock_mhz: float):
        self.network = network
        self.board = board
        self.luts = luts
        self.clock_mhz = clock_mhz
        self._costs: dict[tuple[Layer, Folding], Cost] = {}
        self._tensors = network.tensors
        self._readers = consumers(network)
        self._options = [self._foldings(layer) for layer in network.layers]
        self._outputs = [self._ports(name) for name in network.outputs]

    @property
    def limits(self) -> list[int]:
        """Every number of cycles that some stage can take, ascending, from the first that all of them reach."""
        stages = {option.cycles for options in self._options for option in options}
        stages |= {port.cycles for ports in self._outputs for port in ports}
        return sorted({self.fastest, *(cycles for cycles in stages if cycles > self.fastest)})

    @cached_property
    def fastest(self) -> int:
        """Cycles of the slowest stage when every layer and every output is as fast as it can be."""
        outputs = (min(port.cycles for port in ports) for ports in self._outputs)
        return max(*outputs, *(min(option.cycles for option in options) for options in self._options))

    def at(self, limit: int, *, fits: bool = False) -> Plan | None:
        """The cheapest folding of every layer that takes at most ``limit`` cycles, and of every output the fewest lanes
        that do; None where there is none.

        fits: FIFOs, which take a while to find, are left out of a plan that exceeds the budget without them.
        """
        ports = [next((port for port in ports if port.cycles <= limit), None) for ports in self._outputs]
        outputs = tuple(port for port in ports if port is not None)
        if len(outputs) < len(ports):
            return None
        chosen: dict[str, Folding] = {}
        for layer, options in zip(self.network.layers, self._options, strict=True):
            option = next((option for option in options if option.cycles <= limit), None)
            if option is None:
                return None
            chosen[layer.name] = option.folding
        for layer in self.network.layers:
            chosen[layer.name] = self._matched(layer, chosen, outputs, limit)
        layers = [self._planned(layer, chosen, outputs) for layer in self.network.layers]
        found = self._plan(layers, outputs, ())
        if fits and (found.cost.lut > self.luts or found.cost.bram > self.board.bram):
            return found
        return self._plan(layers, outputs, self._fifos(found))

    def _foldings(self, layer: Layer) -> list[_Option]:
        """Those with the fewest output lanes that keep up, cheapest first."""
        found = [_Option(folding.cycles(layer), folding, self._cost(layer, folding)) for folding in foldings(layer)]
        return sorted(found, key=lambda option: (self._price(option.cost), option.cycles))

    def _ports(self, name: str) -> list[PlannedPort]:
        """Output ``name`` with every number of lanes, ascending; one that is an input and nothing else has one lane."""
        *_, channels = shape = self._tensors[name].shape
        inputs = {tensor.name for tensor in self.network.inputs}
        passed = name in inputs and all(edge.consumer is None for edge in self._readers[name])
        return [PlannedPort(name, lanes, prod(shape)) for lanes in ([1] if passed else divisors(channels))]

    def _cost(self, layer: Layer, folding: Folding) -> Cost:
        key = layer, folding
        if key not in self._costs:
            sources = [self._tensors[name] for name in layer.sources]
            if isinstance(layer, Conv | Pool):
                self._costs[key] = layer_cost(layer, sources[0], folding, self.board.family)
            else:
                self._costs[key] = streaming_cost(layer, sources, folding.lanes, self.board.family)
        return self._costs[key]

    def _price(self, cost: Cost) -> float:
        return cost.lut + cost.bram * self.board.lut / self.board.bram

    def _matched(
        self, layer: Layer, chosen: Mapping[str, Folding], outputs: Sequence[PlannedPort], limit: int
    ) -> Folding:
        """The lanes of ``layer`` that cost least together with the ways to its neighbours' lanes."""
        folding = chosen[layer.name]
        if isinstance(layer, Conv):
            candidates = [replace(folding, lanes=lanes) for lanes in divisors(folding.pe)]
        else:
            candidates = [folding] if isinstance(layer, Pool) else foldings(layer)
        return min(
            (candidate for candidate in candidates if candidate.cycles(layer) <= limit),
            key=lambda candidate: self._price(
                self._cost(layer, candidate) + self._ways(layer, {**chosen, layer.name: candidate}, outputs, both=True)
            ),
        )

    def _ways(
        self, layer: Layer, chosen: Mapping[str, Folding], outputs: Sequence[PlannedPort], *, both: bool = False
    ) -> Cost:
        """Fork and gearboxes behind ``layer``; ``both``: the gearboxes before it too."""
        total = self._way(layer.name, chosen[layer.name].lanes, chosen, outputs)
        if both and not isinstance(layer, Conv | Pool):
            for name in layer.sources:
                if name in chosen:  # not an input of the network, whose lanes follow its readers
                    bits = self._tensors[name].interval.bits
                    total += gearbox_cost(self.board.family, bits, chosen[name].lanes, chosen[layer.name].simd)
        return total

    def _way(self, name: str, lanes: int, chosen: Mapping[str, Folding], outputs: Sequence[PlannedPort]) -> Cost:
        """Fork and gearboxes behind tensor ``name`` of ``lanes`` lanes."""
        bits, readers, family = self._tensors[name].interval.bits, self._readers[name], self.board.family
        total = fork_cost(family, lanes * bits) if len(readers) > 1 else Cost(0, 0)
        for edge in readers:
            wanted = outputs[edge.index].lanes if edge.consumer is None else chosen[edge.consumer].simd
            total += gearbox_cost(family, bits, lanes, wanted)
        return total

    def _planned(self, layer: Layer, chosen: Mapping[str, Folding], outputs: Sequence[PlannedPort]) -> PlannedLayer:
        folding = chosen[layer.name]
        kind = f"{layer.kind.value} pool" if isinstance(layer, Pool) else type(layer).__name__.lower()
        macs = layer.macs if isinstance(layer, Conv) else 0
        cost = self._cost(layer, folding) + self._ways(layer, chosen, outputs)
        return PlannedLayer(layer.name, kind, folding, folding.cycles(layer), macs, cost)

    def _fifos(self, found: Plan) -> tuple[PlannedFifo, ...]:
        """Those with which ``found`` keeps its rate."""
        depths = schedule(self.network, found.foldings, found.cycles_per_frame, lanes=found.result_lanes).depths
        lanes = dict(zip((layer.name for layer in found.layers), (f.lanes for f in found.foldings), strict=True))
        lanes |= self._input_lanes(found.foldings)
        fifos = []
        for edge, depth in depths.items():
            bits = lanes[edge.source] * self._tensors[edge.source].interval.bits
            fifos.append(PlannedFifo(edge, depth, bits, fifo_cost(self.board.family, bits, depth)))
        return tuple(fifos)

    def _input_lanes(self, chosen: Sequence[Folding]) -> dict[str, int]:
        lanes = input_lanes(self.network, [folding.simd for folding in chosen])
        return {tensor.name: count for tensor, count in zip(self.network.inputs, lanes, strict=True)}

    def _plan(
        self, layers: Sequence[PlannedLayer], outputs: tuple[PlannedPort, ...], fifos: tuple[PlannedFifo, ...]
    ) -> Plan:
        network, family = self.network, self.board.family
        chosen = {layer.name: layer.folding for layer in layers}
        lanes = self._input_lanes([layer.folding for layer in layers])
        frame = sum(prod(tensor.shape) for tensor in network.inputs)
        results = [self._tensors[name] for name in network.outputs]
        total = SHELL[family] + Cost(0, block_rams(family, 8, buffer_depth(frame)))
        total += end_buffers(family, network.inputs, results, [port.lanes for port in outputs])
        for tensor in network.inputs:
            total += self._way(tensor.name, lanes[tensor.name], chosen, outputs)
        for cost in (*(layer.cost for layer in layers), *(fifo.cost for fifo in fifos)):
            total += cost
        return Plan(
            self.board.name,
            tuple(layers),
            fifos,
            total,
            self.luts,
            self.board.bram,
            self.clock_mhz,
            inputs=tuple(PlannedPort(i.name, lanes[i.name], prod(i.shape)) for i in network.inputs),
            outputs=outputs,
        )


def _check(found: Plan, board: Board, luts: int) -> None:
    """Refuse a plan that does not fit, with the number that is too large."""
    parts: list[PlannedLayer | PlannedFifo] = [*found.layers, *found.planned_fifos]
    if found.cost.bram > board.bram:
        worst = max(parts, key=lambda part: part.cost.bram)
        raise HwgenError(
            f"the network does not fit {board.name}: it needs {found.cost.bram} block RAMs of {board.bram}, "
            f"{worst.cost.bram} of them for {worst.name!r}"
        )
    if found.cost.lut > luts:
        worst = max(parts, key=lambda part: part.cost.lut)
        raise HwgenError(
            f"the network does not fit {board.name}: it needs about {found.cost.lut} LUTs and {luts} may be used, "
            f"{worst.cost.lut} of them for {worst.name!r} at {found.cycles_per_frame} cycles per frame"
        )
