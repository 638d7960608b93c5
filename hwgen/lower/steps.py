"""Steps: what each operator means for the chain of layers, its attributes read but nothing folded yet.

An operator file turns a node into one of these; ``chain.py`` turns steps into layers. A new operator that means the
same as an old one (another activation that is a clamp, say) needs no other change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..floatnet import PoolKind
from ..importers.graph import Node

__all__ = [
    "AffineStep",
    "ClipStep",
    "ConvStep",
    "DenseStep",
    "EndStep",
    "PoolStep",
    "ReshapeStep",
    "Step",
    "TransposeStep",
]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ConvStep:
    """A convolution. weight: (O, kh, kw, I); bias: (O,); pads: top, left, bottom, right, zeros of the model."""

    node: Node
    weight: Array
    bias: Array
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class DenseStep:
    """``weight @ features + bias``. weight: (O, F) in the model's own order of features; output_shape: the tensor's."""

    node: Node
    weight: Array
    bias: Array
    output_shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class PoolStep:
    """A maximum (padding never wins) or an average (padding counts as zero) over each window."""

    node: Node
    kind: PoolKind
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class AffineStep:
    """``x * factor + offset`` element by element; both broadcast against the tensor as the model has it."""

    node: Node
    factor: Array
    offset: Array


@dataclass(frozen=True, eq=False)
class ClipStep:
    """``min(max(x, lo), hi)``."""

    node: Node
    lo: float
    hi: float


@dataclass(frozen=True, eq=False)
class ReshapeStep:
    """The same values in the same order under another shape."""

    node: Node
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class TransposeStep:
    """Axis ``i`` of the result is axis ``axes[i]`` of the tensor."""

    node: Node
    axes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class EndStep:
    """An operator that may be left away at the end of the network, because the largest logit stays the largest."""

    node: Node


Step = ConvStep | DenseStep | PoolStep | AffineStep | ClipStep | ReshapeStep | TransposeStep | EndStep
