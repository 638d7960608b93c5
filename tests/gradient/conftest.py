"""Gradients by central differences, in float64: what reverse mode is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from hwgen.floatnet import FloatConv, FloatInput, FloatLayer, FloatNetwork, Shape
from hwgen.gradient import Gradients, Loss, SquaredDistance, gradients
from hwgen.lower import evaluate_tensors

Real = npt.NDArray[np.float64]
Data = Mapping[str, Real]

STEP = 1e-6
TOLERANCE = 1e-5
"""Relative to the largest gradient of an array."""

PLACES = 30
"""Values of an array that are moved."""


def data_for(network: FloatNetwork, frames: int, seed: int = 0) -> dict[str, Real]:
    rng = np.random.default_rng(seed)
    return {source.name: rng.normal(0, 1, (frames, *source.shape)) for source in network.inputs}


def alone(layer: FloatLayer, *shapes: Shape) -> FloatNetwork:
    """A network of ``layer`` only; its sources, each of one of ``shapes``, are inputs."""
    inputs = tuple(FloatInput(name, shape) for name, shape in zip(dict.fromkeys(layer.sources), shapes, strict=True))
    return FloatNetwork("alone", inputs, (layer,), (layer.name,))


def far_targets(network: FloatNetwork, x: Data, seed: int = 1) -> SquaredDistance:
    """Targets at random places: every output value has a gradient of its own."""
    rng = np.random.default_rng(seed)
    outputs = evaluate_tensors(network, x, network.outputs)
    return SquaredDistance({name: value + rng.normal(0, 1, value.shape) for name, value in outputs.items()})


def loss_of(network: FloatNetwork, x: Data, loss: Loss) -> float:
    losses, _ = loss(evaluate_tensors(network, x, network.outputs), slice(None))
    return float(losses.sum())


def difference(function: Callable[[Real], float], values: Real, place: tuple[int, ...]) -> float:
    """The derivative of ``function`` of an array by one of its values, at ``values``."""
    moved = []
    for sign in (1, -1):
        changed = values.copy()
        changed[place] += sign * STEP
        moved.append(function(changed))
    return (moved[0] - moved[1]) / (2 * STEP)


def assert_is_derivative(
    gradient: Real,
    function: Callable[[Real], float],
    values: Real,
    label: str,
    where: npt.NDArray[np.bool_] | None = None,
) -> None:
    """``gradient`` is that of ``function`` of an array at ``values``, at some of its places (of those in ``where``)."""
    assert gradient.shape == values.shape, label
    scale = max(float(np.abs(gradient).max()), 1e-3)
    places = np.argwhere(np.ones(values.shape) if where is None else where)
    for place in map(tuple, np.random.default_rng(2).permutation(places)[:PLACES].tolist()):
        wanted = difference(function, values, place)
        assert gradient[place] == pytest.approx(wanted, abs=TOLERANCE * scale), (label, place)


def with_layer(network: FloatNetwork, layer: FloatLayer) -> FloatNetwork:
    """``network`` with ``layer`` in place of the one of its name."""
    return replace(network, layers=tuple(layer if old.name == layer.name else old for old in network.layers))


def assert_gradients(network: FloatNetwork, x: Data, loss: Loss) -> Gradients:
    """The gradients of all inputs, weights and biases are those of central differences. Returns them."""
    made = gradients(network, x, loss, tensors=[source.name for source in network.inputs], squares=True)
    assert made.losses.sum() == pytest.approx(loss_of(network, x, loss))
    for name, values in x.items():
        assert_is_derivative(
            made.tensors[name], lambda changed, name=name: loss_of(network, {**x, name: changed}, loss), values, name
        )
    for layer in network.layers:
        if isinstance(layer, FloatConv):

            def of_weight(changed: Real, layer: FloatConv = layer) -> float:
                return loss_of(with_layer(network, replace(layer, weight=changed)), x, loss)

            def of_bias(changed: Real, layer: FloatConv = layer) -> float:
                return loss_of(with_layer(network, replace(layer, bias=changed)), x, loss)

            assert_is_derivative(made.weights[layer.name], of_weight, layer.weight, f"{layer.name}: weight")
            assert_is_derivative(made.biases[layer.name], of_bias, layer.bias, f"{layer.name}: bias")
    return made
