"""Relu and Clip: the activations that are clamps, and so cost nothing after requantization."""

from __future__ import annotations

from math import inf

from .reader import Reader
from .steps import ClipStep

__all__ = ["OPERATORS", "read_clip", "read_relu"]


def read_relu(reader: Reader) -> ClipStep:
    """``max(x, 0)``."""
    return ClipStep(reader.node, 0.0, inf)


def read_clip(reader: Reader) -> ClipStep:
    """``min(max(x, min), max)``; the bounds are attributes until operator set 10 and inputs from set 11 on."""
    if reader.graph.opset < 11:
        lo, hi = reader.number("min", -inf), reader.number("max", inf)
    else:
        lo, hi = _bound(reader, 1, "min", -inf), _bound(reader, 2, "max", inf)
    if lo > hi:
        raise reader.error(f"its minimum {lo:g} is above its maximum {hi:g}; export the model again")
    return ClipStep(reader.node, lo, hi)


def _bound(reader: Reader, index: int, what: str, default: float) -> float:
    if not reader.has(index):
        return default
    bound = reader.constant(index, what, finite=False)
    if bound.size != 1:
        raise reader.error(f"its {what} must be one number, not {bound.size}")
    return float(bound.reshape(())[()])


OPERATORS = {"Clip": read_clip, "Relu": read_relu}
