"""Quantizers of data: the number format that the model prescribes goes to the layer that makes the tensor.

``Quant`` and ``BipolarQuant`` of QONNX, ``QuantizeLinear`` and ``DequantizeLinear`` of ONNX. Between the last two the
model holds integers; here a value stays real all the way, and ``DequantizeLinear`` does nothing more. Rounding is to
the nearest, half to even, as all of them define it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..expression import Operation
from ..floatnet import Fixed, FloatLayer, FloatPool, FloatRemap, FloatTable, PoolKind
from ..importers.constants import CODE_TYPES
from ..interval import Interval
from .builder import Builder
from .channels import per_channel
from .elementwise import compose
from .function import IDENTITY, Operand, apply
from .reader import Reader
from .value import Base, Value

__all__ = ["OPERATORS"]

MAX_BITS = 9
"""Bits of a tensor inside the network: 8, and one more for a zero point off the middle."""

_GRID = 1e-4
"""How far from a multiple of the scale an offset may lie, in units of the scale, and still be one."""

_MOVES = frozenset(
    {"Concat", "Flatten", "Identity", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
)
"""Operators that mean the same before and behind a DequantizeLinear."""


def prescribed(builder: Builder, reader: Reader, value: Value, fixed: Fixed) -> Value:
    """``value`` in the format ``fixed``: in the layer or the input that makes it, else by a table."""
    if fixed.interval.bits > MAX_BITS:
        raise reader.error(
            f"its format has {fixed.interval.bits} bits, but data may have at most 8, or {MAX_BITS} with a zero point"
        )
    if value.base is None:
        return replace(value, fill=_rounded(value.fill, fixed))
    own = _before(value, fixed)
    if own is not None and _format(builder, value.base) == own:
        return value
    if own is not None and _attached(builder, reader, value, own):
        return replace(value, fill=_rounded(value.fill, fixed), node=reader.node)
    return _by_table(builder, reader, value, fixed)


def _rounded(x: np.ndarray, fixed: Fixed) -> np.ndarray:
    return fixed.scale * np.clip(np.rint(x / fixed.scale), fixed.interval.lo, fixed.interval.hi)


def _before(value: Value, fixed: Fixed) -> Fixed | None:
    """``fixed`` in terms of the base, before the pending affine; None where that is no such format."""
    if value.function.affine is None:
        return None
    factor, offset = value.function.affine
    used = ~np.isnan(factor + offset)
    factors, offsets = (np.unique(np.broadcast_to(part, used.shape)[used]) for part in (factor, offset))
    if factors.size != 1 or offsets.size != 1 or not factors[0] > 0:
        return None
    steps = float(offsets[0]) / fixed.scale
    if abs(steps - round(steps)) > _GRID:
        return None
    return Fixed(fixed.scale / float(factors[0]), fixed.interval + -round(steps))


def _format(builder: Builder, base: Base) -> Fixed | None:
    """The format that the model prescribed for ``base`` already."""
    name = base.name
    while (layer := builder.layers.get(name)) is not None:
        if layer.fixed is not None or not _moves_only(layer):
            return layer.fixed
        (name,) = layer.sources
    return base.fixed if name == base.name else None


def _moves_only(layer: FloatLayer) -> bool:
    if isinstance(layer, FloatPool):
        return layer.kind is PoolKind.MAX
    return isinstance(layer, FloatRemap) and all(
        (part >= 0).all() for part in (layer.rows, layer.columns, layer.channels)
    )


def _attached(builder: Builder, reader: Reader, value: Value, fixed: Fixed) -> bool:
    """Whether the maker of the base took the format: it makes the tensor for nothing else, and has none yet."""
    base = value.base
    assert base is not None
    if base.name not in builder.layers:
        name, nodes = reader.node.inputs[0], reader.graph.nodes
        uses = sum(node.inputs.count(name) for node in nodes) + reader.graph.outputs.count(name)
        if name not in reader.graph.inputs or uses > 1:
            return False
        base.fixed = fixed
        return True
    layer = builder.owned(value)
    while isinstance(layer, FloatPool) and layer.kind is PoolKind.MAX:
        layer = builder.before(layer)  # rounding is monotone, so it may be done before a maximum
    if layer is None or layer.fixed is not None or isinstance(layer, FloatRemap):
        return False
    builder.layers[layer.name] = replace(layer, fixed=fixed)
    return True


def _by_table(builder: Builder, reader: Reader, value: Value, fixed: Fixed) -> Value:
    """A table of the pending function, whose result has the format."""
    assert value.base is not None
    shape = builder.settle(value.base)
    function = value.function.with_constants(lambda part: per_channel(reader.node, value, part, 0.0))
    name = builder.layer_name(reader.node)
    table = builder.append(FloatTable(name, value.base.name, shape, function.tree, fixed))
    fill, view = _rounded(value.fill, fixed), builder.places(value)
    return replace(value, base=table, view=view, function=IDENTITY, fill=fill, exclusive=True, node=reader.node)


def _scale(reader: Reader) -> float:
    scale = _one(reader, 1, "scale")
    if scale <= 0:
        raise reader.error(f"its scale must be above zero, not {scale:g}; export again")
    return scale


def _one(reader: Reader, index: int, what: str) -> float:
    values = np.unique(reader.constant(index, what))
    if values.size != 1:
        raise reader.error(f"its {what} has {values.size} values, but data must have one for the whole tensor")
    return float(values[0])


def _whole(reader: Reader, index: int, what: str) -> int:
    value = _one(reader, index, what)
    if value != round(value) or abs(value) > 1 << 31:
        raise reader.error(f"its {what} must be a whole number, not {value:g}")
    return round(value)


def read_quant(builder: Builder, reader: Reader) -> Value:
    """``(clip(round(x / scale + zero)) - zero) * scale``; inputs: x, scale, zero point, bits."""
    scale, zero, bits = _scale(reader), _whole(reader, 2, "zero point"), _whole(reader, 3, "bit width")
    mode = reader.text("rounding_mode", "ROUND").upper()
    if mode not in ("ROUND", "HALF_EVEN"):
        raise reader.error(f"rounding_mode={mode} is supported for weights only; use ROUND for data")
    signed, narrow = bool(reader.integer("signed", 1)), int(bool(reader.integer("narrow", 0)))
    if bits == 1 and signed and zero == 0:
        return _bipolar(builder, reader, scale)  # a signed number of one bit is -1 or 1
    if not 1 <= bits <= 16 or (bits == 1 and signed):
        raise reader.error(f"data of {bits} bits is not supported, at most 8")
    interval = Interval.of_bits(bits, signed=signed)
    interval = Interval(interval.lo + narrow, interval.hi) if signed else Interval(0, interval.hi - narrow)
    return prescribed(builder, reader, reader.value(0), Fixed(scale, interval + -zero))


def read_bipolar_quant(builder: Builder, reader: Reader) -> Value:
    """``scale`` where ``x >= 0``, else ``-scale``; inputs: x, scale."""
    return _bipolar(builder, reader, _scale(reader))


def _bipolar(builder: Builder, reader: Reader, scale: float) -> Value:
    def sign(x: Operand) -> Operand:
        return apply(Operation.WHERE, apply(Operation.LESS, x, 0.0), -scale, scale)

    value = reader.value(0)
    if value.base is None:
        return replace(value, fill=np.where(value.fill < 0, -scale, scale))
    value = compose(builder, reader.node, sign, [value])
    return _by_table(builder, reader, value, Fixed(scale, Interval(-1, 1)))


def read_quantize(builder: Builder, reader: Reader) -> Value:
    """``clip(round(x / scale) + zero)`` in the zero point's type, kept as the real value that it stands for."""
    return prescribed(builder, reader, reader.value(0), _linear_format(reader))


