"""How an input lies: its raw data has the model's axes, and the first layer that reads it says which are which."""

from __future__ import annotations

import numpy as np

from ..floatnet import Layout, Shape
from .value import Base, IndexArray
from .view import border, movements, order_of, to_map

__all__ = ["decide", "decide_anyhow", "reading"]


def reading(index: IndexArray) -> tuple[Shape, Layout] | None:
    """The shape and layout of raw data that ``index`` (H, W, C) reads as a map in natural order."""
    shape = (index.shape[0], index.shape[1], index.shape[2])
    for layout, flat in ((Layout.CHANNEL_FIRST, index.transpose(2, 0, 1)), (Layout.CHANNEL_LAST, index)):
        if (flat.reshape(-1) == np.arange(index.size)).all():
            return shape, layout
    return None


def decide(base: Base, index: IndexArray) -> None:
    """Decides how an input lies, by the first layer that reads it: ``index`` (H, W, C) into the raw data."""
    size = int(np.prod(base.declared))
    inside = border(index)[1]
    found = reading(inside) if inside.size == size else None
    if found is not None:
        shape, layout = found
        # Where both would do (one channel, say), the model's own shape says what its data looks like.
        if base.declared[1:] == shape and (inside.reshape(-1) == np.arange(size)).all():
            layout = Layout.CHANNEL_LAST
        _fix(base, shape, layout)
        return
    remaps: dict[tuple[Shape, Layout], int] = {}
    for layout in Layout:
        image = to_map(np.empty(base.declared, np.bool_), layout)
        if image is not None:
            shape = (image.shape[0], image.shape[1], image.shape[2])
            order = order_of(shape) if layout is Layout.CHANNEL_FIRST else None
            trial = Base(base.name, shape, base.declared, order, layout)
            parts = movements(trial.places(index), shape)
            if parts is not None:
                remaps[shape, layout] = len(parts)
    if remaps:
        _fix(base, *min(remaps, key=remaps.__getitem__))
        return
    decide_anyhow(base)


def decide_anyhow(base: Base) -> None:
    """An input that no map operator reads: (1, C, H, W), (1, H, W) or a vector (1, F)."""
    shape = base.declared
    if len(shape) == 4:
        _fix(base, (shape[2], shape[3], shape[1]), Layout.CHANNEL_FIRST)
    elif len(shape) == 3:
        _fix(base, (shape[1], shape[2], 1), Layout.CHANNEL_FIRST)
    else:
        _fix(base, (1, 1, int(np.prod(shape))), Layout.CHANNEL_FIRST)


def _fix(base: Base, shape: Shape, layout: Layout) -> None:
    base.shape, base.layout = shape, layout
    base.order = order_of(shape) if layout is Layout.CHANNEL_FIRST and shape[2] > 1 and shape[:2] != (1, 1) else None
