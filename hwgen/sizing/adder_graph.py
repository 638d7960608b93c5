"""A product with a constant matrix as a graph of additions that share what they have in common.

``y = x @ matrix`` for a vector ``x`` of integers: every addition is ``left ± (right << shift)``, and every output is a
node of the graph, shifted and perhaps inverted. Which partial sums are worth sharing is decided by the solver of the
``da4ml`` package (constant matrix-vector multiplication: decomposition along a minimum spanning tree, signed digits,
greedy elimination of common pairs; arXiv 2507.04535). This module makes plain data of its result, with exact widths.

The solver's time grows faster than the matrix. Parts that share no input and no output are therefore solved one by
one, and what is larger than :data:`PART` is cut by inputs; the sums of its pieces are added up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..interval import Interval
from ..network import Conv

__all__ = ["PART", "Adder", "AdderGraph", "Output", "graph_of", "matrix_of", "solve"]

PART = 4608
"""Weights that are solved at once: about a second. Halves of a 288 x 32 matrix cost 1.5 % more additions than the whole
matrix (which takes 35 s), quarters 7 %."""

THOROUGH = 1024
"""Weights up to which the solver also tries other depths; it seldom finds anything, and takes five times as long."""

IntArray = npt.NDArray[np.int64]


class Adder(NamedTuple):
    """``left + (right << shift)``, or with ``subtract`` the difference; ``left`` and ``right`` are nodes."""

    left: int
    right: int
    shift: int
    subtract: bool


class Output(NamedTuple):
    """``node << shift``, every bit inverted with ``inverted``: then one less than the negative. No node: always 0."""

    node: int | None
    shift: int = 0
    inverted: bool = False


@dataclass(frozen=True)
class AdderGraph:
    """Nodes are numbered: first the inputs, then the additions, each of which only reads nodes before it.

    interval: values of every input. matrix: (inputs, outputs) integers. ``ValueError`` when that is not what the
    additions compute.
    """

    interval: Interval
    matrix: IntArray
    adders: tuple[Adder, ...]
    outputs: tuple[Output, ...]

    @property
    def inputs(self) -> int:
        return len(self.matrix)

    def __post_init__(self) -> None:
        factors = self._factors()
        for column, output in zip(self.matrix.T, self.outputs, strict=True):
            made = np.zeros_like(column) if output.node is None else factors[output.node] << output.shift
            if not np.array_equal(-made if output.inverted else made, column):
                raise ValueError("the additions do not make the matrix")

    def _factors(self) -> IntArray:
        """What every node multiplies every input by: (nodes, inputs)."""
        factors = np.zeros((self.inputs + len(self.adders), self.inputs), np.int64)
        factors[: self.inputs] = np.eye(self.inputs, dtype=np.int64)
        for node, adder in enumerate(self.adders, self.inputs):
            right = factors[adder.right] << adder.shift
            factors[node] = factors[adder.left] - right if adder.subtract else factors[adder.left] + right
        return factors

    @cached_property
    def intervals(self) -> tuple[Interval, ...]:
        """The values of every node, exact: some input reaches each end."""
        factors = self._factors()
        up = np.where(factors > 0, factors, 0).sum(axis=1)
        down = np.where(factors < 0, -factors, 0).sum(axis=1)
        x = self.interval
        return tuple(
            Interval(u * x.lo - d * x.hi, u * x.hi - d * x.lo) for u, d in zip(up.tolist(), down.tolist(), strict=True)
        )

    @cached_property
    def sums(self) -> tuple[Interval, ...]:
        """The values of every output, those of inverted ones as they leave the graph."""
        return tuple(self._sum(output) for output in self.outputs)

    def _sum(self, output: Output) -> Interval:
        if output.node is None:
            return Interval(0, 0)
        value = self.intervals[output.node] * (1 << output.shift)
        return Interval(-value.hi - 1, -value.lo - 1) if output.inverted else value

    @property
    def missing(self) -> list[int]:
        """What each output lacks of the true sum: one where it is inverted."""
        return [int(output.inverted) for output in self.outputs]

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """Additions on the longest way to every node."""
        found = [0] * self.inputs
        for adder in self.adders:
            found.append(1 + max(found[adder.left], found[adder.right]))
        return tuple(found)

    @property
    def depth(self) -> int:
        """Additions on the longest way to an output."""
        return max((self.depths[output.node] for output in self.outputs if output.node is not None), default=0)


class _Term(NamedTuple):
    """A value on its way into a sum: ``±(node << shift)``; the shift may be negative where the node is that even."""

    node: int
    shift: int
    negative: bool

    def times(self, shift: int, negative: bool) -> _Term:
        return _Term(self.node, self.shift + shift, self.negative != negative)


class _Builder:
    """Collects additions, each of them once.

    The sign of a sum is free until an output wants it, so that only two forms of addition occur: a sum, and an
    unshifted value less a shifted one.
    """

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.adders: dict[Adder, int] = {}

    def add(self, x: _Term, y: _Term) -> _Term:
        if x.negative and not y.negative and x.shift == y.shift:
            x, y = y, x
        if y.shift < x.shift or (x.shift == y.shift and x.negative == y.negative and y.node < x.node):
            x, y = y, x
        adder = Adder(x.node, y.node, y.shift - x.shift, x.negative != y.negative)
        node = self.adders.setdefault(adder, self.inputs + len(self.adders))
        return _Term(node, x.shift, x.negative)

    def total(self, terms: list[_Term]) -> _Term | None:
        """A balanced sum."""
        while len(terms) > 1:
            pairs = [terms[at : at + 2] for at in range(0, len(terms), 2)]
            terms = [self.add(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
        return terms[0] if terms else None


def matrix_of(layer: Conv) -> IntArray:
    """The weights of one output pixel: (taps, O), taps in the order kernel row, kernel column, input channel."""
    levels = layer.codebook.decode(layer.codes).astype(np.int64)
    outputs, rows, columns, each = levels.shape
    matrix = np.zeros((rows, columns, layer.groups, each, outputs), np.int64)
    share = outputs // layer.groups
    for group in range(layer.groups):
        own = slice(group * share, (group + 1) * share)
        matrix[:, :, group, :, own] = levels[own].transpose(1, 2, 3, 0)
    return matrix.reshape(-1, outputs)


def graph_of(layer: Conv, taps: Interval) -> AdderGraph:
    """The graph of ``layer``'s weights for taps of these values; made once in a process."""
    matrix = matrix_of(layer)
    return _solve(matrix.tobytes(), matrix.shape, taps)


