"""Pending element-wise functions: what the model has computed from a tensor's values but no layer does yet.

A function is an :mod:`~hwgen.expression` tree over one variable, a value of the base tensor. Affine functions are
recognised as they are composed and kept as a factor and an offset, because layers can take those; everything else
becomes a table. Constants are scalars, or one value for every element of the base tensor in its raw order (a constant
behind a Flatten may differ from pixel to pixel), NaN where no value of the tensor uses that element.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..expression import Apply, Constant, Expression, Operation, Variable, evaluate
from ..importers.graph import Node

__all__ = ["IDENTITY", "Array", "Function", "Operand", "apply", "spread"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Function:
    """``tree`` of a value; ``affine``: factor and offset where it is ``x * factor + offset``. size: nodes of the tree,
    each counted as often as it is evaluated. cause: the last node that took part."""

    tree: Expression
    affine: tuple[Array, Array] | None = None
    size: int = 1
    cause: Node | None = None

    @property
    def identity(self) -> bool:
        return isinstance(self.tree, Variable)

    @staticmethod
    def of_affine(factor: Array, offset: Array) -> Function:
        """``x * factor + offset``; each a scalar or one value per element."""
        tree: Expression = Variable()
        size = 1
        if (factor != 1).any():
            tree, size = Apply(Operation.MUL, (tree, Constant(factor))), size + 2
        if (offset != 0).any():
            tree, size = Apply(Operation.ADD, (tree, Constant(offset))), size + 2
        return Function(tree, (factor, offset), size)

    def with_constants(self, change: Callable[[Array], Array]) -> Function:
        """The same with every constant changed."""
        if self.affine is not None:
            return replace(Function.of_affine(change(self.affine[0]), change(self.affine[1])), cause=self.cause)
        return replace(self, tree=_changed(self.tree, change))


IDENTITY = Function.of_affine(np.ones(()), np.zeros(()))

Operand = Function | Array
"""What an operator is applied to: functions of one tensor, and constants that fit each other's shapes."""


def _changed(tree: Expression, change: Callable[[Array], Array]) -> Expression:
    match tree:
        case Variable():
            return tree
        case Constant():
            return Constant(change(tree.values))
        case Apply():
            return Apply(tree.operation, tuple(_changed(part, change) for part in tree.arguments))


def apply(operation: Operation, *operands: Operand | float) -> Operand:
    """``operation`` of functions of one and the same tensor and of constants; a constant if all of them are."""
    parts = [part if isinstance(part, Function) else np.asarray(part, np.float64) for part in operands]
    with np.errstate(all="ignore"):  # what is not finite is refused, in a sentence, where it becomes part of a layer
        constants = [part for part in parts if not isinstance(part, Function)]
        if len(constants) == len(parts):
            tree = Apply(operation, tuple(Constant(part) for part in constants))
            return np.array(evaluate(tree, np.zeros(np.broadcast_shapes(*(part.shape for part in constants)))))
        affine = _affine(operation, parts)
    if affine is not None:
        return Function.of_affine(*affine)
    trees = tuple(part.tree if isinstance(part, Function) else Constant(part) for part in parts)
    return Function(Apply(operation, trees), None, 1 + sum(_size(part) for part in parts))


def _size(part: Operand) -> int:
    return part.size if isinstance(part, Function) else 1


def _affine(operation: Operation, parts: list[Operand]) -> tuple[Array, Array] | None:
    """Factor and offset of the result where it is affine: sums of affines, and products with a constant."""
    pairs = [part.affine if isinstance(part, Function) else (np.zeros(()), part) for part in parts]
    if any(pair is None for pair in pairs):
        return None
    first, *others = [pair for pair in pairs if pair is not None]
    constant = [not isinstance(part, Function) for part in parts]
    match operation:
        case Operation.NEG:
            return -first[0], -first[1]
        case Operation.ADD:
            return first[0] + others[0][0], first[1] + others[0][1]
        case Operation.SUB:
            return first[0] - others[0][0], first[1] - others[0][1]
        case Operation.MUL if constant[1]:
            return first[0] * others[0][1], first[1] * others[0][1]
        case Operation.MUL if constant[0]:
            return others[0][0] * first[1], others[0][1] * first[1]
        case Operation.DIV if constant[1] and (others[0][1] != 0).all():
            return first[0] / others[0][1], first[1] / others[0][1]
    return None


def spread(channels: Array, pixels: int) -> Array:
    """One value per channel as one per element of a channel-last map of ``pixels`` pixels; a scalar if all agree."""
    return channels[:1].reshape(()) if (channels == channels[0]).all() else np.tile(channels, pixels)
