"""Derivatives of expressions, in reverse: from the gradient of a tree's value to that of its variable.

A function without a derivative gets the mean of both sides in a corner, and zero at a step: what the symmetric
difference quotient tends to, without the jump. Where it is infinitely steep, as a square root and a logarithm are at 0,
or is not defined, it gets zero, too: the gradients are a metric, and one such value would drown all others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import pi, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from ..expression import FUNCTIONS, Apply, Constant, Expression, Operation, Variable

__all__ = ["expression_gradient"]

Array = npt.NDArray[np.floating]
Slope = Callable[..., Any]


def expression_gradient(expression: Expression, x: Array, gradient: Array) -> Array:
    """``gradient`` (of the shape of ``x``) times the derivative of ``expression`` at every element of ``x`` (..., C).

    In the type of ``x``. Where the gradient of a part is zero it stays zero, however steep the part is: the branch
    that a WHERE has not chosen does not count. Zero, too, where the derivative of a part is not finite.
    """
    total = np.zeros_like(x)
    with np.errstate(all="ignore"):
        tree = _forward(expression, x)
        if tree.varies:
            _backward(tree, gradient, total)
    return total


@dataclass(frozen=True, eq=False)
class _Node:
    """A part of the tree with its value. arguments: of an operation; varies: whether it depends on the variable."""

    value: Array
    varies: bool
    operation: Operation | None = None
    arguments: tuple[_Node, ...] = ()


def _forward(expression: Expression, x: Array) -> _Node:
    match expression:
        case Variable():
            return _Node(x, True)
        case Constant():
            return _Node(expression.values.astype(x.dtype), False)
        case Apply():
            parts = tuple(_forward(part, x) for part in expression.arguments)
            value = FUNCTIONS[expression.operation](*(part.value for part in parts))
            return _Node(value, any(part.varies for part in parts), expression.operation, parts)


def _backward(node: _Node, gradient: Array, total: Array) -> None:
    """Add to ``total`` what the variable gets from ``node``, whose value has ``gradient``."""
    if node.operation is None:
        total += gradient
        return
    values = [part.value for part in node.arguments]
    for slope, part in zip(_SLOPES[node.operation], node.arguments, strict=True):
        if slope is not None and part.varies:
            steepness = np.asarray(slope(node.value, *values), total.dtype)
            product = gradient * steepness
            _backward(part, np.where((gradient != 0) & np.isfinite(product), product, 0), total)


def _first_below(a: Array, b: Array) -> Any:
    return (a < b) + 0.5 * (a == b)


_FLAT = (None,)

_SLOPES: dict[Operation, tuple[Slope | None, ...]] = {
    Operation.NEG: (lambda y, x: -1,),
    Operation.ABS: (lambda y, x: np.sign(x),),
    Operation.EXP: (lambda y, x: y,),
    Operation.LOG: (lambda y, x: 1 / x,),
    Operation.SQRT: (lambda y, x: 0.5 / y,),
    Operation.ERF: (lambda y, x: 2 / sqrt(pi) * np.exp(-np.square(x)),),
    Operation.TANH: (lambda y, x: 1 - np.square(y),),
    Operation.SIGMOID: (lambda y, x: y * (1 - y),),
    Operation.SOFTPLUS: (lambda y, x: expit(x),),
    Operation.FLOOR: _FLAT,
    Operation.CEIL: _FLAT,
    Operation.ROUND: _FLAT,
    Operation.SIGN: _FLAT,
    Operation.SIN: (lambda y, x: np.cos(x),),
    Operation.COS: (lambda y, x: -np.sin(x),),
    Operation.ADD: (lambda y, a, b: 1, lambda y, a, b: 1),
    Operation.SUB: (lambda y, a, b: 1, lambda y, a, b: -1),
    Operation.MUL: (lambda y, a, b: b, lambda y, a, b: a),
    Operation.DIV: (lambda y, a, b: 1 / b, lambda y, a, b: -y / b),
    Operation.POW: (
        lambda y, a, b: np.where(b == 0, 0, b * np.power(a, b - 1)),
        lambda y, a, b: np.where(y == 0, 0, y * np.log(a)),
    ),
    Operation.MIN: (lambda y, a, b: _first_below(a, b), lambda y, a, b: _first_below(b, a)),
    Operation.MAX: (lambda y, a, b: _first_below(b, a), lambda y, a, b: _first_below(a, b)),
    Operation.LESS: (None, None),
    Operation.WHERE: (None, lambda y, c, a, b: c != 0, lambda y, c, a, b: c == 0),
}
"""Of every operation, its derivative with respect to each argument, from the value and the arguments; None: zero."""
