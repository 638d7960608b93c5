"""Mul and Div: with constants and of one tensor's functions only."""

from __future__ import annotations

from ..expression import Operation
from .affine import absorbed
from .builder import Builder
from .elementwise import composed
from .function import apply
from .reader import Reader
from .value import Value

__all__ = ["OPERATORS", "read_div", "read_mul"]


def read_mul(builder: Builder, reader: Reader) -> Value:
    """``a * b``, a constant among them or both functions of one tensor."""
    return _binary(builder, reader, Operation.MUL)


def read_div(builder: Builder, reader: Reader) -> Value:
    """``a / b``, likewise."""
    divisor = reader.value(1)
    if divisor.base is None and (divisor.fill == 0).any():
        raise reader.error("its constant divides by zero; train or export again")
    return _binary(builder, reader, Operation.DIV)


def _binary(builder: Builder, reader: Reader, operation: Operation) -> Value:
    values = (reader.value(0), reader.value(1))
    result = composed(builder, reader.node, lambda a, b: apply(operation, a, b), values)
    if result is None:
        raise reader.error(
            f"{'a product' if operation is Operation.MUL else 'a quotient'} of two tensors is not supported,"
            " it would need a multiplier; use an addition or a concatenation"
        )
    if result.function.affine is not None:
        builder.folded.append(reader.node)
    return absorbed(builder, result)


OPERATORS = {"Div": read_div, "Mul": read_mul}
