"""Add, Sub, Sum and Mean: functions of one tensor and constants compose, several tensors need a layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

import numpy as np

from ..errors import HwgenError
from ..expression import Operation
from ..floatnet import FloatAdd, Layout
from ..importers.graph import Node
from .affine import absorbed
from .builder import Builder, Source
from .elementwise import composed
from .function import Array, Function, Operand, apply, spread
from .reader import Reader
from .value import Base, Value
from .view import from_map

__all__ = ["OPERATORS", "add", "read_add", "read_mean", "read_sub"]


@dataclass(frozen=True, eq=False)
class _Term:
    """``factor * tensor + offset``, offset one per channel."""

    tensor: str
    factor: float
    offset: Array


def add(builder: Builder, reader: Reader, values: tuple[Value, ...], signs: tuple[float, ...]) -> Value:
    """The sum of ``sign * value``."""

    def total(*operands: Operand) -> Operand:
        result: Operand = np.zeros(())
        for operand, sign in zip(operands, signs, strict=True):
            signed = operand if sign == 1 else apply(Operation.MUL, operand, sign)
            result = apply(Operation.ADD, result, signed)
        return result

    result = composed(builder, reader.node, total, values)
    if result is None:
        # Constants join afterwards, as an offset.
        data = [(value, sign) for value, sign in zip(values, signs, strict=True) if value.base is not None]
        result = _layer(builder, reader.node, data)
        for value, sign in zip(values, signs, strict=True):
            if value.base is None:
                shifted = composed(
                    builder, reader.node, lambda x, c, s=sign: apply(Operation.ADD, x, s * c), (result, value)
                )
                assert shifted is not None
                result = shifted
    elif any(value.base is None for value in values):
        builder.folded.append(reader.node)
    return absorbed(builder, result)


def _layer(builder: Builder, node: Node, data: list[tuple[Value, float]]) -> Value:
    shape = np.broadcast_shapes(*(value.shape for value, _ in data))
    values = tuple(
        value.moved(lambda array: np.broadcast_to(array, shape)) if value.shape != shape else value for value, _ in data
    )
    layout = builder.preferred(values)
    sources = _same_order(builder, node, values)
    view = None
    if sources is not None and not all(builder.fits(value, layout) for value in values):
        view = values[0].view  # the same reshaped map each time: added as it lies
    else:
        sources = [builder.map(node, value, layout) for value in values]
    terms: list[_Term] = []
    for source, (_, sign) in zip(sources, data, strict=True):
        terms += _terms(builder, node, source, sign)
    bias = np.sum([term.offset for term in terms], axis=0)
    terms = _distinct(terms)
    if view is None:
        view = from_map(shape, layout)
    if not terms:
        raise HwgenError(f"{node}: what it adds cancels out and leaves a constant; simplify the model")
    if len(terms) == 1:
        height, width, _ = sources[0].shape
        function = Function.of_affine(np.array(terms[0].factor), spread(bias, height * width))
        base = Base(terms[0].tensor, sources[0].shape)
        return Value(base, view, replace(function, cause=node), exclusive=False, node=node)
    layer = FloatAdd(
        builder.layer_name(node),
        tuple(term.tensor for term in terms),
        tuple(term.factor for term in terms),
        bias,
        sources[0].shape,
    )
    return Value(builder.append(layer), view, node=node)


def _same_order(builder: Builder, node: Node, values: tuple[Value, ...]) -> list[Source] | None:
    """Sources in natural order where every value is the same rearrangement of all of its base, shapes alike."""
    first = values[0]
    if any(value.base is None or value.base.shape is None or value.base.order is not None for value in values):
        return None
    assert first.base is not None
    assert first.base.shape is not None
    flat = np.sort(first.view, axis=None)
    whole = flat.size == np.prod(first.base.shape) and (flat == np.arange(flat.size)).all()
    if not whole or any(
        value.base is None or value.base.shape != first.base.shape or (value.view != first.view).any()
        for value in values
    ):
        return None
    index = np.arange(flat.size, dtype=np.int32).reshape(first.base.shape)
    return [builder.source(node, replace(value, view=index), Layout.CHANNEL_LAST) for value in values]


def _terms(builder: Builder, node: Node, source: Source, sign: float) -> list[_Term]:
    factor = source.factor * sign
    if not factor[0] or (factor != factor[0]).any():
        source = builder.unscaled(node, source)
        factor = np.full_like(factor, sign)
    inner = builder.owned(source.value)
    if isinstance(inner, FloatAdd) and inner.clip == (-inf, inf) and inner.fixed is None:
        # An addition of an addition: one layer of more operands.
        builder.remove(inner.name)
        gain = float(factor[0])
        offset = inner.bias * gain + source.offset * sign
        return [
            _Term(name, gain * own, np.zeros_like(offset) if index else offset)
            for index, (name, own) in enumerate(zip(inner.sources, inner.factors, strict=True))
        ]
    return [_Term(source.base.name, float(factor[0]), source.offset * sign)]


def _distinct(terms: list[_Term]) -> list[_Term]:
    """Terms of one tensor become one, or none where they cancel out, as ``a`` does in ``(a + b) - a``."""
    merged: dict[str, _Term] = {}
    for term in terms:
        before = merged.get(term.tensor)
        if before is None:
            merged[term.tensor] = term
        else:
            merged[term.tensor] = replace(
                before, factor=before.factor + term.factor, offset=before.offset + term.offset
            )
    return [term for term in merged.values() if term.factor]


def read_add(builder: Builder, reader: Reader) -> Value:
    """Add and Sum, of any number of operands."""
    values = tuple(reader.value(index) for index in range(len(reader.node.inputs)))
    return values[0] if len(values) == 1 else add(builder, reader, values, (1.0,) * len(values))


def read_sub(builder: Builder, reader: Reader) -> Value:
    """``a - b``."""
    return add(builder, reader, (reader.value(0), reader.value(1)), (1.0, -1.0))


def read_mean(builder: Builder, reader: Reader) -> Value:
    """The mean of any number of tensors."""
    total = read_add(builder, reader)
    count = len(reader.node.inputs)
    result = composed(builder, reader.node, lambda x: apply(Operation.DIV, x, count), (total,))
    assert result is not None
    return absorbed(builder, result)


OPERATORS = {"Add": read_add, "Mean": read_mean, "Sub": read_sub, "Sum": read_add}
