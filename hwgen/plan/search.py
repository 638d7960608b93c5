"""Choosing a folding for every layer: the fastest pipeline that fits, or the smallest that is fast enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..boards import Board
from ..boards.frame import buffer_depth
from ..errors import HwgenError
from ..folding import Folding, divisors
from ..network import Conv, Layer, Network
from .cost import SHELL, Cost, block_rams, layer_cost
from .width import gearbox_cost

__all__ = ["FILL", "Plan", "PlannedLayer", "plan"]

FILL = 0.85
"""Share of a device's LUTs that a plan uses unless told otherwise: above it place and route gets slow, then fails."""


@dataclass(frozen=True)
class PlannedLayer:
    """One layer's folding with its predicted cycles per frame and cost, the way to the next layer's lanes included."""

    name: str
    kind: str
    folding: Folding
    cycles: int
    macs: int
    cost: Cost


@dataclass(frozen=True)
class Plan:
    """A folding for every layer, and what it is predicted to need."""

    board: str
    layers: tuple[PlannedLayer, ...]
    cost: Cost
    lut_budget: int
    bram_budget: int
    clock_mhz: float
    input_cycles: int
    output_cycles: int

    @property
    def foldings(self) -> list[Folding]:
        return [layer.folding for layer in self.layers]

    @property
    def cycles_per_frame(self) -> int:
        """Cycles between two frames in steady state: those of the slowest stage."""
        return max(self.input_cycles, self.output_cycles, *(layer.cycles for layer in self.layers))

    @property
    def bottleneck(self) -> str:
        """The stage that sets the rate."""
        slowest = max(self.layers, key=lambda layer: layer.cycles)
        if slowest.cycles == self.cycles_per_frame:
            return slowest.name
        return "input" if self.input_cycles == self.cycles_per_frame else "output"

    @property
    def frames_per_second(self) -> float:
        """At ``clock_mhz``."""
        return self.clock_mhz * 1e6 / self.cycles_per_frame

    def as_dict(self) -> dict[str, Any]:
        """JSON-able: the choice, the prediction, and what limits it."""
        return {
            "board": self.board,
            "clock_mhz": self.clock_mhz,
            "cycles_per_frame": self.cycles_per_frame,
            "frames_per_second": self.frames_per_second,
            "bottleneck": self.bottleneck,
            "lut": self.cost.lut,
            "bram": self.cost.bram,
            "lut_budget": self.lut_budget,
            "bram_budget": self.bram_budget,
            "layers": [
                {
                    "name": layer.name,
                    "kind": layer.kind,
                    "pe": layer.folding.pe,
                    "simd": layer.folding.simd,
                    "lanes": layer.folding.lanes,
                    "cycles": layer.cycles,
                    "utilisation": layer.cycles / self.cycles_per_frame,
                    "macs": layer.macs,
                    "lut": layer.cost.lut,
                    "bram": layer.cost.bram,
                }
                for layer in self.layers
            ],
        }


