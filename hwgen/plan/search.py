"""Choosing a folding for every layer: the fastest pipeline that fits, or the smallest that is fast enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..boards import Board
from ..errors import HwgenError
from ..network import Conv, Layer, Network, Tensor
from .cost import SHELL, Cost, block_rams, layer_cost
from .folding import Folding, divisors

__all__ = ["FILL", "Plan", "PlannedLayer", "plan"]

FILL = 0.85
"""Share of a device's LUTs that a plan uses unless told otherwise: above it place and route gets slow, then fails."""


@dataclass(frozen=True)
class PlannedLayer:
    """One layer's folding with its predicted cost and cycles per frame."""

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
    clock = clock_mhz or board.frequency_mhz
    luts = min(board.lut, max_luts) if max_luts is not None else int(board.lut * FILL)
    options = _options(network, board)
    limits = sorted({cycles for layer in options for cycles, _, _ in layer})
    if target_fps is not None:
        if not target_fps > 0:
            raise HwgenError(f"target fps must be positive, not {target_fps:g}")
        wanted = int(clock * 1e6 / target_fps)
        best = _plan_for(network, board, options, wanted, luts, clock)
        if best is None or best.cycles_per_frame > wanted:
            fastest = _plan_for(network, board, options, limits[0], luts, clock) or _unlimited(
                network, board, options, luts, clock
            )
            raise HwgenError(
                f"{target_fps:g} frames/s at {clock:g} MHz allow {wanted} cycles per frame, but {fastest.bottleneck!r} "
                f"needs {fastest.cycles_per_frame} at its fastest folding"
            )
        _check(best, board, luts)
        return best
    smallest = None
    for limit in limits:
        candidate = _plan_for(network, board, options, limit, luts, clock)
        if candidate is None:
            continue
        smallest = candidate
        if candidate.cost.lut <= luts and candidate.cost.bram <= board.bram:
            return candidate
    assert smallest is not None
    _check(smallest, board, luts)
    return smallest


Option = tuple[int, Folding, Cost]


def _options(network: Network, board: Board) -> list[list[Option]]:
    """For every layer its foldings as (cycles, folding, cost), cheapest first.

    A block RAM counts as many LUTs as the device has per block RAM.
    """
    sources = {network.input.name: network.input, **{layer.output.name: layer.output for layer in network.layers}}
    return [_layer_options(layer, sources[layer.source], board) for layer in network.layers]


def _layer_options(layer: Layer, source: Tensor, board: Board) -> list[Option]:
    channels = divisors(layer.input_shape[2])
    if isinstance(layer, Conv):
        pairs = [(pe, simd) for pe in divisors(layer.codes.shape[0]) for simd in channels]
    else:
        pairs = [(simd, simd) for simd in channels]
    found = []
    for pe, simd in pairs:
        folding = Folding.of(layer, pe, simd)
        found.append((folding.cycles(layer), folding, layer_cost(layer, source, folding, board.family)))
    price = board.lut / board.bram
    return sorted(found, key=lambda option: (option[2].lut + price * option[2].bram, option[0]))


def _unlimited(network, board, options, luts, clock) -> Plan:
    slowest = max(min(cycles for cycles, _, _ in layer) for layer in options)
    found = _plan_for(network, board, options, slowest, luts, clock)
    assert found is not None
    return found


def _plan_for(network: Network, board: Board, options, limit: int, luts: int, clock: float) -> Plan | None:
    """The cheapest folding of every layer that takes at most ``limit`` cycles; None where a layer has none."""
    chosen: list[Option] = []
    for layer in options:
        option = next((option for option in layer if option[0] <= limit), None)
        if option is None:
            return None
        chosen.append(option)
    return _assemble(network, board, chosen, luts, clock)


def _assemble(network: Network, board: Board, chosen: Sequence[Option], luts: int, clock: float) -> Plan:
    height, width, channels = network.input.shape
    rows, columns, outputs = network.output.shape
    frame = height * width * channels
    total = SHELL[board.family] + Cost(0, block_rams(board.family, 8, 2 * frame))
    layers = []
    for layer, (cycles, folding, cost) in zip(network.layers, chosen, strict=True):
        total += cost
        kind = "conv" if isinstance(layer, Conv) else f"{layer.kind.value} pool"
        macs = layer.macs if isinstance(layer, Conv) else 0
        layers.append(PlannedLayer(layer.name, kind, folding, cycles, macs, cost))
    return Plan(
        board.name,
        tuple(layers),
        total,
        luts,
        board.bram,
        clock,
        input_cycles=frame // chosen[0][1].simd,
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
