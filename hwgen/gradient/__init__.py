"""Reverse mode: how a loss of a float network's outputs changes with every weight, bias and tensor, in NumPy."""

from .loss import CrossEntropy, Loss, SquaredDistance, drawn_labels, drawn_targets
from .network import Gradients, gradients, gradients_by_batch

__all__ = [
    "CrossEntropy",
    "Gradients",
    "Loss",
    "SquaredDistance",
    "drawn_labels",
    "drawn_targets",
    "gradients",
    "gradients_by_batch",
]
