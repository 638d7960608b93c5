"""Element-wise operators of values that share one base: they compose into one function, however many there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..errors import HwgenError
from ..importers.graph import Node
from .builder import Builder
from .channels import back_mapped
from .function import Array, Function, Operand
from .value import Value

__all__ = ["Composition", "compose", "composed"]

Composition = Callable[..., Operand]
"""What an operator computes from its operands, functions and constants alike."""

_LARGEST = 64
"""Nodes of a function before it becomes a table: one that uses its argument twice doubles every time."""

_MOST = 64
"""Operands of one operator, each of which nests the function once more."""


def composed(builder: Builder, node: Node, operator: Composition, operands: tuple[Value, ...]) -> Value | None:
    """``operator`` of ``operands``, which broadcast; None when they are of different tensors.

    Raises :class:`HwgenError` for shapes that do not fit.
    """
    try:
        shape = np.broadcast_shapes(*(operand.shape for operand in operands))
    except ValueError as error:
        shapes = " and ".join(str(operand.shape) for operand in operands)
        raise HwgenError(f"{node}: its operands of shapes {shapes} do not fit; export again") from error
    data = [operand for operand in operands if operand.base is not None]
    if any(operand.shape[:1] == (1,) and len(operand.shape) == len(shape) and shape[0] > 1 for operand in data):
        raise HwgenError(f"{node}: its result of shape {shape} has a batch of {shape[0]}; keep the batch axis first")
    spread = [operand if operand.base is None else _broadcast(operand, shape) for operand in operands]
    real = [operand for operand in spread if operand.base is not None]
    if not real:
        return Value.of_constant(_constant(operator, spread))
    if not all(_same_places(real[0], other) for other in real[1:]):
        return None
    return compose(builder, node, operator, spread)


def _same_places(one: Value, other: Value) -> bool:
    return one.base is other.base and (one.view is other.view or bool((one.view == other.view).all()))


def compose(builder: Builder, node: Node, operator: Composition, operands: list[Value]) -> Value:
    """``operator`` of operands of one base and view, and of constants (base None) that broadcast to them."""
    first = next(operand for operand in operands if operand.base is not None)
    if len(operands) > _MOST:
        raise HwgenError(f"{node}: it joins {len(operands)} operands, but at most {_MOST} are supported; use several")
    parts: list[Operand] = []
    for operand in operands:
        part = operand.function if operand.base is not None else back_mapped(first, operand.fill)
        if part is None:
            # A constant that differs between copies of one element: the copies must exist first.
            return compose(builder, node, operator, _rebased(builder, node, operands))
        parts.append(part)
    function = operator(*parts)
    if not isinstance(function, Function):  # whatever the tensor holds, as x * 0 does not happen to be
        raise AssertionError(f"{node}: a function of a tensor became a constant")
    fill = _constant(operator, operands) if first.filled else np.zeros(())
    exclusive = all(operand.exclusive for operand in operands)
    function = replace(function, cause=node)
    result = replace(first, function=function, fill=fill, exclusive=exclusive, node=node)
    # At once, so that whatever is made of the result shares the table's tensor as its base.
    return builder.tabled(node, result) if function.size > _LARGEST else result


def _constant(operator: Composition, operands: list[Value]) -> Array:
    result = operator(*(operand.fill for operand in operands))
    assert not isinstance(result, Function)
    return result


def _rebased(builder: Builder, node: Node, operands: list[Value]) -> list[Value]:
    return [operand if operand.base is None else builder.rebased(node, operand) for operand in operands]


def _broadcast(value: Value, shape: tuple[int, ...]) -> Value:
    if value.shape == shape:
        return value
    return value.moved(lambda array: np.broadcast_to(array, shape))
