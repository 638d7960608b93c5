"""The float graph: a trained model as it stands in its file, as plain frozen data.

No library object of the file format survives here, so ``hwgen.lower`` reads every format alike. The operators and
their attributes keep their ONNX meaning (https://onnx.ai/onnx/operators/), layouts are the model's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MAX_ELEMENTS", "FloatGraph", "Node"]

MAX_ELEMENTS = 1 << 24
"""Most elements of any one tensor: far above what fits an FPGA, far below what exhausts this computer's memory."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Node:
    """One operator.

    attributes: int, float, str, tuple of these, or an array. inputs: tensor names; ``""`` for an omitted one.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)

    def __str__(self) -> str:
        """How messages name the node: by its name, else by what it makes."""
        return f"node {self.name!r} ({self.operator})" if self.name else f"{self.operator} node of {self.outputs[0]!r}"


@dataclass(frozen=True, eq=False)
class FloatGraph:
    """A model for a batch of one.

    nodes: in an order in which they can run, only those that the outputs need, constants already evaluated.
    constants: weights by tensor name, read-only arrays. shapes: of every other tensor that is known, batch axis (1)
    included. opset: the ONNX operator-set version that the operators are to be read by. levels: for constants that the
    model holds quantized, by name, int64 of the constant's shape: the constant is a multiple of them, by a factor that
    may differ from channel to channel.
    """

    name: str
    opset: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, npt.NDArray[np.generic]]
    shapes: Mapping[str, tuple[int, ...]]
    levels: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=lambda: _EMPTY)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the only input as the model has it, batch axis (1) included. ``ValueError`` if there are several."""
        (only,) = self.inputs
        return self.shapes[only]
