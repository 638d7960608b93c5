"""Plain rounding: each weight on its own, to the nearest level at the scale with the least squared error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...codes import Codebook, Rounding
from ...floatnet import FloatNetwork
from ..scales import CodedWeights, code_weights, with_levels
from .method import Method, choice
from .problem import Coder, Problem

__all__ = ["Plain", "plain"]

ROUNDINGS = {"linear": Rounding.LINEAR, "log": Rounding.LOGARITHMIC}


@dataclass(frozen=True)
class Plain(Method):
    """See the module's text.

    rounding: "linear" (default), or "log" for the level that is nearest by ratio, as in LogNet
    (:class:`~hwgen.codes.Rounding`), at the scales that are best for the linear one.
    """

    name: ClassVar[str] = "plain"

    rounding: str = choice(*ROUNDINGS)

    def coder(self, network: FloatNetwork, codebook: Codebook) -> Coder:
        return lambda problem: plain(problem, ROUNDINGS[self.rounding])


def plain(problem: Problem, rounding: Rounding = Rounding.LINEAR) -> CodedWeights:
    """The nearest levels to the weights of ``problem``."""
    coded = code_weights(problem.weight, problem.codebook, problem.ratio, problem.importance)
    if rounding is Rounding.LINEAR:
        return coded
    levels = coded.codebook.nearest(problem.weight / coded.weight_scale[:, None, None, None], rounding)
    return with_levels(levels, coded.codebook, problem.ratio, coded.mul, coded.shift)
