"""Losses: one number per frame from a network's outputs, and its gradient.

Both are negative log likelihoods: of a class that the outputs are the logits of, and of a normal distribution of unit
variance around the outputs. With labels or targets *drawn* from that very distribution the mean squared gradient is
the diagonal of the Fisher information (Kunstner, Hennig and Balles 2019), the curvature of the expected loss; it needs
no label of the data.

What a network puts out beyond every number, as a logarithm does at 0, says nothing: it counts as a very unlikely class,
or as right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["CrossEntropy", "Loss", "SquaredDistance", "drawn_labels", "drawn_targets"]

Array = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.integer]

BEYOND = 1e30
"""The logit that stands for infinity: its differences are numbers even in float32."""

Loss = Callable[[Mapping[str, Array], slice], tuple[Array, dict[str, Array]]]
"""The loss (N,) of each frame and the gradient (N, H, W, C) of every output that it depends on, from the outputs of
the network by name and which of all frames they are."""


@dataclass(frozen=True, eq=False)
class CrossEntropy:
    """``-log softmax(output)[label]`` over the channels, summed over the pixels.

    labels: class numbers of all frames, (N,) for outputs of one pixel or (N, H, W), for the only output, or such
    arrays by output name (other outputs do not count). None takes the output's own ``argmax`` for the label, in every
    output. Calls raise ``ValueError`` for labels of another shape or outside the channels, and for an output of one
    channel, which has no other class.
    """

    labels: IntArray | Mapping[str, IntArray] | None = None

    def __call__(self, outputs: Mapping[str, Array], frames: slice) -> tuple[Array, dict[str, Array]]:
        given: Mapping[str, Any] = dict.fromkeys(outputs) if self.labels is None else _by_name(outputs, self.labels)
        losses, gradients = _no_loss(outputs), {}
        for name, labels in given.items():
            logits = np.nan_to_num(outputs[name], nan=-BEYOND, posinf=BEYOND, neginf=-BEYOND)
            if logits.shape[3] < 2:
                raise ValueError(f"cross-entropy needs an output of at least 2 channels, {name} has 1")
            if labels is None:
                chosen = logits.argmax(axis=3)
            else:
                chosen = np.asarray(labels)[frames]
                if chosen.size != logits[..., 0].size or chosen.min() < 0 or chosen.max() >= logits.shape[3]:
                    raise ValueError(f"labels of {name} must be one number of 0..{logits.shape[3] - 1} per pixel")
            place = chosen.reshape(logits.shape[:3])[..., None]
            logits = logits - logits.max(axis=3, keepdims=True)
            powers = np.exp(logits)
            sums = powers.sum(axis=3, keepdims=True)
            losses += (np.log(sums) - np.take_along_axis(logits, place, axis=3)).sum(axis=(1, 2, 3))
            gradient = powers / sums
            np.put_along_axis(gradient, place, np.take_along_axis(gradient, place, axis=3) - 1, axis=3)
            gradients[name] = gradient
        return losses, gradients


@dataclass(frozen=True, eq=False)
class SquaredDistance:
    """``sum((output - target)**2) / 2``.

    targets: (N, H, W, C) of all frames for the only output, or such arrays by output name (others do not count).
    Calls raise ``ValueError`` for targets of another shape.
    """

    targets: Array | Mapping[str, Array]

    def __call__(self, outputs: Mapping[str, Array], frames: slice) -> tuple[Array, dict[str, Array]]:
        losses, gradients = _no_loss(outputs), {}
        for name, targets in _by_name(outputs, self.targets).items():
            wanted = np.asarray(targets)[frames]
            if wanted.shape != outputs[name].shape:
                raise ValueError(f"targets of {name} must be {outputs[name].shape}, not {wanted.shape}")
            finite = np.isfinite(outputs[name]) & np.isfinite(wanted)
            wanted = wanted.astype(outputs[name].dtype)
            difference = np.subtract(outputs[name], wanted, where=finite, out=np.zeros_like(outputs[name]))
            losses += np.square(difference).sum(axis=(1, 2, 3)) / 2
            gradients[name] = difference
        return losses, gradients


def drawn_labels(logits: Array, seed: int = 0) -> npt.NDArray[np.int64]:
    """A label (N, H, W) for every pixel of ``logits`` (N, H, W, C), drawn with the probabilities of their softmax."""
    noise = np.random.default_rng(seed).gumbel(size=logits.shape)  # the largest of such sums is distributed so
    return (logits + noise).argmax(axis=3)


def drawn_targets(outputs: Array, seed: int = 0) -> npt.NDArray[np.float64]:
    """``outputs`` (N, H, W, C) plus normal noise of unit variance."""
    return outputs + np.random.default_rng(seed).normal(size=outputs.shape)


def _by_name(outputs: Mapping[str, Array], given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        if len(outputs) > 1:
            raise ValueError(f"the loss must be given an array for some of the outputs {', '.join(outputs)}")
        return dict.fromkeys(outputs, given)
    if not given or given.keys() - outputs.keys():
        raise ValueError(f"the loss must be given for outputs of {', '.join(outputs)}, not for {', '.join(given)}")
    return given


def _no_loss(outputs: Mapping[str, Array]) -> Array:
    some = next(iter(outputs.values()))
    return np.zeros(len(some), some.dtype)