def plan(
    network: Network,
    board: Board,
    *,
    target_fps: float | None = None,
    max_luts: int | None = None,
    clock_mhz: float | None = None,
) -> Plan:
    """Choose PE x SIMD of every layer.

    Without ``target_fps``: the fastest pipeline within the board's LUTs (``FILL`` of them, or ``max_luts`` if given)
    and block RAMs; with it: the smallest one that makes that many frames per second at ``clock_mhz`` (default: what
    the board usually reaches). No layer is made faster than the slowest stage needs.

    Raises :class:`HwgenError` with the number that is too large when nothing fits.
    """
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
        smallest = search.at(limit) or smallest
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
        self._options = [self._foldings(layer) for layer in network.layers]

    @property
    def limits(self) -> list[int]:
        """Every number of cycles that some layer can take, ascending, from the first that all of them reach."""
        return sorted({o.cycles for options in self._options for o in options if o.cycles >= self.fastest})

    @cached_property
    def fastest(self) -> int:
        """Cycles of the slowest layer when every layer is as fast as it can be."""
        return max(min(option.cycles for option in options) for options in self._options)

    def at(self, limit: int) -> Plan | None:
        """The cheapest folding of every layer that takes at most ``limit`` cycles; None where a layer has none."""
        chosen: list[Folding] = []
        for options in self._options:
            option = next((option for option in options if option.cycles <= limit), None)
            if option is None:
                return None
            chosen.append(option.folding)
        layers = []
        for index, layer in enumerate(self.network.layers):
            wanted = chosen[index + 1].simd if index + 1 < len(chosen) else 1
            layers.append(self._planned(layer, chosen[index], wanted, limit))
        return self._plan(layers)

    def _foldings(self, layer: Layer) -> list[_Option]:
        """Those with the fewest output lanes that keep up, cheapest first."""
        channels = divisors(layer.input_shape[2])
        if isinstance(layer, Conv):
            pairs = [(pe, simd) for pe in divisors(layer.codes.shape[0]) for simd in channels]
        else:
            pairs = [(simd, simd) for simd in channels]
        foldings = [Folding.of(layer, pe, simd) for pe, simd in pairs]
        found = [_Option(folding.cycles(layer), folding, self._cost(layer, folding)) for folding in foldings]
        return sorted(found, key=lambda option: (self._price(option.cost), option.cycles))

    def _cost(self, layer: Layer, folding: Folding) -> Cost:
        key = layer, folding
        if key not in self._costs:
            self._costs[key] = layer_cost(layer, self.network.tensor(layer.source), folding, self.board.family)
        return self._costs[key]

    def _price(self, cost: Cost) -> float:
        return cost.lut + cost.bram * self.board.lut / self.board.bram

    def _planned(self, layer: Layer, folding: Folding, wanted: int, limit: int) -> PlannedLayer:
        """``layer`` with the output lanes that cost least together with the way to the ``wanted`` ones behind it."""
        foldings = [folding]
        if isinstance(layer, Conv):
            foldings = [Folding(folding.pe, folding.simd, lanes) for lanes in divisors(folding.pe)]
        options = []
        for candidate in foldings:
            if candidate.cycles(layer) <= limit:
                way = gearbox_cost(self.board.family, layer.output.interval.bits, candidate.lanes, wanted)
                options.append((candidate, self._cost(layer, candidate) + way))
        best, cost = min(options, key=lambda option: self._price(option[1]))
        kind = "conv" if isinstance(layer, Conv) else f"{layer.kind.value} pool"
        macs = layer.macs if isinstance(layer, Conv) else 0
        return PlannedLayer(layer.name, kind, best, best.cycles(layer), macs, cost)

    def _plan(self, layers: Sequence[PlannedLayer]) -> Plan:
        height, width, channels = self.network.input.shape
        rows, columns, outputs = self.network.output.shape
        frame = height * width * channels
        total = SHELL[self.board.family] + Cost(0, block_rams(self.board.family, 8, buffer_depth(frame)))
        for layer in layers:
            total += layer.cost
        return Plan(
            self.board.name,
            tuple(layers),
            total,
            self.luts,
            self.board.bram,
            self.clock_mhz,
            input_cycles=frame // layers[0].folding.simd,
            output_cycles=rows * columns * outputs,
        )


def _check(found: Plan, board: Board, luts: int) -> None:
    """Refuse a plan that does not fit, with the number that is too large."""
    if found.cost.bram > board.bram:
        worst = max(found.layers, key=lambda layer: layer.cost.bram)
        raise HwgenError(
            f"the network does not fit {board.name}: it needs {found.cost.bram} block RAMs of {board.bram}, "
            f"{worst.cost.bram} of them for {worst.name!r}"
        )
    if found.cost.lut > luts:
        worst = max(found.layers, key=lambda layer: layer.cost.lut)
        raise HwgenError(
            f"the network does not fit {board.name}: it needs about {found.cost.lut} LUTs and {luts} may be used, "
            f"{worst.cost.lut} of them for {worst.name!r} at {found.cycles_per_frame} cycles per frame"
        )
