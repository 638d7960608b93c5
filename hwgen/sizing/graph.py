"""The edges of a network: which tensor goes where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..network import Network

__all__ = ["Edge", "consumers", "edges", "input_lanes", "result_lanes"]


@dataclass(frozen=True)
class Edge:
    """The way of tensor ``source`` to a reader: source ``index`` of layer ``consumer``, or (None) output ``index``."""

    source: str
    consumer: str | None
    index: int

    def __str__(self) -> str:
        return f"{self.source} -> {self.consumer if self.consumer is not None else f'output {self.index}'}"


def edges(network: Network) -> tuple[Edge, ...]:
    """All edges in the order of the layers, those that leave the network last."""
    inside = [Edge(name, layer.name, index) for layer in network.layers for index, name in enumerate(layer.sources)]
    return (*inside, *(Edge(name, None, index) for index, name in enumerate(network.outputs)))


def consumers(network: Network) -> dict[str, list[Edge]]:
    """The edges that leave every tensor, by its name."""
    found: dict[str, list[Edge]] = {name: [] for name in network.tensors}
    for edge in edges(network):
        found[edge.source].append(edge)
    return found


def input_lanes(network: Network, simd: Sequence[int]) -> tuple[int, ...]:
    """Channels per beat of every input: those of its widest reader; one where it goes only to an output.

    simd: channels per word that every layer reads.
    """
    wanted = {layer.name: lanes for layer, lanes in zip(network.layers, simd, strict=True)}
    readers = consumers(network)
    return tuple(
        max((wanted[edge.consumer] for edge in readers[tensor.name] if edge.consumer is not None), default=1)
        for tensor in network.inputs
    )


def result_lanes(network: Network, lanes: Sequence[int] | None = None) -> tuple[int, ...]:
    """Channels per beat of every output: ``lanes``, or one each.

    ``ValueError`` unless there is one for each output and each divides the channels.
    """
    if lanes is None:
        return (1,) * len(network.outputs)
    if len(lanes) != len(network.outputs):
        raise ValueError(f"result lanes must be one for each of {len(network.outputs)} outputs, not {len(lanes)}")
    for name, count in zip(network.outputs, lanes, strict=True):
        channels = network.tensor(name).shape[-1]
        if count < 1 or channels % count:
            raise ValueError(f"{name}: lanes of an output must divide its {channels} channels, not {count}")
    return tuple(lanes)
