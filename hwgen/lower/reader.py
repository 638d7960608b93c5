"""Reads one node: its attributes, constants and shapes, with errors that name the node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ..errors import HwgenError
from ..importers.graph import FloatGraph, Node
from .value import Value

__all__ = ["Reader"]


class Reader:
    """What an operator file needs to know of ``node``; ``values``: its inputs that are not constants, by name.

    Every method raises :class:`HwgenError`, one sentence that names the node, for what cannot be built.
    """

    def __init__(self, graph: FloatGraph, node: Node, values: Mapping[str, Value]) -> None:
        self.graph = graph
        self.node = node
        self._values = values

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
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the first output, batch axis included."""
        return self._shape(self.node.outputs[0])

    def value(self, index: int) -> Value:
        """Input ``index``, data or constant."""
        name = self.node.inputs[index] if index < len(self.node.inputs) else ""
        if name in self._values:
            return self._values[name]
        if not self.has(index):
            raise self.error("an input is missing; export the model again")
        return Value.of_constant(self.constant(index, "operand"))

    def image(self, index: int = 0) -> tuple[Value, tuple[int, ...]]:
        """Input ``index``, a map (1, C, H, W) or a sequence (1, C, L), and its size behind the channels."""
        value = self.value(index)
        if len(value.shape) not in (3, 4):
            raise self.error(
                f"its input has shape {value.shape}, but only maps (N, C, H, W) and (N, C, L) are supported"
            )
        if value.shape[0] != 1:
            raise self.error(
                f"its input has shape {value.shape}, a batch of {value.shape[0]}; keep the batch axis first"
            )
        return value, value.shape[2:]

    def axis(self, default: int, rank: int, name: str = "axis") -> int:
        """The attribute ``name``, an axis of a tensor of ``rank``, counted from 0."""
        axis = self.integer(name, default)
        if not -rank <= axis < rank:
            raise self.error(f"{name}={axis} is not an axis of its input; export the model again")
        return axis % rank

    def integer(self, name: str, default: int) -> int:
        """The integer attribute ``name``."""
        value = self.node.attributes.get(name, default)
        if not isinstance(value, int):  # ONNX's checker does not know the operators of other domains
            raise self.error(f"attribute {name} must be a whole number, not {_plain(value)}; export the model again")
        return value

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

    def levels(self, index: int) -> npt.NDArray[np.int64] | None:
        """The integers that input ``index`` is a multiple of, where the model holds it quantized; of its shape."""
        return self.graph.levels.get(self.node.inputs[index])

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
