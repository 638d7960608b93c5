"""Reads one node: its attributes, constants and shapes, with errors that name the node."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import HwgenError
from ..importers.graph import FloatGraph, Node

__all__ = ["Reader"]


class Reader:
    """What an operator file needs to know of ``node``, whose only input that is not constant is ``data``.

    Every method raises :class:`HwgenError`, one sentence that names the node, for what cannot be built.
    """

    def __init__(self, graph: FloatGraph, node: Node, data: str) -> None:
        self.graph = graph
        self.node = node
        self.data = data

    def error(self, reason: str) -> HwgenError:
        """The error for this node because of ``reason``, to be raised by the caller."""
        return HwgenError(f"{self.node}: {reason}")

    def _shape(self, name: str) -> tuple[int, ...]:
        shape = self.graph.shapes.get(name)
        if shape is None:
            raise self.error(f"the shape of {name!r} is not known; export the model with fixed shapes")
        if 0 in shape:
            raise self.error(f"{name!r} is empty, its shape is {shape}; use a larger input")
        return shape

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the data input, batch axis included."""
        return self._shape(self.data)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the first output, batch axis included."""
        return self._shape(self.node.outputs[0])

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the data input, which must be a two-dimensional map."""
        shape = self.input_shape
        if len(shape) != 4:
            raise self.error(f"its input has shape {shape}, but only maps (N, C, H, W) are supported")
        if shape[0] != 1:
            raise self.error(f"its input has shape {shape}, a batch of {shape[0]}; keep the batch axis first")
        return shape[1], shape[2], shape[3]

    def integer(self, name: str, default: int) -> int:
        """The integer attribute ``name``."""
        return int(self.node.attributes.get(name, default))

    def number(self, name: str, default: float) -> float:
        """The float attribute ``name``, which must be finite or infinite but a number."""
        value = float(self.node.attributes.get(name, default))
        if np.isnan(value):
            raise self.error(f"attribute {name} is not a number; export the model again")
        return value

    def text(self, name: str, default: str) -> str:
        """The text attribute ``name``."""
        return str(self.node.attributes.get(name, default))

    def integers(self, name: str, default: Sequence[int] | None, count: int) -> tuple[int, ...]:
        """The attribute ``name`` of ``count`` integers."""
        value = self.node.attributes.get(name, default)
        if value is None or len(value) != count:
            raise self.error(f"attribute {name} must be {count} integers, not {value}; export the model again")
        return tuple(int(v) for v in value)

    def only(self, name: str, value: object, allowed: object) -> None:
        """Refuses the attribute ``name`` unless its ``value`` is the one ``allowed``."""
        if value != allowed:
            raise self.error(f"{name}={_plain(value)} is not supported, only {name}={_plain(allowed)}")

    def is_constant(self, index: int) -> bool:
        """Whether input ``index`` is there and the same for every frame."""
        return index < len(self.node.inputs) and self.node.inputs[index] in self.graph.constants

    def has(self, index: int) -> bool:
        """Whether input ``index`` is there."""
        return index < len(self.node.inputs) and self.node.inputs[index] != ""

    def constant(self, index: int, what: str, *, finite: bool = True) -> npt.NDArray[np.float64]:
        """Input ``index``, called ``what`` in messages, which must be a constant of numbers."""
        if not self.is_constant(index):
            raise self.error(f"its {what} must be a constant of the model")
        array = self.graph.constants[self.node.inputs[index]]
        try:
            with np.errstate(invalid="ignore"):  # a NaN is refused below, in a sentence rather than a warning
                values = np.asarray(array).astype(np.float64)
        except (TypeError, ValueError) as error:
            raise self.error(f"its {what} must be numbers") from error
        if np.isnan(values).any() or (finite and not np.isfinite(values).all()):
            raise self.error(
                f"its {what} {self.node.inputs[index]!r} has NaN or infinite values; train or export again"
            )
        return values


def _plain(value: object) -> str:
    return "[" + ", ".join(map(str, value)) + "]" if isinstance(value, tuple) else str(value)
