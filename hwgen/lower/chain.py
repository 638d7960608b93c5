"""Builds the chain of layers step by step and folds everything that is not a layer into its neighbours.

Two pieces of state do the work. The *view* is an index array of the shape that the model gives the current tensor; each
entry says where in the channel-last tensor that value lies, so Flatten, Reshape and Transpose are NumPy's own, and a
dense layer's weights are permuted by it. The *pending* affine is what the model has already multiplied and added but no
layer does yet: it goes backward into a linear layer where nothing but pooling lies between, else forward into the next.
Every fold is exact in real arithmetic.
"""

from __future__ import annotations

import re
from dataclasses import replace
from math import inf

import numpy as np

from ..errors import HwgenError
from ..floatnet import FloatConv, FloatLayer, FloatPool, PoolKind, Shape, window_shape
from ..importers.graph import Node
from .pending import Pending
from .steps import AffineStep, ClipStep, ConvStep, DenseStep, EndStep, PoolStep, ReshapeStep, Step, TransposeStep

__all__ = ["Chain"]

NO_CLIP = (-inf, inf)


class Chain:
    """The layers so far. ``input_shape``: the model's, batch axis included; ``pending``: the input normalisation."""

    def __init__(self, input_shape: tuple[int, ...], pending: Pending | None) -> None:
        self.layers: list[FloatLayer] = []
        self.input_shape: Shape | None = None  # known once the first layer says how it reads the input
        self.dropped: list[Node] = []
        self.folded: list[Node] = []
        self._declared = input_shape
        self._shape: Shape | None = None
        self._view = np.arange(int(np.prod(input_shape))).reshape(input_shape)
        self._pending = pending
        self._names: set[str] = set()

    def add(self, step: Step) -> None:
        """Appends one step. Raises :class:`HwgenError`, one sentence that names the node, where it cannot be folded."""
        if self.dropped and not isinstance(step, ReshapeStep | TransposeStep | EndStep):
            raise HwgenError(f"{self.dropped[0]}: supported only at the end of the model, but {step.node} follows")
        match step:
            case ConvStep():
                self._conv(step)
            case DenseStep():
                self._dense(step)
            case PoolStep():
                self._pool(step)
            case AffineStep():
                self._affine(step)
            case ClipStep():
                self._clip(step)
            case EndStep():
                self.dropped.append(step.node)
            case ReshapeStep():
                if not self.dropped:  # an ArgMax has no values to rearrange
                    self._view = self._view.reshape(step.shape)
            case TransposeStep():
                if not self.dropped:
                    self._view = self._view.transpose(step.axes)

    def finish(self, last: Node) -> None:
        """Checks that nothing is left to fold and that the output comes in the model's order."""
        if not self.layers or self._shape is None:
            raise HwgenError("the model has no convolution, dense or pooling layer; there is nothing to build")
        if self._pending is not None:
            raise HwgenError(
                f"{self.folded[-1] if self.folded else last}: this scaling has no layer to be folded into;"
                " move it before the activation or leave it away"
            )
        flat = self._view.reshape(-1)
        map_order = _channel_first(self._shape)
        if not np.array_equal(flat, np.arange(flat.size)) and not np.array_equal(self._view, map_order[None]):
            raise HwgenError(
                f"{last}: the output is a rearranged map; end the model with the map itself or a dense layer"
            )

    # Layers

    def _conv(self, step: ConvStep) -> None:
        shape = self._map(step.node)
        weight, bias, pad_value = step.weight, step.bias, np.zeros(shape[2])
        if self._pending is not None:
            factor, offset = self._per_channel(step.node, self._pending, shape[2])
            bias = bias + np.einsum("oyxi,i->o", weight, offset)
            weight = weight * factor
            if any(step.pads):
                if ((factor == 0) & (offset != 0)).any():
                    raise HwgenError(
                        f"{step.node}: its padding has no value before a scaling by 0; leave those channels away"
                    )
                # The model pads with its zero; the layer sees raw values, where that zero is -offset / factor.
                pad_value = -offset / np.where(factor == 0, 1, factor)
        self._append(
            FloatConv(self._name(step.node), weight, bias, shape, pad_value, stride=step.stride, pads=step.pads)
        )

    def _dense(self, step: DenseStep) -> None:
        if self._shape is None:
            self._fix(_image(self._declared))
        assert self._shape is not None
        weight = np.empty_like(step.weight)
        weight[:, self._view.reshape(-1)] = step.weight
        bias = step.bias
        if self._pending is not None:
            bias = bias + weight @ self._pending.offset
            weight = weight * self._pending.factor
        layer = FloatConv(
            self._name(step.node), weight.reshape(-1, *self._shape), bias, self._shape, np.zeros(self._shape[2])
        )
        self._append(layer)
        self._view = self._view.reshape(step.output_shape)

    def _pool(self, step: PoolStep) -> None:
        shape = self._map(step.node)
        pending = None
        if self._pending is not None:
            factor, offset = self._per_channel(step.node, self._pending, shape[2])
            if not _passes(step.kind, step.pads, factor, offset):
                raise HwgenError(
                    f"{step.node}: the scaling before it cannot be moved behind it (a negative factor before a maximum,"
                    " or an offset before a padded average); move it behind the pooling"
                )
            height, width, _ = window_shape(shape, step.kernel, step.stride, step.pads, shape[2])
            pending = Pending(np.tile(factor, height * width), np.tile(offset, height * width))
        self._append(
            FloatPool(self._name(step.node), step.kind, step.kernel, shape, stride=step.stride, pads=step.pads)
        )
        self._pending = pending

    def _append(self, layer: FloatLayer) -> None:
        self.layers.append(layer)
        self._pending = None
        self._shape = layer.output_shape
        self._view = _channel_first(self._shape)[None]

    # What becomes part of a layer

    def _affine(self, step: AffineStep) -> None:
        order = self._view.reshape(-1)
        factor, offset = np.empty(order.size), np.empty(order.size)
        factor[order] = np.broadcast_to(step.factor, self._view.shape).reshape(-1)
        offset[order] = np.broadcast_to(step.offset, self._view.shape).reshape(-1)
        self._pending = Pending(factor, offset) if self._pending is None else self._pending.then(factor, offset)
        self.folded.append(step.node)
        self._fold_back()

    def _fold_back(self) -> None:
        """Moves the pending affine into the last convolution if it is linear and only pooling lies between."""
        if self._pending is None or self._shape is None:
            return
        channels = self._pending.per_channel(self._shape[2])
        if channels is None:
            return
        factor, offset = channels
        for index in reversed(range(len(self.layers))):
            layer = self.layers[index]
            if layer.clip != NO_CLIP:
                return
            if isinstance(layer, FloatConv):
                weight, bias = layer.weight * factor[:, None, None, None], layer.bias * factor + offset
                self.layers[index] = replace(layer, weight=weight, bias=bias)
                self._pending = None
                return
            if not _passes(layer.kind, layer.pads, factor, offset):
                return

    def _clip(self, step: ClipStep) -> None:
        lo, hi = step.lo, step.hi
        if self._pending is not None:
            lo, hi = self._bounds_before(step, self._pending)
        for index in reversed(range(len(self.layers))):
            layer = self.layers[index]
            # A clamp is monotone, so it may be done before a maximum instead of behind it.
            if isinstance(layer, FloatConv) or layer.kind is PoolKind.AVERAGE:
                clip = (min(max(layer.clip[0], lo), hi), min(max(layer.clip[1], lo), hi))
                self.layers[index] = replace(layer, clip=clip)
                return
        raise HwgenError(f"{step.node}: an activation needs a convolution, dense or average layer before it")

    def _bounds_before(self, step: ClipStep, pending: Pending) -> tuple[float, float]:
        """The bounds in terms of the layer's own output, before the pending affine; they must be alike everywhere."""
        if (pending.factor != 0).all():
            first = (step.lo - pending.offset) / pending.factor
            second = (step.hi - pending.offset) / pending.factor
            lo, hi = np.minimum(first, second), np.maximum(first, second)
            if (lo == lo[0]).all() and (hi == hi[0]).all():
                return float(lo[0]), float(hi[0])
        cause = self.folded[-1] if self.folded else "the input normalisation"
        raise HwgenError(
            f"{step.node}: {cause} before it scales the channels differently after another activation; remove one"
        )

    # Layout

    def _map(self, node: Node) -> Shape:
        """Height, width and channels of the current tensor, which must be a map (1, C, H, W) in its natural order."""
        _, channels, height, width = self._view.shape
        shape = (height, width, channels)
        if self._shape is None:
            if not np.array_equal(self._view.reshape(-1), np.arange(self._view.size)):
                raise HwgenError(
                    f"{node}: the model's input is channel-last or rearranged; export the model channel-first"
                )
            self._fix(shape)
        elif self._shape != shape or not np.array_equal(self._view[0], _channel_first(shape)):
            raise HwgenError(
                f"{node}: its input is a map that was reshaped or transposed, which needs a memory for the whole map;"
                " remove the Reshape or Transpose before it"
            )
        return shape

    def _fix(self, shape: Shape) -> None:
        """Decides that the raw input, channel-first until now, enters as a channel-last map of ``shape``."""
        order = _channel_first(shape).reshape(-1)
        self._view = order[self._view]
        self._pending = None if self._pending is None else self._pending.reordered(order)
        self._shape = self.input_shape = shape

    def _per_channel(self, node: Node, pending: Pending, channels: int) -> tuple[np.ndarray, np.ndarray]:
        values = pending.per_channel(channels)
        if values is None:
            cause = self.folded[-1] if self.folded else "the input normalisation"
            raise HwgenError(f"{node}: {cause} before it is not the same for every pixel; use one value per channel")
        return values

    def _name(self, node: Node) -> str:
        """A short name for the layer: the node's, or its output's, in letters that every tool takes."""
        name = re.sub(r"[^A-Za-z0-9]+", "_", node.name or node.outputs[0]).strip("_")
        if not name or not name[0].isalpha() or len(name) > 32:
            name = f"{node.operator.lower()}{len(self.layers) + 1}"
        base, number = name, 2
        while name.lower() in self._names:
            name, number = f"{base}_{number}", number + 1
        self._names.add(name.lower())
        return name


def _passes(kind: PoolKind, pads: tuple[int, int, int, int], factor: np.ndarray, offset: np.ndarray) -> bool:
    """Whether pooling and an affine may change places: padding of a maximum never wins, that of an average is zero."""
    if kind is PoolKind.MAX:
        return bool((factor >= 0).all())
    return not any(pads) or not offset.any()


def _image(shape: tuple[int, ...]) -> Shape:
    """How a model's input that no map operator reads is laid out: (1, C, H, W), (1, H, W) or a vector (1, F)."""
    if len(shape) == 4:
        return shape[2], shape[3], shape[1]
    return (shape[1], shape[2], 1) if len(shape) == 3 else (1, 1, shape[1])


def _channel_first(shape: Shape) -> np.ndarray:
    """Index array (C, H, W): where each value lies in the channel-last tensor of ``shape``."""
    return np.arange(shape[0] * shape[1] * shape[2]).reshape(shape).transpose(2, 0, 1)
