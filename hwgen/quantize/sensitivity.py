"""How much the loss of a network changes when a layer's weights, or a tensor, are rounded: gradients as a metric.

Rounding with a step d moves every weight by at most d/2. To first order the loss then rises by at most
``d/2 * sum |g|``, and some choice of signs reaches that (Alizadeh et al., *Gradient L1 regularization for quantization
robustness*, ICLR 2020, who train with it as a penalty). The levels of a power-of-two code are apart in proportion to
their size, so that an error is at most a share of the weight, a third where rounding is to the nearest: there the
bound is ``share * sum |w| |g|``, our own extension.

First order alone is blind near a minimum. Where an error dw is known, ``1/2 * sum E[g**2] * dw**2`` is what it costs to
second order, with the Fisher information's diagonal for the Hessian's; for that the loss must be one of *drawn* labels
or targets, see :mod:`hwgen.gradient.loss`.

All of them are in units of the loss, of a frame on average: they compare, and add up, over layers and tensors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..floatnet import FloatConv, FloatNetwork
from ..gradient import Loss, gradients, gradients_by_batch
from .frames import checked_frames

__all__ = ["POWER_OF_TWO", "TensorSensitivity", "WeightSensitivity", "tensor_sensitivity", "weight_sensitivity"]

Real = npt.NDArray[np.float64]

POWER_OF_TWO = 1 / 3
"""The largest relative error of rounding to the nearest power of two: 1.5 becomes 1 or 2."""


@dataclass(frozen=True, eq=False)
class WeightSensitivity:
    """What the loss of a frame, on average, owes to the weights of one convolution, all (O, kh, kw, I / G) float64.

    weight: as it is; gradient: of the mean loss; squares: the mean of the squared gradient of a frame's loss.
    """

    weight: Real
    gradient: Real
    squares: Real

    def uniform(self, step: npt.ArrayLike) -> float:
        """The loss that rounding with ``step``, one number or one per output channel (O,), costs at most: first order.

        ``sum(step / 2 * |g|)``.
        """
        per_channel = np.abs(self.gradient).sum(axis=(1, 2, 3))
        return float((np.asarray(step) / 2 * per_channel).sum())

    def relative(self, share: float = POWER_OF_TWO) -> float:
        """The loss that moving every weight by ``share`` of itself costs at most: first order.

        ``share * sum |w g|``.
        """
        return share * float(np.abs(self.weight * self.gradient).sum())

    def second_order(self, error: npt.ArrayLike) -> float:
        """``sum(E[g**2] * error**2) / 2``; error: quantized minus float weights, of their shape."""
        difference = np.asarray(error, np.float64)
        if difference.shape != self.weight.shape:
            raise ValueError(f"error must have the shape {self.weight.shape} of the weights, not {difference.shape}")
        return float((self.squares * np.square(difference)).sum()) / 2


@dataclass(frozen=True)
class TensorSensitivity:
    """What the loss of a frame, on average, owes to the values of one tensor.

    absolute: the mean of ``sum |g|`` over the values of a frame; squares: that of ``sum g**2``.
    """

    absolute: float
    squares: float

    def uniform(self, step: float) -> float:
        """The mean change of a frame's loss that rounding with ``step`` causes at most: first order.

        ``step / 2 * sum |g|``. step: the unit of the tensor's format of so many bits, as
        :func:`~hwgen.quantize.activations.calibrate` gives it. Clipping is not in it.
        """
        return step / 2 * self.absolute

    def second_order(self, squared_error: float) -> float:
        """``sum(E[g**2]) * squared_error / 2`` for independent errors of that mean square.

        squared_error: ``step**2 / 12`` of rounding with ``step``, or measured, with what clipping does.
        """
        return squared_error * self.squares / 2


def weight_sensitivity(
    network: FloatNetwork, x: npt.ArrayLike | Mapping[str, npt.ArrayLike], loss: Loss
) -> dict[str, WeightSensitivity]:
    """The sensitivity of every convolution's weights, by name, in layer order.

    x: raw calibration data (N, H, W, C), or such arrays by input. :class:`~hwgen.errors.HwgenError` if it is no such
    thing. Time: about three times that of running the network.
    """
    frames = checked_frames(network, x)
    made = gradients(network, frames, loss, squares=True)
    total = len(made.losses)
    return {
        layer.name: WeightSensitivity(
            layer.weight.astype(np.float64),
            made.weights[layer.name].astype(np.float64) / total,
            made.weight_squares[layer.name].astype(np.float64) / total,
        )
        for layer in network.layers
        if isinstance(layer, FloatConv)
    }


def tensor_sensitivity(
    network: FloatNetwork,
    x: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    loss: Loss,
    names: Iterable[str] | None = None,
) -> dict[str, TensorSensitivity]:
    """The sensitivity of the tensors called ``names``, by default those of all layers, by name.

    x, errors and time as of :func:`weight_sensitivity`. Gradients are summed up batch by batch: memory does not grow
    with the frames. ``KeyError`` for an unknown tensor.
    """
    frames = checked_frames(network, x)
    wanted = [layer.name for layer in network.layers] if names is None else list(names)
    absolute, squares, total = dict.fromkeys(wanted, 0.0), dict.fromkeys(wanted, 0.0), 0
    for made in gradients_by_batch(network, frames, loss, tensors=wanted):
        total += len(made.losses)
        for name, gradient in made.tensors.items():
            absolute[name] += float(np.abs(gradient).sum(dtype=np.float64))
            squares[name] += float(np.square(gradient).sum(dtype=np.float64))
    return {name: TensorSensitivity(absolute[name] / total, squares[name] / total) for name in absolute}
