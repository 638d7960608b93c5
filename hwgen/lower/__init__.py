"""Lowering: a float graph becomes a float network of few layer kinds, one layout, with everything else folded away."""

from .evaluate import evaluate
from .network import OPERATORS, lower, problems

__all__ = ["OPERATORS", "evaluate", "lower", "problems"]
