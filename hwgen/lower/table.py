"""Element-wise functions that are no affine and no clamp: they compose, and become tables where a layer reads them.

Formulas: https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, pi, sqrt

from ..expression import Operation
from .affine import absorbed
from .builder import Builder
from .clip import clipped
from .elementwise import Composition, composed
from .function import Operand, apply
from .reader import Reader
from .value import Value

__all__ = ["OPERATORS"]

O = Operation  # noqa: E741  # formulas below read better with a short name


def _simple(operation: Operation) -> Callable[[Reader], Composition]:
    return lambda reader: lambda *operands: apply(operation, *operands)


def _less(x: Operand, bound: float) -> Operand:
    return apply(O.LESS, x, bound)


def _elu(reader: Reader) -> Composition:
    alpha = reader.number("alpha", 1.0)
    return lambda x: _where_negative(x, _exponential(x, alpha, 1.0), x)


def _celu(reader: Reader) -> Composition:
    alpha = reader.number("alpha", 1.0)
    if alpha == 0:
        raise reader.error("alpha=0 divides by zero; train or export again")
    return lambda x: _where_negative(x, _exponential(x, alpha, 1 / alpha), x)


def _selu(reader: Reader) -> Composition:
    alpha = reader.number("alpha", 1.67326319217681884765625)
    gamma = reader.number("gamma", 1.05070102214813232421875)
    return lambda x: apply(O.MUL, _where_negative(x, _exponential(x, alpha, 1.0), x), gamma)


def _exponential(x: Operand, alpha: float, rate: float) -> Operand:
    """``alpha * (exp(x * rate) - 1)``, of the negative part only, so that nothing overflows."""
    return apply(O.MUL, apply(O.SUB, apply(O.EXP, apply(O.MUL, apply(O.MIN, x, 0.0), rate)), 1.0), alpha)


def _where_negative(x: Operand, then: Operand, otherwise: Operand) -> Operand:
    return apply(O.WHERE, _less(x, 0.0), then, otherwise)


def _leaky_relu(reader: Reader) -> Composition:
    alpha = reader.number("alpha", 0.01)
    return lambda x: _where_negative(x, apply(O.MUL, x, alpha), x)


def _thresholded_relu(reader: Reader) -> Composition:
    alpha = reader.number("alpha", 1.0)
    return lambda x: apply(O.WHERE, apply(O.LESS, alpha, x), x, 0.0)


def _shrink(reader: Reader) -> Composition:
    bias, lambd = reader.number("bias", 0.0), reader.number("lambd", 0.5)

    def shrink(x: Operand) -> Operand:
        above = apply(O.WHERE, apply(O.LESS, lambd, x), apply(O.SUB, x, bias), 0.0)
        return apply(O.WHERE, _less(x, -lambd), apply(O.ADD, x, bias), above)

    return shrink


def _hard_sigmoid(reader: Reader) -> Composition:
    alpha, beta = reader.number("alpha", 0.2), reader.number("beta", 0.5)
    return lambda x: _ramp(x, alpha, beta)


def _ramp(x: Operand, alpha: float, beta: float) -> Operand:
    return apply(O.MIN, apply(O.MAX, apply(O.ADD, apply(O.MUL, x, alpha), beta), 0.0), 1.0)


def _hard_swish(reader: Reader) -> Composition:
    return lambda x: apply(O.MUL, x, _ramp(x, 1 / 6, 0.5))


def _swish(reader: Reader) -> Composition:
    alpha = reader.number("alpha", 1.0)
    return lambda x: apply(O.MUL, x, apply(O.SIGMOID, apply(O.MUL, x, alpha)))


def _gelu(reader: Reader) -> Composition:
    approximate = reader.text("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise reader.error(f"approximate={approximate} is not known; use none or tanh")

    def inner(x: Operand) -> Operand:
        if approximate == "none":
            return apply(O.ERF, apply(O.MUL, x, 1 / sqrt(2)))
        cube = apply(O.MUL, apply(O.MUL, apply(O.MUL, x, x), x), 0.044715)
        return apply(O.TANH, apply(O.MUL, apply(O.ADD, x, cube), sqrt(2 / pi)))

    return lambda x: apply(O.MUL, apply(O.MUL, x, 0.5), apply(O.ADD, inner(x), 1.0))


def _mish(reader: Reader) -> Composition:
    return lambda x: apply(O.MUL, x, apply(O.TANH, apply(O.SOFTPLUS, x)))


def _softsign(reader: Reader) -> Composition:
    return lambda x: apply(O.DIV, x, apply(O.ADD, apply(O.ABS, x), 1.0))


def _reciprocal(reader: Reader) -> Composition:
    return lambda x: apply(O.DIV, 1.0, x)


def _prelu(reader: Reader) -> Composition:
    return lambda x, slope: _where_negative(x, apply(O.MUL, x, slope), x)


def _not(x: Operand) -> Operand:
    return apply(O.SUB, 1.0, x)


def _greater(reader: Reader) -> Composition:
    return lambda a, b: apply(O.LESS, b, a)


def _less_or_equal(reader: Reader) -> Composition:
    return lambda a, b: _not(apply(O.LESS, b, a))


def _greater_or_equal(reader: Reader) -> Composition:
    return lambda a, b: _not(apply(O.LESS, a, b))


def _negation(reader: Reader) -> Composition:
    return _not


_FUNCTIONS: dict[str, tuple[int, Callable[[Reader], Composition]]] = {
    "Abs": (1, _simple(O.ABS)),
    "And": (2, _simple(O.MUL)),
    "Ceil": (1, _simple(O.CEIL)),
    "Celu": (1, _celu),
    "Cos": (1, _simple(O.COS)),
    "Elu": (1, _elu),
    "Erf": (1, _simple(O.ERF)),
    "Exp": (1, _simple(O.EXP)),
    "Floor": (1, _simple(O.FLOOR)),
    "Gelu": (1, _gelu),
    "Greater": (2, _greater),
    "GreaterOrEqual": (2, _greater_or_equal),
    "HardSigmoid": (1, _hard_sigmoid),
    "HardSwish": (1, _hard_swish),
    "LeakyRelu": (1, _leaky_relu),
    "Less": (2, _simple(O.LESS)),
    "LessOrEqual": (2, _less_or_equal),
    "Log": (1, _simple(O.LOG)),
    "Mish": (1, _mish),
    "Neg": (1, _simple(O.NEG)),
    "Not": (1, _negation),
    "Or": (2, _simple(O.MAX)),
    "PRelu": (2, _prelu),
    "Pow": (2, _simple(O.POW)),
    "Reciprocal": (1, _reciprocal),
    "Round": (1, _simple(O.ROUND)),
    "Selu": (1, _selu),
    "Shrink": (1, _shrink),
    "Sigmoid": (1, _simple(O.SIGMOID)),
    "Sign": (1, _simple(O.SIGN)),
    "Sin": (1, _simple(O.SIN)),
    "Softplus": (1, _simple(O.SOFTPLUS)),
    "Softsign": (1, _softsign),
    "Sqrt": (1, _simple(O.SQRT)),
    "Swish": (1, _swish),
    "Tanh": (1, _simple(O.TANH)),
    "ThresholdedRelu": (1, _thresholded_relu),
    "Where": (3, _simple(O.WHERE)),
}
"""Operators by name: how many operands they have, and what computes them."""


def read_function(builder: Builder, reader: Reader) -> Value:
    """An operator of :data:`_FUNCTIONS`."""
    count, make = _FUNCTIONS[reader.node.operator]
    operands = tuple(reader.value(index) for index in range(count))
    return _joined(builder, reader, make(reader), operands)


def _joined(builder: Builder, reader: Reader, operator: Composition, operands: tuple[Value, ...]) -> Value:
    result = composed(builder, reader.node, operator, operands)
    if result is None:
        raise reader.error(
            "it joins different tensors, which only Add, Sub, Sum, Mean and Concat can; of one tensor's functions it"
            " is supported"
        )
    return absorbed(builder, result)


def read_extreme(builder: Builder, reader: Reader) -> Value:
    """Min and Max of functions of one tensor and constants; of a tensor and one number it is a clamp."""
    maximum = reader.node.operator == "Max"
    values = [reader.value(index) for index in range(len(reader.node.inputs))]
    data = [value for value in values if value.base is not None]
    constants = [value for value in values if value.base is None]
    if len(data) == 1 and all(value.fill.size == 1 and len(value.shape) <= len(data[0].shape) for value in constants):
        bounds = [float(value.fill.reshape(())) for value in constants]
        lo, hi = (max(bounds, default=-inf), inf) if maximum else (-inf, min(bounds, default=inf))
        return clipped(builder, reader, data[0], lo, hi)

    def extreme(first: Operand, *others: Operand) -> Operand:
        for other in others:
            first = apply(O.MAX if maximum else O.MIN, first, other)
        return first

    return _joined(builder, reader, extreme, tuple(values))


OPERATORS = {**dict.fromkeys(_FUNCTIONS, read_function), "Max": read_extreme, "Min": read_extreme}
