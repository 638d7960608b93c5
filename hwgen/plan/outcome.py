"""The outcome of planning: a folding for every layer, FIFOs, and what all of it is predicted to need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..sizing.folding import Folding
from ..sizing.graph import Edge
from .cost import Cost

__all__ = ["Plan", "PlannedFifo", "PlannedLayer", "PlannedPort"]


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
class PlannedFifo:
    """A FIFO of ``depth`` words of ``bits`` bits on a branch, and what it costs."""

    edge: Edge
    depth: int
    bits: int
    cost: Cost

    @property
    def name(self) -> str:
        """For messages."""
        return f"FIFO {self.edge}"


@dataclass(frozen=True)
class PlannedPort:
    """An input or output of ``words`` values per frame, ``lanes`` of them per beat."""

    name: str
    lanes: int
    words: int

    @property
    def cycles(self) -> int:
        """Per frame, without stalls: one for each beat."""
        return self.words // self.lanes


@dataclass(frozen=True)
class Plan:
    """A folding for every layer, a FIFO where branches need one, the ports, and what all is predicted to need."""

    board: str
    layers: tuple[PlannedLayer, ...]
    planned_fifos: tuple[PlannedFifo, ...]
    cost: Cost
    lut_budget: int
    bram_budget: int
    clock_mhz: float
    inputs: tuple[PlannedPort, ...]
    outputs: tuple[PlannedPort, ...]

    @property
    def fifos(self) -> dict[Edge, int]:
        """Words of FIFO on every edge that has one."""
        return {fifo.edge: fifo.depth for fifo in self.planned_fifos}

    @property
    def input_cycles(self) -> int:
        """Of the slowest input."""
        return max(port.cycles for port in self.inputs)

    @property
    def output_cycles(self) -> int:
        """Of the slowest output."""
        return max(port.cycles for port in self.outputs)

    @property
    def result_lanes(self) -> list[int]:
        """Values per beat of every output."""
        return [port.lanes for port in self.outputs]

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
                    "unroll": list(layer.folding.unroll),
                    "cycles": layer.cycles,
                    "utilisation": layer.cycles / self.cycles_per_frame,
                    "macs": layer.macs,
                    "lut": layer.cost.lut,
                    "bram": layer.cost.bram,
                }
                for layer in self.layers
            ],
            "fifos": [
                {
                    "source": fifo.edge.source,
                    "consumer": fifo.edge.consumer,
                    "index": fifo.edge.index,
                    "depth": fifo.depth,
                    "bits": fifo.bits,
                    "lut": fifo.cost.lut,
                    "bram": fifo.cost.bram,
                }
                for fifo in self.planned_fifos
            ],
            "inputs": [_as_dict(port) for port in self.inputs],
            "outputs": [_as_dict(port) for port in self.outputs],
        }


def _as_dict(port: PlannedPort) -> dict[str, Any]:
    return {"name": port.name, "lanes": port.lanes, "cycles": port.cycles}
