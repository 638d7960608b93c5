"""Tensors times wired constants, by shifts and additions: ``clip((sum(x * factor)) >> shift, lo, hi)``.

The factors are constants of the whole tensor, so their shifts are wires and only the additions remain; contrast
``requant.py``, whose factor changes from channel to channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import *

from ..codes import signed_terms
from ..interval import Interval
from .stream import pipeline_signal, shape_of
from .tree import tree_latency

__all__ = ["Operand", "rescale", "rescale_latency"]


@dataclass(frozen=True)
class Operand:
    """``factor`` times ``value``, an Amaranth value within ``interval``. A bias is an operand of factor 1."""

    value: Any
    interval: Interval
    factor: int


@dataclass(frozen=True)
class _Node:
    """``sign`` times ``value``, and ``value`` holds ``sum(factors[k] * operand k)``."""

    value: Any
    sign: int
    factors: tuple[int, ...]


def rescale_latency(factors: Sequence[int]) -> int:
    """Cycles through :func:`rescale` of operands with ``factors``: ``ceil(log2(signed powers of two)) + 1``."""
    return tree_latency(sum(len(signed_terms(factor)) for factor in factors)) + 1


def rescale(m: Module, operands: Sequence[Operand], shift: int, lo: int, hi: int, *, name: str):
    """``clip(sum(operand) >> shift, lo, hi)``; ``>>`` is floor, so rounding half up needs the half among the operands.

    One tree over the signed powers of two of all factors, every node just as wide as the partial sum that it holds,
    with a register after every addition and one after the clip. At least one power of two must be positive.
    Throughput: one result per cycle. Latency: ``rescale_latency``.
    """
    nodes = [
        _Node(
            operand.value.shift_left(term.shift),
            term.sign,
            tuple(int(k == number) << term.shift for k in range(len(operands))),
        )
        for number, operand in enumerate(operands)
        for term in signed_terms(operand.factor)
    ]
    depth = 0
    while len(nodes) > 1:
        pairs = [nodes[index : index + 2] for index in range(0, len(nodes), 2)]
        nodes = [_add(m, pair, operands, f"{name}_{depth}_{number}") for number, pair in enumerate(pairs)]
        depth += 1
    (total,) = nodes
    if total.sign < 0:
        raise ValueError("operands must have at least one positive power of two")
    reach = _reach(total.factors, operands) >> shift
    floor = Signal(shape_of(reach), name=f"{name}_floor")
    m.d.comb += floor.eq(total.value >> shift)
    below = Mux(floor < lo, lo, floor) if reach.lo < lo else floor
    clipped = pipeline_signal(shape_of(Interval(lo, hi)), name=f"{name}_clipped")
    m.d.sync += clipped.eq(Mux(floor > hi, hi, below) if reach.hi > hi else below)
    return clipped


def _reach(factors: Sequence[int], operands: Sequence[Operand]) -> Interval:
    """Every value of ``sum(factors[k] * operand k)``."""
    reach = Interval(0, 0)
    for operand, factor in zip(operands, factors, strict=True):
        reach += operand.interval * factor
    return reach


def _add(m: Module, pair: Sequence[_Node], operands: Sequence[Operand], name: str) -> _Node:
    """The registered sum of one or two nodes. Two negative ones are added, and stay to be subtracted."""
    if len(pair) == 1:
        (only,) = pair
        value, sign, factors = only.value, only.sign, only.factors
    elif pair[0].sign == pair[1].sign:
        value, sign = pair[0].value + pair[1].value, pair[0].sign
        factors = tuple(a + b for a, b in zip(pair[0].factors, pair[1].factors, strict=True))
    else:
        plus, minus = pair if pair[0].sign > 0 else reversed(pair)
        value, sign = plus.value - minus.value, 1
        factors = tuple(a - b for a, b in zip(plus.factors, minus.factors, strict=True))
    register = pipeline_signal(shape_of(_reach(factors, operands)), name=name)
    m.d.sync += register.eq(value)
    return _Node(register, sign, factors)
