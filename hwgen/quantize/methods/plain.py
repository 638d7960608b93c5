"""Plain rounding: each weight on its own, to the nearest level at the scale with the least squared error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...codes import Codebook
from ...floatnet import FloatNetwork
from ..scales import CodedWeights, code_weights
from .method import Method
from .problem import Coder, Problem

__all__ = ["Plain", "plain"]


@dataclass(frozen=True)
class Plain(Method):
    """See the module's text."""

    name: ClassVar[str] = "plain"

    def coder(self, network: FloatNetwork, codebook: Codebook) -> Coder:
        return plain


def plain(problem: Problem) -> CodedWeights:
    """The nearest levels to the weights of ``problem``."""
    return code_weights(problem.weight, problem.codebook, problem.ratio, problem.importance)