def _linear_format(reader: Reader) -> Fixed:
    scale, zero, name = _scale(reader), _zero(reader), "uint8"
    if reader.has(2):
        name = reader.graph.constants[reader.node.inputs[2]].dtype.name
    elif reader.integer("output_dtype", 2) != 2:
        raise reader.error("without a zero point only uint8 is supported; export with zero points")
    if name not in CODE_TYPES:
        raise reader.error(f"data of type {name} is not supported, only int8 and uint8")
    return Fixed(scale, Interval(*CODE_TYPES[name]) + -zero)


def read_dequantize(builder: Builder, reader: Reader) -> Value:
    """Nothing more to do behind a QuantizeLinear of the same scale and zero point."""
    makers = {name: node for node in reader.graph.nodes for name in node.outputs}
    names, seen = [reader.node.inputs[0]], set[str]()
    while names:
        name = names.pop()
        maker = makers.get(name)
        if maker is not None and maker.operator in _MOVES:
            moved = maker.inputs if maker.operator == "Concat" else maker.inputs[:1]
            names += [source for source in moved if source not in seen]
            seen.update(moved)
            continue
        if maker is None or maker.operator != "QuantizeLinear":
            raise reader.error("its input must come from a QuantizeLinear; export the model in the QDQ form")
        other = Reader(reader.graph, maker, {})
        if (_scale(other), _zero(other)) != (_scale(reader), _zero(reader)):
            raise reader.error(f"its scale and zero point must be those of {maker}; export again")
    return reader.value(0)


def _zero(reader: Reader) -> int:
    return _whole(reader, 2, "zero point") if reader.has(2) else 0


def _refused(reason: str) -> Callable[[Builder, Reader], Value]:
    def read(builder: Builder, reader: Reader) -> Value:
        raise reader.error(reason)

    return read


_INTEGER = _refused("models of integer operators are not supported; export in the QDQ form, with DequantizeLinear")

OPERATORS = {
    "BipolarQuant": read_bipolar_quant,
    "DequantizeLinear": read_dequantize,
    "FloatQuant": _refused("floating-point formats are supported for weights only; quantize data to integers"),
    "IntQuant": read_quant,
    "Quant": read_quant,
    "QuantizeLinear": read_quantize,
    "Trunc": _refused("it is not supported, only Quant"),
    **dict.fromkeys(("ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"), _INTEGER),
    **dict.fromkeys(("DynamicQuantizeLinear", "QGemm", "QLinearAdd"), _INTEGER),
}
