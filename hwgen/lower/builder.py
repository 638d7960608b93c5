"""Builds the network's layers, and makes a value into a tensor where a layer needs one.

Operators ask for a value as a map: :meth:`Builder.source` decides how an input lies, turns a pending function that is
not affine into a table and says where in the base the map is; :meth:`Builder.arranged` brings it into natural order by
a Remap where it is not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from ..errors import HwgenError
from ..floatnet import FloatConcat, FloatLayer, FloatPool, FloatRemap, FloatTable, Layout, Shape
from ..importers.graph import Node
from .channels import moved_channels, per_channel
from .function import IDENTITY, Array, Function, spread
from .layout import decide, decide_anyhow, reading
from .value import Base, IndexArray, Value
from .view import IntArray, from_map, movements, natural, to_map

__all__ = ["Builder", "Source"]

L = TypeVar("L", bound=FloatLayer)


@dataclass(frozen=True, eq=False)
class Source:
    """A value that a layer is about to read as a map: ``base[index] * factor + offset``, ``fill`` where index is -1.

    index: (H, W, C) into the base's channel-last elements; factor, offset: one per channel of the base.
    fill: broadcasts against ``index``.
    """

    value: Value
    base: Base
    index: IndexArray
    factor: Array
    offset: Array
    fill: Array

    @property
    def shape(self) -> Shape:
        assert self.base.shape is not None
        return self.base.shape

    @property
    def natural(self) -> bool:
        return natural(self.index, self.shape)

    @property
    def plain(self) -> bool:
        """Whether no scaling is pending."""
        return bool((self.factor == 1).all() and (self.offset == 0).all())


class Builder:
    """The layers so far, by name, in an order in which they can run."""

    def __init__(self) -> None:
        self.layers: dict[str, FloatLayer] = {}
        self.folded: list[Node] = []
        self._sole: set[str] = set()
        self._names: set[str] = set()
        self._made: dict[tuple[object, ...], tuple[Base, object]] = {}

    # Layers

    def name(self, wish: str, operator: str, suffix: str = "") -> str:
        """A short name, new in the network, in letters that every tool takes."""
        name = re.sub(r"[^A-Za-z0-9]+", "_", wish).strip("_")
        if not name or not name[0].isalpha() or len(name) > 32:
            name = f"{operator.lower()}{len(self.layers) + 1}"
        name = base = name + suffix
        number = 2
        while name.lower() in self._names:
            name, number = f"{base}_{number}", number + 1
        self._names.add(name.lower())
        return name

    def layer_name(self, node: Node, suffix: str = "") -> str:
        """The name of the layer that ``node`` becomes."""
        return self.name(node.name or node.outputs[0], node.operator, suffix)

    def append(self, layer: FloatLayer, sources: tuple[Value, ...] = ()) -> Base:
        """``layer`` at the end; ``sources`` are the values that it reads straight from their bases."""
        self.layers[layer.name] = layer
        if sources and all(source.exclusive for source in sources):
            self._sole.add(layer.name)
        return Base(layer.name, layer.output_shape)

    def output(self, base: Base, shape: tuple[int, ...], layout: Layout, node: Node) -> Value:
        """The value of a layer that ``node`` became: a tensor of ``shape`` in the model."""
        return Value(base, from_map(shape, layout), node=node)

    def owned(self, value: Value) -> FloatLayer | None:
        """The layer of the value's base if nothing else depends on it, so that it may be changed."""
        if not value.exclusive or value.base is None:
            return None
        return self.layers.get(value.base.name)

    def before(self, pool: FloatPool) -> FloatLayer | None:
        """The layer whose result nothing but ``pool`` reads."""
        return self.layers.get(pool.source) if pool.name in self._sole else None

    def remove(self, name: str) -> None:
        """Takes out a layer that nothing reads."""
        del self.layers[name]

    # Values as maps

    def source(self, node: Node, value: Value, layout: Layout) -> Source:
        """``value``, in the model laid out by ``layout``, as a map that ``node`` is about to read."""
        index = self.index(value, layout)
        if index is None:
            raise HwgenError(f"{node}: its input has shape {value.shape}, but only maps and vectors are supported")
        value = self.affine(node, value)
        assert value.base is not None
        assert value.base.shape is not None
        fill = to_map(value.fills, layout) if value.fill.size > 1 else value.fill.reshape(())
        assert fill is not None
        assert value.function.affine is not None
        gain, offset = (
            np.broadcast_to(per_channel(node, value, constant, neutral), value.base.shape[2:])
            for constant, neutral in zip(value.function.affine, (1.0, 0.0), strict=True)
        )
        return Source(value, value.base, index, gain, offset, fill)

    def index(self, value: Value, layout: Layout) -> IndexArray | None:
        """Where each value of the map lies in its base; decides how an input lies if nothing has read it yet."""
        index = to_map(value.view, layout)
        if index is None or value.base is None:
            return None
        if value.base.shape is None:
            decide(value.base, index)
        return value.base.places(index)

    def settle(self, base: Base) -> Shape:
        """The base's shape; an input that nothing has read yet lies as the model's shape says."""
        if base.shape is None:
            decide_anyhow(base)
        assert base.shape is not None
        return base.shape

    def places(self, value: Value) -> IndexArray:
        """Where each entry of the view lies in the channel-last base, whose layout is decided."""
        assert value.base is not None
        return value.base.places(value.view)

    def per_element(self, base: Base, constant: Array) -> Array:
        """A constant of a pending function as one value per channel-last element of ``base``."""
        assert base.shape is not None
        ordered = np.array(np.broadcast_to(constant, (int(np.prod(base.shape)),)))
        if base.order is not None and constant.size > 1:
            ordered[base.order] = constant
        return ordered

    def fits(self, value: Value, layout: Layout) -> bool:
        """Whether ``value`` laid out by ``layout`` is its base in natural order; decides nothing."""
        index = to_map(value.view, layout)
        if index is None or value.base is None:
            return False
        if value.base.shape is None:
            return reading(index) is not None
        return natural(value.base.places(index), value.base.shape)

    def preferred(self, values: tuple[Value, ...]) -> Layout:
        """The layout in which most of ``values`` need no Remap, or at least one that streams; else channel-first."""

        def ease(value: Value, layout: Layout) -> int:
            if self.fits(value, layout):
                return 2
            if value.base is None or value.base.shape is None:
                return 0
            index = self.index(value, layout)
            return int(index is not None and movements(index, value.base.shape) is not None)

        first, last = (sum(ease(value, layout) for value in values) for layout in Layout)
        return Layout.CHANNEL_LAST if last > first else Layout.CHANNEL_FIRST

    def affine(self, node: Node, value: Value) -> Value:
        """``value`` with a pending function that is affine: any other becomes a table."""
        return value if value.function.affine is not None else self.tabled(node, value)

    def tabled(self, node: Node, value: Value) -> Value:
        """``value`` with nothing pending: its function becomes a table."""
        base = value.base
        if base is None or value.function.identity:
            return value
        if base.shape is None:
            self.index(value, self.preferred((value,)))
        shape = self.settle(base)
        key = (base, value.function)
        if key not in self._made:
            neutral = value.function.with_constants(lambda constant: per_channel(node, value, constant, 1.0))
            name = self._after(value, "table")
            table = self.append(FloatTable(name, base.name, shape, neutral.tree))
            self._made[key] = (table, value.function)
        return replace(value, base=self._made[key][0], view=base.places(value.view), function=IDENTITY, exclusive=False)

    def arranged(self, node: Node, source: Source) -> Source:
        """``source`` in natural order, by a Remap where it is not, or several and a Concat."""
        if source.natural:
            return source
        parts = movements(source.index, source.shape)
        if parts is None:
            raise HwgenError(
                f"{node}: its input is a map with its values in another order, which needs a memory for the whole map;"
                " remove the Reshape, Transpose or reflecting Pad before it"
            )
        if len(parts) > 1:
            return self._joined(node, source, [channels for channels, _ in parts])
        ((_, movement),) = parts
        moved = moved_channels(source.index, source.factor, source.offset, source.fill)
        if moved is None:
            if source.plain:
                raise HwgenError(f"{node}: the constants padded around its input differ; pad with one value")
            return self.arranged(node, self.unscaled(node, source))
        raw, gain, offset = moved
        key = (source.base, source.index.shape, source.index.tobytes(), raw)
        if key not in self._made:
            name = self._after(source.value, "remap")
            layer = FloatRemap(
                name,
                source.base.name,
                source.shape,
                movement.rows,
                movement.row_offset,
                movement.columns,
                movement.channels,
                raw,
            )
            self._made[key] = (self.append(layer), None)
        return self._rearranged(source.value, self._made[key][0], gain, offset)

    def _joined(self, node: Node, source: Source, parts: list[IntArray]) -> Source:
        """``source`` in natural order out of ``parts``, channels that a Remap each can make."""
        if not (source.factor > 0).all():
            source = self.unscaled(node, source)  # only a scaling that keeps the order may stay behind a Concat
        fills = np.broadcast_to(source.fill, source.index.shape)
        pieces = [
            self.arranged(node, replace(source, index=source.index[..., part], fill=fills[..., part])) for part in parts
        ]
        key = ("concat", *(piece.base for piece in pieces))
        if key not in self._made:
            name = self._after(source.value, "concat")
            names, shapes = tuple(piece.base.name for piece in pieces), tuple(piece.shape for piece in pieces)
            self._made[key] = (self.append(FloatConcat(name, names, shapes)), None)
        gain, offset = (np.concatenate(each) for each in zip(*((p.factor, p.offset) for p in pieces), strict=True))
        joined = self._rearranged(source.value, self._made[key][0], gain, offset)
        order = np.argsort(np.concatenate(parts))
        return self.arranged(node, replace(joined, index=joined.index[..., order]))

    def _rearranged(self, value: Value, base: Base, gain: Array, offset: Array) -> Source:
        """What was ``value`` as the tensor ``base`` in natural order, ``gain`` and ``offset`` (C,) still pending."""
        assert base.shape is not None
        index = np.arange(int(np.prod(base.shape)), dtype=np.int32).reshape(base.shape)
        function = Function.of_affine(spread(gain, index[..., 0].size), spread(offset, index[..., 0].size))
        value = replace(value, base=base, view=index, function=function, exclusive=False)
        return Source(value, base, index, gain, offset, np.zeros(()))

    def unscaled(self, node: Node, source: Source) -> Source:
        """``source`` with nothing pending: its scaling becomes a table."""
        if source.plain:
            return source
        value = self.tabled(node, source.value)
        assert value.base is not None
        ones = np.ones_like(source.factor)
        return replace(source, value=value, base=value.base, factor=ones, offset=np.zeros_like(ones))

    def map(self, node: Node, value: Value, layout: Layout) -> Source:
        """``value`` as a map in natural order, a scaling per channel still pending."""
        return self.arranged(node, self.source(node, value, layout))

    def rebased(self, node: Node, value: Value) -> Value:
        """``value`` as a tensor of its own, in an order in which every element of it is one of the tensor."""
        layout = self.preferred((value,))
        source = self.unscaled(node, self.map(node, value, layout))
        return Value(source.base, from_map(value.shape, layout), exclusive=False, node=value.node)

    def _after(self, value: Value, kind: str) -> str:
        assert value.base is not None
        if value.node is None:
            return self.name(value.base.name, kind, f"_{kind}")
        made_it = self.layers.get(value.base.name)
        return self.layer_name(value.node, f"_{kind}" if made_it is not None else "")
