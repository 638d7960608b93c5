"""From a float graph to the float network: reads every node first, then folds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from ..errors import HwgenError
from ..floatnet import FloatConv, FloatLayer, FloatNetwork, Normalization
from ..importers.graph import FloatGraph
from . import affine, clip, conv, dense, ending, pool, shape
from .chain import Chain
from .normalization import input_affine
from .reader import Reader
from .steps import Step

__all__ = ["OPERATORS", "lower", "problems"]

OPERATORS: dict[str, Callable[[Reader], Step]] = {
    **affine.OPERATORS,
    **clip.OPERATORS,
    **conv.OPERATORS,
    **dense.OPERATORS,
    **ending.OPERATORS,
    **pool.OPERATORS,
    **shape.OPERATORS,
}
"""Every ONNX operator that can depend on the input, and what reads it."""

SMALLEST, LARGEST = 1e-60, 1e18
"""Magnitudes that the largest weight of a layer may have; beyond them, its square leaves the range of a float."""

_SHOWN = 4


def lower(graph: FloatGraph, normalization: Normalization | None = None) -> FloatNetwork:
    """The layers of ``graph`` with everything else folded into them; they take raw input and apply ``normalization``.

    Raises :class:`HwgenError` that names every node that cannot be built, before any work is done, or the first node
    that cannot be folded.
    """
    normalization = normalization or Normalization()
    steps, found = _read(graph)
    if found:
        others = f". Also: {'; '.join(found[1:_SHOWN])}" if found[1:] else ""
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise HwgenError(found[0] + others + more)
    chain = Chain(graph.input_shape, input_affine(normalization, graph.input_shape))
    for step in steps:
        chain.add(step)
    chain.finish(graph.nodes[-1])
    assert chain.input_shape is not None
    for layer in chain.layers:
        _check_magnitude(layer)
    return FloatNetwork(graph.name, chain.input_shape, tuple(chain.layers), _notes(chain, normalization), normalization)


def problems(graph: FloatGraph) -> tuple[str, ...]:
    """One sentence for each node of ``graph`` that cannot be built; none of them is about folding."""
    return tuple(_read(graph)[1])


def _read(graph: FloatGraph) -> tuple[list[Step], list[str]]:
    steps: list[Step] = []
    found: list[str] = []
    first = {node.outputs[0] for node in graph.nodes} | {graph.input}
    for node in graph.nodes:
        data = [name for name in node.inputs if name and name not in graph.constants]
        read = OPERATORS.get(node.operator)
        if read is None:
            found.append(f"{node}: operator {node.operator} is not supported")
        elif len(data) > 1:
            # With one input and one output every branch ends in such a node.
            found.append(f"{node}: it joins {len(data)} branches, but only a chain of layers is supported")
        elif not data:
            found.append(f"{node}: it does not depend on the input and cannot be evaluated; simplify the model")
        elif data[0] not in first:
            found.append(f"{node}: its input {data[0]!r} is a second output of another node, which is not supported")
        elif data[0] in graph.shapes or not found:  # an unknown shape after a problem is only its consequence
            try:
                steps.append(read(Reader(graph, node, data[0])))
            except HwgenError as error:
                found.append(str(error))
    return steps, found


def _check_magnitude(layer: FloatLayer) -> None:
    if not isinstance(layer, FloatConv):
        return
    peak, bias = float(np.abs(layer.weight).max()), float(np.abs(layer.bias).max(initial=0.0))
    if not (peak == 0 or SMALLEST <= peak <= LARGEST) or not bias <= LARGEST:
        what, value = ("bias", bias) if bias > LARGEST else ("weight", peak)
        raise HwgenError(
            f"{layer.name}: its largest {what} is {value:.3g} with normalisations folded in, which is out of range;"
            " check the model and --scale, --mean and --std"
        )


def _notes(chain: Chain, normalization: Normalization) -> tuple[str, ...]:
    notes = []
    if normalization != Normalization():
        notes.append(f"The input normalisation is folded into {chain.layers[0].name}: hardware takes raw input values.")
    if chain.folded:
        counts = Counter(node.operator for node in chain.folded)
        what = ", ".join(f"{count} {operator}" for operator, count in counts.items())
        notes.append(f"{what} folded into the weights and biases of the layers.")
    notes += [
        f"{node} at the end is left away: the largest logit stays the largest, so the class is the same."
        for node in chain.dropped
    ]
    return tuple(note[0].upper() + note[1:] for note in notes)