def solve(matrix: IntArray, interval: Interval) -> AdderGraph:
    """A graph for ``matrix`` (inputs, outputs) and inputs in ``interval``; made once in a process."""
    matrix = np.ascontiguousarray(matrix, np.int64)
    return _solve(matrix.tobytes(), matrix.shape, interval)


@lru_cache(maxsize=256)
def _solve(content: bytes, shape: tuple[int, int], interval: Interval) -> AdderGraph:
    matrix = np.frombuffer(content, np.int64).reshape(shape)
    builder = _Builder(shape[0])
    sums: list[_Term | None] = [None] * shape[1]
    for rows, columns in _components(matrix):
        for output, term in zip(columns, _component(builder, matrix, rows, columns, interval), strict=True):
            sums[output] = term
    outputs = [Output(None) if term is None else Output(*term) for term in sums]
    graph = AdderGraph(interval, matrix, tuple(builder.adders), tuple(outputs))
    return _without_unused(graph)


def _components(matrix: IntArray) -> list[tuple[list[int], list[int]]]:
    """Sets of inputs and outputs that are joined by weights: groups, and what zeros leave apart."""
    owner = list(range(len(matrix)))

    def root(row: int) -> int:
        while owner[row] != row:
            owner[row] = owner[owner[row]]
            row = owner[row]
        return row

    used = [np.flatnonzero(column).tolist() for column in matrix.T]
    for rows in used:
        for row in rows[1:]:
            owner[root(row)] = root(rows[0])
    found: dict[int, tuple[list[int], list[int]]] = {}
    for row in range(len(matrix)):
        if matrix[row].any():
            found.setdefault(root(row), ([], []))[0].append(row)
    for output, rows in enumerate(used):
        if rows:
            found[root(rows[0])][1].append(output)
    return list(found.values())


def _component(
    builder: _Builder, matrix: IntArray, rows: list[int], columns: list[int], interval: Interval
) -> list[_Term | None]:
    """The sums of ``columns``, whose weights lie in ``rows``, in pieces of at most ``PART`` weights."""
    pieces = min(len(rows), -(-len(rows) * len(columns) // PART))
    partial = [
        _piece(builder, matrix[part][:, columns], part.tolist(), interval)
        for part in np.array_split(np.array(rows), pieces)
    ]
    return [builder.total([term for term in terms if term is not None]) for terms in zip(*partial, strict=True)]


def _piece(builder: _Builder, matrix: IntArray, rows: list[int], interval: Interval) -> list[_Term | None]:
    """The sums of all columns of ``matrix``, whose inputs are ``rows`` of the whole."""
    from da4ml import cmvm  # here: the planner of a network without such a layer need not load it

    pipeline = cmvm.solve(
        np.ascontiguousarray(matrix, np.float32),  # the order in memory changes what the solver finds
        qintervals=[(float(interval.lo), float(interval.hi), 1.0)] * len(rows),
        method0="mc",  # counts common pairs without weighing them by width, which finds a little more
        search_all_decompose_dc=matrix.size <= THOROUGH,
    )
    terms: list[_Term | None] = [_Term(row, 0, False) for row in rows]
    for stage in pipeline.solutions:
        made: list[_Term | None] = []
        for op in stage.ops:
            if op.opcode == -1:
                source = terms[op.id0]
                made.append(source and source.times(int(stage.inp_shifts[op.id0]), False))
            elif op.opcode in (0, 1):
                left, right = made[op.id0], made[op.id1]
                assert left, "the solver does not add zeros"
                assert right, "the solver does not add zeros"
                made.append(builder.add(left, right.times(int(op.data), op.opcode == 1)))
            else:
                raise AssertionError(f"the solver uses additions only, not {op}")
        results: list[_Term | None] = []
        for index, shift, negative in zip(stage.out_idxs, stage.out_shifts, stage.out_negs, strict=True):
            source = made[index] if index >= 0 else None
            results.append(source and source.times(int(shift), bool(negative)))
        terms = results
    return terms


def _without_unused(graph: AdderGraph) -> AdderGraph:
    """``graph`` without additions that no output needs."""
    needed = {output.node for output in graph.outputs}
    for node, adder in reversed(list(enumerate(graph.adders, graph.inputs))):
        if node in needed:
            needed |= {adder.left, adder.right}
    number = {node: node for node in range(graph.inputs)}
    adders: list[Adder] = []
    for node, adder in enumerate(graph.adders, graph.inputs):
        if node in needed:
            number[node] = graph.inputs + len(adders)
            adders.append(adder._replace(left=number[adder.left], right=number[adder.right]))
    outputs = [output if output.node is None else output._replace(node=number[output.node]) for output in graph.outputs]
    return AdderGraph(graph.interval, graph.matrix, tuple(adders), tuple(outputs))
