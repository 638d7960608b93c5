"""Lowering: a float graph becomes a float network of few layer kinds, one layout, with everything else folded away."""

from .evaluate import evaluate, evaluate_tensors
from .network import OPERATORS, analyse, lower, problems, summary

__all__ = ["OPERATORS", "analyse", "evaluate", "evaluate_tensors", "lower", "problems", "summary"]
