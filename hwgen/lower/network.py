"""From a float graph to the float network: node by node, everything folded that is not a layer of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..errors import HwgenError
from ..floatnet import FloatConv, FloatInput, FloatLayer, FloatNetwork, Layout, Normalization
from ..importers.graph import FloatGraph, Node
from . import (
    add,
    affine,
    clip,
    concat,
    conv,
    conv_transpose,
    dense,
    ending,
    pool,
    product,
    quantizers,
    reduce,
    remap,
    resize,
    table,
)
from .builder import Builder
from .normalization import check_inputs, input_affine
from .reader import Reader
from .value import Base, Value
from .view import in_order

__all__ = ["OPERATORS", "analyse", "lower", "problems", "summary"]

Operator = Callable[[Builder, Reader], Value | tuple[Value, ...]]

OPERATORS: dict[str, Operator] = {
    **add.OPERATORS,
    **affine.OPERATORS,
    **clip.OPERATORS,
    **concat.OPERATORS,
    **conv.OPERATORS,
    **conv_transpose.OPERATORS,
    **dense.OPERATORS,
    **ending.OPERATORS,
    **pool.OPERATORS,
    **product.OPERATORS,
    **quantizers.OPERATORS,
    **reduce.OPERATORS,
    **remap.OPERATORS,
    **resize.OPERATORS,
    **table.OPERATORS,
}
"""Every ONNX operator that can depend on the input, and what lowers it."""

SMALLEST, LARGEST = 1e-60, 1e18
"""Magnitudes that the largest weight of a layer may have; beyond them, its square leaves the range of a float."""

_SHOWN = 4

_RENAMING = frozenset(
    {"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"} | quantizers.OPERATORS.keys()
)
"""What may follow an operator that is left away at the end of the model."""


def lower(graph: FloatGraph, normalization: Normalization | None = None) -> FloatNetwork:
    """The layers of ``graph`` with everything else folded into them; they take raw input and apply ``normalization``.

    Raises :class:`HwgenError` that names every node that cannot be built.
    """
    found = analyse(graph, normalization)
    if isinstance(found, FloatNetwork):
        return found
    raise HwgenError(summary(found))


def analyse(graph: FloatGraph, normalization: Normalization | None = None) -> FloatNetwork | tuple[str, ...]:
    """What :func:`lower` gives, or else one sentence for each node of ``graph`` that cannot be built."""
    try:
        run = _Lowering(graph, normalization or Normalization())
        return tuple(run.problems) if run.problems else run.network()
    except HwgenError as error:
        return (str(error),)


def summary(found: Sequence[str]) -> str:
    """The first of several sentences, the next ones shortened to a list, and the number of the others."""
    others = f". Also: {'; '.join(found[1:_SHOWN])}" if found[1:] else ""
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return found[0] + others + more


def problems(graph: FloatGraph) -> tuple[str, ...]:
    """One sentence for each node of ``graph`` that cannot be built; none if it can."""
    found = analyse(graph)
    return () if isinstance(found, FloatNetwork) else found


class _Lowering:
    """One walk over ``graph``. A node with a problem makes unknown tensors, so that those behind it are read too."""

    def __init__(self, graph: FloatGraph, normalization: Normalization) -> None:
        self.graph = graph
        self.normalization = normalization
        self.problems: list[str] = []
        self.builder = Builder()
        self.values: dict[str, Value] = {}
        self.dropped: dict[str, Node] = {}
        self._uses = Counter(name for node in graph.nodes for name in set(node.inputs))
        self._uses.update(graph.outputs)
        self._left = Counter(self._uses)
        check_inputs(self.normalization, {name: graph.shapes[name] for name in graph.inputs})
        self.inputs = [self._input(name) for name in graph.inputs]
        for node in graph.nodes:
            self._node(node)

    def _input(self, name: str) -> Base:
        shape = self.graph.shapes[name]
        base = Base(self.builder.name(name, "input"), None, shape)
        view = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape)
        self.values[name] = Value(base, view, input_affine(self.normalization, shape), exclusive=False)
        return base

    def _node(self, node: Node) -> None:
        operator = OPERATORS.get(node.operator)
        data = [name for name in node.inputs if name and name not in self.graph.constants]
        try:
            if operator is None:
                raise HwgenError(f"{node}: operator {node.operator} is not supported")
            if not data:
                raise HwgenError(f"{node}: it does not depend on the input and cannot be evaluated; simplify the model")
            if all(name in self.values for name in data):
                self._apply(node, operator, data)
        except HwgenError as error:
            self.problems.append(str(error))
        for name in node.outputs:
            if name and name not in self.values and self.problems:
                self._unknown(name)
        for name in set(data):
            self._left[name] -= 1
            if not self._left[name]:
                self.values.pop(name, None)

    def _apply(self, node: Node, operator: Operator, data: list[str]) -> None:
        values = {name: self._read(node, name) for name in data}
        ended = next((value.ended for value in values.values() if value.ended is not None), None)
        if ended is not None:
            if node.operator not in _RENAMING:
                raise HwgenError(f"{ended}: supported only at the end of the model, but {node} follows")
            made: Value | tuple[Value, ...] = values[data[0]]
        else:
            made = operator(self.builder, Reader(self.graph, node, values))
        results = made if isinstance(made, tuple) else (made,)
        if results[0].ended is not None:
            results = (results[0],) * len(node.outputs)
        for name, value in zip(node.outputs, results, strict=False):
            expected = self.graph.shapes.get(name)
            if value.ended is None and expected is not None and value.shape != expected:
                raise HwgenError(f"{node}: its output has shape {value.shape}, not {expected}; export the model again")
            if name and self._uses[name]:
                self.values[name] = replace(value, node=node)
        for name in node.outputs[len(results) :]:
            if self._uses[name]:
                raise HwgenError(f"{node}: its output {name!r} is not supported, only the first")

    def _read(self, node: Node, name: str) -> Value:
        value = self.values[name]
        if 0 in value.shape:
            raise HwgenError(f"{node}: {name!r} is empty, its shape is {value.shape}; use a larger input")
        # Read twice by one node, it is still not the only thing that depends on its base.
        alone = self._uses[name] == 1 and node.inputs.count(name) == 1
        return value if alone else replace(value, exclusive=False)

    def _unknown(self, name: str) -> None:
        """Stands for a tensor that could not be built; an input says the least about it."""
        shape = self.graph.shapes.get(name)
        if shape is not None and 0 not in shape:
            view = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape)
            self.values[name] = Value(Base(name, None, shape), view, exclusive=False)

    def network(self) -> FloatNetwork:
        """The network, whose outputs come in the model's order. Raises :class:`HwgenError` where they cannot."""
        named = {name: self._output(name) for name in self.graph.outputs}
        outputs = tuple(dict.fromkeys(named.values()))
        if not self.builder.layers:
            raise HwgenError("the model has no layer that computes something; there is nothing to build")
        needed = set(outputs)
        layers: list[FloatLayer] = []
        for layer in reversed(self.builder.layers.values()):
            if layer.name in needed:
                needed.update(layer.sources)
                layers.append(layer)
                _check_magnitude(layer)
        inputs = tuple(
            FloatInput(base.name, self.builder.settle(base), base.layout, base.fixed) for base in self.inputs
        )
        return FloatNetwork(
            self.graph.name, inputs, tuple(layers[::-1]), outputs, self._notes(layers[-1], named), self.normalization
        )

    def _output(self, name: str) -> str:
        value = self.values[name]
        node = next(node for node in self.graph.nodes if name in node.outputs)
        if value.ended is not None:
            self.dropped[value.ended.outputs[0]] = value.ended
        value = self.builder.tabled(node, value)
        base = value.base
        if base is None:
            raise HwgenError(f"output {name!r} is a constant; export a model that computes something")
        if base.shape is not None and value.view.size == np.prod(base.shape):
            readings = [self.builder.index(value, layout) for layout in Layout]
            same = [index for index in readings if index is not None and index.shape[2] == base.shape[2]]
            # A vector; values in the model's own order; pixels in order, however they are divided into rows.
            if in_order(self.builder.places(value)) or any(map(in_order, same)):
                return base.name
        layout = self.builder.preferred((value,))
        try:
            return self.builder.map(node, value, layout).base.name
        except HwgenError as error:
            raise HwgenError(
                f"{node}: the output is a rearranged map; end the model with the map itself or a dense layer"
            ) from error

    def _notes(self, first: FloatLayer, outputs: Mapping[str, str]) -> tuple[str, ...]:
        notes = []
        if self.normalization != Normalization():
            notes.append(f"The input normalisation is folded into {first.name}: hardware takes raw input values.")
        if self.builder.folded:
            counts = Counter(node.operator for node in self.builder.folded)
            what = ", ".join(f"{count} {operator}" for operator, count in counts.items())
            notes.append(f"{what} folded into the weights and biases of the layers.")
        notes += [
            f"{node} at the end is left away: the largest logit stays the largest, so the class is the same."
            for node in self.dropped.values()
        ]
        for tensor in dict.fromkeys(outputs.values()):
            same = [repr(name) for name, made in outputs.items() if made == tensor]
            if len(same) > 1:
                notes.append(f"outputs {', '.join(same)} are one tensor here: it leaves the core once, as {tensor!r}.")
        return tuple(note[0].upper() + note[1:] for note in notes)


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
