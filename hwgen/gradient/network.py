"""The walk: forward through a float network, keeping every tensor of a batch of frames, and back through its layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np
import numpy.typing as npt

from ..floatnet import (
    FloatAdd,
    FloatConcat,
    FloatConv,
    FloatInput,
    FloatLayer,
    FloatNetwork,
    FloatPool,
    FloatRemap,
    FloatTable,
)
from ..lower.evaluate import Inputs, checked_inputs
from ..lower.kernels import compute, fixed, largest, prepared
from .add import add_gradient
from .clip import clip_gradient, fixed_gradient
from .concat import concat_gradient
from .conv import ConvGradient, conv_gradient
from .loss import Loss
from .pool import pool_gradient
from .remap import remap_gradient
from .table import table_gradient

__all__ = ["Gradients", "gradients", "gradients_by_batch"]

Array = npt.NDArray[np.floating]

BATCH_VALUES = 1 << 23
"""Numbers that a batch of frames keeps at a time, about: 32 or 64 MiB."""


@dataclass(frozen=True, eq=False)
class Gradients:
    """How the loss of some frames changes; all arrays have the floating type of the run.

    losses: (N,), one of each frame. weights, biases: of their sum, by the name of the convolution, in the shapes of the
    layer's (zeros where no output depends on it). weight_squares, bias_squares: in the same shapes, the sum over the
    frames of the squared gradient of each frame's loss; empty unless asked for. tensors: by name, those asked for,
    (N, H, W, C): the gradient of each frame's loss with respect to its own values, as the next layer reads them.
    """

    losses: Array
    weights: dict[str, Array] = field(default_factory=dict)
    biases: dict[str, Array] = field(default_factory=dict)
    weight_squares: dict[str, Array] = field(default_factory=dict)
    bias_squares: dict[str, Array] = field(default_factory=dict)
    tensors: dict[str, Array] = field(default_factory=dict)


def gradients(
    network: FloatNetwork, x: Inputs, loss: Loss, *, tensors: Iterable[str] = (), squares: bool = False
) -> Gradients:
    """Gradients of the sum of ``loss`` over all frames of ``x``, by reverse-mode differentiation.

    x: (N, H, W, C) of raw values for the only input, N >= 1, or such an array for every input, by name. Computes in
    float64 when ``x`` is float64, else in float32. tensors: names of inputs and layers whose gradients are wanted too.
    squares: whether ``weight_squares`` and ``bias_squares`` are. Prescribed formats (``fixed``) are differentiated
    straight through, see :mod:`~hwgen.gradient.clip`. Memory: a bounded batch, and the gradients of ``tensors``.
    Raises ``ValueError`` when ``x`` has another shape or no frames, and ``KeyError`` for an unknown tensor.
    """
    total: Gradients | None = None
    parts: list[Gradients] = []
    for made in gradients_by_batch(network, x, loss, tensors=tensors, squares=squares):
        parts.append(replace(made, weights={}, biases={}, weight_squares={}, bias_squares={}))
        if total is None:
            total = made
            continue
        for kind in ("weights", "biases", "weight_squares", "bias_squares"):
            for name, value in getattr(made, kind).items():
                getattr(total, kind)[name] += value
    assert total is not None
    return replace(
        total,
        losses=np.concatenate([made.losses for made in parts]),
        tensors={name: np.concatenate([made.tensors[name] for made in parts]) for name in total.tensors},
    )


def gradients_by_batch(
    network: FloatNetwork, x: Inputs, loss: Loss, *, tensors: Iterable[str] = (), squares: bool = False
) -> Iterator[Gradients]:
    """The gradients of one batch of frames after the other, in order: what :func:`gradients` adds up."""
    inputs = checked_inputs(network, x)
    count = len(next(iter(inputs.values())))
    if not count:
        raise ValueError("x must have at least one frame")
    wanted = tuple(dict.fromkeys(tensors))
    for name in wanted:
        network.shape(name)  # KeyError if there is no such tensor
    dtype = np.result_type(np.float32, *(np.float64 for array in inputs.values() if array.dtype == np.float64))
    run = _Run(network, wanted, squares, np.dtype(dtype))
    batch = _frames_per_batch(network)
    for start in range(0, count, batch):
        frames = slice(start, min(start + batch, count))
        yield run({name: array[frames].astype(dtype) for name, array in inputs.items()}, loss, frames)


def _frames_per_batch(network: FloatNetwork) -> int:
    """Every tensor is kept with its gradient; one layer at a time spreads out."""
    values = 2 * sum(prod(tensor.output_shape) for tensor in (*network.inputs, *network.layers))
    widest = max((largest(layer) for layer in network.layers), default=0)
    taps = max((layer.weight[:, 0, 0].size for layer in network.layers if isinstance(layer, FloatConv)), default=0)
    return max(1, BATCH_VALUES // (values + max(widest, taps)))


class _Run:
    """Gradients of batches. wanted: tensors whose gradients are."""

    def __init__(self, network: FloatNetwork, wanted: tuple[str, ...], squares: bool, dtype: np.dtype) -> None:
        self._network, self._wanted, self._squares = network, wanted, squares
        self._prepared = {layer.name: prepared(layer, dtype) for layer in network.layers}
        self._dtype = dtype
        # A gradient goes down to a tensor only if that, or something that it is made of, is asked for.
        self._needed = set(wanted)
        for layer in network.layers:
            if isinstance(layer, FloatConv) or not self._needed.isdisjoint(layer.sources):
                self._needed.add(layer.name)

    def __call__(self, inputs: dict[str, Array], loss: Loss, frames: slice) -> Gradients:
        values, exact = self._forward(inputs)
        losses, given = loss({name: values[name] for name in self._network.outputs}, frames)
        made = Gradients(losses)
        for layer in self._network.layers:  # in this order, and zero where nothing arrives
            if isinstance(layer, FloatConv):
                zeros = [np.zeros(part.shape, self._dtype) for part in 2 * (layer.weight, layer.bias)]
                self._keep(made, layer, ConvGradient(*zeros))
        arrived: dict[str, Array] = {}
        self._arrive(arrived, given)
        for layer in reversed(self._network.layers):
            gradient = arrived.get(layer.name)
            if layer.name not in self._wanted:
                arrived.pop(layer.name, None)
            if gradient is None:
                continue
            result = exact.get(layer.name, values[layer.name])
            if layer.fixed is not None:
                gradient = fixed_gradient(layer.fixed, result, gradient)
            self._arrive(arrived, self._backward(layer, values, result, gradient, made))
        for name in self._wanted:
            made.tensors[name] = arrived.get(name, np.zeros((len(losses), *self._network.shape(name)), self._dtype))
        return made

    def _forward(self, inputs: dict[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        """Every tensor, and of those with a prescribed format also what they were before it."""
        values: dict[str, Array] = {}
        exact: dict[str, Array] = {}
        for tensor in (*self._network.inputs, *self._network.layers):
            if isinstance(tensor, FloatInput):
                value = inputs[tensor.name]
            else:
                sources = [values[source] for source in tensor.sources]
                value = compute(replace(tensor, fixed=None), self._prepared[tensor.name], sources)
            if tensor.fixed is not None:
                exact[tensor.name] = value
                value = fixed(value, tensor.fixed)
            values[tensor.name] = value
        return values, exact

    def _arrive(self, arrived: dict[str, Array], given: dict[str, Array]) -> None:
        for name, gradient in given.items():
            if name in self._needed:
                arrived[name] = arrived[name] + gradient if name in arrived else gradient

    def _backward(
        self, layer: FloatLayer, values: dict[str, Array], result: Array, gradient: Array, made: Gradients
    ) -> dict[str, Array]:
        """What the sources of ``layer`` get, by name, where needed; a convolution's own gradients go into ``made``."""
        if not isinstance(layer, FloatTable | FloatRemap):
            gradient = clip_gradient(layer.clip, result, gradient)
        sources = [values[source] for source in layer.sources]
        match layer:
            case FloatConv():
                wanted = layer.source in self._needed
                own = conv_gradient(layer, sources[0], gradient, source=wanted, squares=self._squares)
                self._keep(made, layer, own)
                return {} if own.source is None else {layer.source: own.source}
            case _ if self._needed.isdisjoint(layer.sources):
                return {}
            case FloatPool():
                parts = [pool_gradient(layer, sources[0], result, gradient)]
            case FloatAdd():
                parts = add_gradient(layer, gradient)
            case FloatConcat():
                parts = concat_gradient(layer, gradient)
            case FloatTable():
                parts = [table_gradient(layer, sources[0], gradient)]
            case FloatRemap():
                parts = [remap_gradient(layer, gradient)]
        total: dict[str, Array] = {}
        for name, part in zip(layer.sources, parts, strict=True):
            total[name] = total[name] + part if name in total else part  # a layer may read one tensor twice
        return total

    def _keep(self, made: Gradients, layer: FloatConv, own: ConvGradient) -> None:
        made.weights[layer.name], made.biases[layer.name] = own.weight, own.bias
        if self._squares:
            assert own.weight_squares is not None
            assert own.bias_squares is not None
            made.weight_squares[layer.name], made.bias_squares[layer.name] = own.weight_squares, own.bias_squares
