"""What a network puts out on data, and how good that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from ..evaluate import decibels
from ..floatnet import FloatNetwork
from ..quantize.frames import Frames, count, every_output, frames_per_batch, part
from .groups import Groups

__all__ = ["Accuracy", "Judge", "float_outputs"]

Outputs = npt.NDArray[np.floating[Any]]


class Accuracy(TypedDict):
    """accuracy: by class, 0..1, None without labels; coarse_accuracy: by group of classes, None without groups."""

    accuracy: float | None
    coarse_accuracy: float | None


@dataclass(frozen=True, eq=False)
class Judge:
    """Judges outputs by those of the float model and by labels, where there are any.

    expected: (N, ...), the float model's; labels: (N,), the index of the right value; groups: of classes.
    """

    expected: Outputs
    labels: npt.NDArray[np.int64] | None
    groups: Groups | None

    def accuracy(self, outputs: Outputs) -> Accuracy:
        """How often the largest of ``outputs`` (N, ...) is that of the label, or of its group."""
        if self.labels is None:
            return {"accuracy": None, "coarse_accuracy": None}
        predicted = outputs.reshape(len(outputs), -1).argmax(axis=1)
        coarse = None if self.groups is None else self.groups.accuracy(predicted, self.labels)
        return {"accuracy": float((predicted == self.labels).mean()), "coarse_accuracy": coarse}

    def sqnr_db(self, outputs: Outputs) -> float | None:
        """``10 log10(sum(float**2) / sum((float - output)**2))``, see :func:`hwgen.evaluate.evaluate`."""
        finite = np.isfinite(self.expected)
        signal = np.where(finite, self.expected, 0).astype(np.float64)
        noise = np.where(finite, signal - outputs, 0)
        return decibels(float(np.vdot(signal, signal)), float(np.vdot(noise, noise)))


def float_outputs(model: FloatNetwork, data: Frames) -> Outputs:
    """The first output of ``model`` (N, H, W, C) on raw ``data``, in batches."""
    batch = frames_per_batch(model)
    parts = []
    for start in range(0, count(data), batch):
        frames = part(data, slice(start, start + batch))
        parts.append({**frames, **every_output(model, frames)}[model.outputs[0]])
    return np.concatenate(parts)
