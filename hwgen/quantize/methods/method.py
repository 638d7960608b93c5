"""What every quantization method is: options, a rewriting of the float network, a coder of weights."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from math import inf
from numbers import Integral
from typing import Any, ClassVar

import numpy as np

from ...codes import Codebook
from ...errors import HwgenError
from ...floatnet import FloatNetwork
from ...network import MANTISSAS
from ..requant import KMAX
from .problem import Coder

__all__ = ["MAX_PASSES", "MAX_SCALES", "Choice", "Method", "Range", "choice", "option"]

MAX_SCALES = len(MANTISSAS) * (KMAX + 1) - 1
"""Neighbours to each side of a scale, at most: all other requantization factors that there are."""

MAX_PASSES = 1000
"""Rounds of a descent, at most; it ends long before."""


@dataclass(frozen=True)
class Range:
    """The numbers that an option may be, both ends included; never NaN."""

    low: float
    high: float

    def holds(self, value: object) -> bool:
        return isinstance(value, int | float | np.number) and bool(self.low <= value <= self.high)

    def __str__(self) -> str:
        return f"{self.low:g} or more" if self.high == inf else f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Choice:
    """The words that an option may be."""

    words: tuple[str, ...]

    def holds(self, value: object) -> bool:
        return value in self.words

    def __str__(self) -> str:
        return " or ".join(self.words)


def option(default: float | None, low: float, high: float = inf) -> Any:
    """A field that is a number from ``low`` to ``high``; None is allowed where it is the default."""
    return field(default=default, metadata={"values": Range(low, high)})


def choice(*words: str) -> Any:
    """A field that is one of ``words``, by default the first."""
    return field(default=words[0], metadata={"values": Choice(words)})


@dataclass(frozen=True)
class Method:
    """A quantization method. Its dataclass fields are its options, as in ``--method name:option=value``.

    A method rewrites the float network into an equal one that quantizes better, or codes the weights of its layers.
    Each option says what it may be (:func:`option`, :func:`choice`); anything else raises :class:`HwgenError`.
    """

    name: ClassVar[str]
    """What ``--method`` calls it."""

    keeps_code: ClassVar[bool] = True
    """Whether it answers with the codebook of the problem; False where it makes one of its own."""

    def __post_init__(self) -> None:
        for one in fields(self):
            values, value = one.metadata.get("values"), getattr(self, one.name)
            if values is None or (value is None and one.default is None):
                continue
            where = f"option {one.name!r} of method {self.name!r}"
            if not values.holds(value):
                raise HwgenError(f"{where} must be {values}, not {value!r}")
            if str(one.type).startswith("int") and not isinstance(value, Integral):
                raise HwgenError(f"{where} must be a whole number, not {value!r}")

    def rewrite(self, network: FloatNetwork, codebook: Codebook) -> FloatNetwork:
        """``network`` or one that computes the same. Depends on nothing but the arguments."""
        return network

    def coder(self, network: FloatNetwork, codebook: Codebook) -> Coder | None:
        """What codes the weights of ``network``, or None if this method only rewrites."""
        return None
