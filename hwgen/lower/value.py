"""Values: what a tensor of the model is, in terms of the tensors that the network has.

A *base* is a tensor of the network, an input or a layer's output. A *value* is a base, seen through a *view*, with a
pending function: the view is an index array of the shape that the model gives the tensor, each entry of which says
where in the base that value lies, so that all data movement is NumPy's own indexing and costs nothing until a layer
needs a map in its natural order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ..floatnet import Fixed, Layout, Shape
from ..importers.graph import Node
from .function import IDENTITY, Array, Function

__all__ = ["Base", "IndexArray", "Value"]

IndexArray = npt.NDArray[np.int32]


@dataclass(eq=False)
class Base:
    """A tensor of the network.

    shape: channel-last; None while no layer has read it, which decides how an input lies. declared: an input's shape
    in the model, batch axis included. order: (elements,), where each element of the raw data lies in the channel-last
    tensor; None where it stays. fixed: the format that the model prescribes for an input.
    """

    name: str
    shape: Shape | None
    declared: tuple[int, ...] = ()
    order: IndexArray | None = None
    layout: Layout = Layout.CHANNEL_FIRST
    fixed: Fixed | None = None

    def places(self, index: IndexArray) -> IndexArray:
        """``index`` into the raw data as one into the channel-last tensor, -1 left as it is."""
        if self.order is None:
            return index
        places = self.order[index]
        places[index < 0] = -1
        return places


def _zero() -> Array:
    return np.zeros(())


@dataclass(frozen=True, eq=False)
class Value:
    """``function(base[view])``, and ``fill`` where the view is -1.

    base: None for a constant, whose view is -1 everywhere. fill: broadcasts against the view. exclusive: nothing else
    depends on the base, so its layer may be changed. node: what made it. ended: the operator at the end of the model
    (ArgMax, say) that this value stands for although it was left away.
    """

    base: Base | None
    view: IndexArray
    function: Function = IDENTITY
    fill: Array = field(default_factory=_zero)
    exclusive: bool = True
    node: Node | None = None
    ended: Node | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.view.shape

    @property
    def filled(self) -> bool:
        """Whether some of its values are constants."""
        return bool(self.view.size) and int(self.view.min()) < 0

    @property
    def fills(self) -> Array:
        """``fill`` in the view's shape."""
        return np.broadcast_to(self.fill, self.view.shape)

    @staticmethod
    def of_constant(values: npt.ArrayLike) -> Value:
        array = np.asarray(values, np.float64)
        return Value(None, np.full(array.shape, -1, np.int32), fill=array)

    def moved(self, move: Callable[[np.ndarray], np.ndarray]) -> Value:
        """Its values in another place; ``move`` is any indexing of NumPy."""
        fill = move(self.fills) if self.fill.size > 1 else self.fill.reshape(())
        return replace(self, view=move(self.view), fill=fill)
