"""Element-wise functions of one variable as data: what a lookup table of the hardware computes.

An expression is a small tree over one variable, a value of a tensor. Whatever a model computes element by element
from one tensor (``x * sigmoid(x)``, a Gelu spelt with ``Erf``, a LeakyRelu) is one such tree, so that the importer
needs no list of activations by name and the hardware has one mechanism for all of them.

Constants are scalars or one value per channel (channels are the last axis), so a tree is evaluated on a whole
channel-last tensor at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import erf, expit

__all__ = ["FUNCTIONS", "Apply", "Constant", "Expression", "Operation", "Variable", "evaluate"]

Array = npt.NDArray[np.floating]


class Operation(Enum):
    """What an :class:`Apply` computes from its one or two arguments."""

    NEG = "neg"
    ABS = "abs"
    EXP = "exp"
    LOG = "log"
    SQRT = "sqrt"
    ERF = "erf"
    TANH = "tanh"
    SIGMOID = "sigmoid"
    SOFTPLUS = "softplus"
    FLOOR = "floor"
    CEIL = "ceil"
    ROUND = "round"  # half to even
    SIGN = "sign"
    SIN = "sin"
    COS = "cos"
    ADD = "add"
    SUB = "sub"
    MUL = "mul"
    DIV = "div"
    POW = "pow"
    MIN = "min"
    MAX = "max"
    LESS = "less"  # 1 or 0
    WHERE = "where"  # (condition, if not 0, if 0)


@dataclass(frozen=True)
class Variable:
    """The value of the tensor."""


@dataclass(frozen=True, eq=False)
class Constant:
    """values: a scalar, shape (), or one value per channel, shape (C,); float64."""

    values: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Apply:
    """``operation`` of the values of ``arguments``."""

    operation: Operation
    arguments: tuple[Expression, ...]


Expression = Variable | Constant | Apply


FUNCTIONS: dict[Operation, Callable[..., Any]] = {
    Operation.NEG: np.negative,
    Operation.ABS: np.abs,
    Operation.EXP: np.exp,
    Operation.LOG: np.log,
    Operation.SQRT: np.sqrt,
    Operation.ERF: erf,
    Operation.TANH: np.tanh,
    Operation.SIGMOID: expit,
    Operation.SOFTPLUS: lambda x: np.logaddexp(x, 0),
    Operation.FLOOR: np.floor,
    Operation.CEIL: np.ceil,
    Operation.ROUND: np.rint,
    Operation.SIGN: np.sign,
    Operation.SIN: np.sin,
    Operation.COS: np.cos,
    Operation.ADD: np.add,
    Operation.SUB: np.subtract,
    Operation.MUL: np.multiply,
    Operation.DIV: np.divide,
    Operation.POW: np.power,
    Operation.MIN: np.minimum,
    Operation.MAX: np.maximum,
    Operation.LESS: lambda a, b: np.less(a, b).astype(np.result_type(a, b)),
    Operation.WHERE: lambda c, a, b: np.where(np.not_equal(c, 0), a, b),
}
"""How each operation is computed from the values of its arguments."""


def evaluate(expression: Expression, x: Array) -> Array:
    """``expression`` of every element of ``x`` (..., C), in the floating type of ``x``.

    Values outside a function's domain become NaN or infinity, without a warning; the caller decides what they mean.
    """
    with np.errstate(all="ignore"):
        return np.broadcast_to(np.asarray(_evaluate(expression, x), x.dtype), x.shape)


def _evaluate(expression: Expression, x: Array) -> Array:
    match expression:
        case Variable():
            return x
        case Constant():
            return expression.values.astype(x.dtype)
        case Apply():
            return FUNCTIONS[expression.operation](*(_evaluate(part, x) for part in expression.arguments))
