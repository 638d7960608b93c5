"""Figures of coded weights, beside the float weights that they stand for. No data, no labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from ..evaluate import decibels
from ..floatnet import FloatConv
from ..network import Conv
from ..storage import layer_storage

__all__ = ["LayerWeights", "TotalWeights", "layer_weights", "total_weights"]


class LayerWeights(TypedDict):
    """The weights of one layer.

    lowest, highest: of the float weights; lowest_level, highest_level: of the levels in use; distinct: how many levels
    are in use; zero_share: of the weights that became 0, 0..1; bits: as in :mod:`hwgen.storage`.
    weight_sqnr_db: ``10 log10(sum(w**2) / sum((w - q)**2))`` with ``q = weight_scale * level``, None where there is no
    noise or no signal.
    """

    name: str
    code: str
    weights: int
    lowest: float
    highest: float
    lowest_level: int
    highest_level: int
    zero_share: float
    distinct: int
    weight_sqnr_db: float | None
    storage_bits: int
    ham_bits: int
    sham_bits: int
    entropy_bits: float
    best_bits: int


class TotalWeights(TypedDict):
    """All weights of a network: sums of the layers' bits, shares of all weights.

    distinct: the most of any layer. weight_sqnr_db: of the mean over all weights of their layer's noise-to-signal
    ratio, which does not change when a factor moves from one layer to the next.
    """

    weights: int
    zero_share: float
    distinct: int
    weight_sqnr_db: float | None
    storage_bits: int
    ham_bits: int
    sham_bits: int
    entropy_bits: float
    best_bits: int


def layer_weights(model: FloatConv, layer: Conv) -> LayerWeights:
    """The figures of ``layer``, whose weights were made from those of ``model``, of the same shape."""
    levels = layer.codebook.decode(layer.codes)
    storage = layer_storage(layer)
    signal, noise = _power(model, layer)
    return {
        "name": layer.name,
        "code": layer.codebook.name,
        "weights": levels.size,
        "lowest": float(model.weight.min()),
        "highest": float(model.weight.max()),
        "lowest_level": int(levels.min()),
        "highest_level": int(levels.max()),
        "zero_share": 1 - storage.nonzero_share,
        "distinct": len(np.unique(levels)),
        "weight_sqnr_db": decibels(signal, noise),
        "storage_bits": storage.storage_bits,
        "ham_bits": storage.ham_bits,
        "sham_bits": storage.sham_bits,
        "entropy_bits": storage.entropy_bits,
        "best_bits": storage.bits[storage.best],
    }


def total_weights(pairs: Sequence[tuple[FloatConv, Conv]], rows: Sequence[LayerWeights]) -> TotalWeights:
    """The figures of all layers together; ``rows`` are those of each of ``pairs``. Shares of no weights are 0."""
    count = sum(row["weights"] for row in rows)
    ratios = []
    for (model, layer), row in zip(pairs, rows, strict=True):
        signal, noise = _power(model, layer)
        if signal > 0:
            ratios.append((row["weights"], noise / signal))
    weighted = sum(weights for weights, _ in ratios)
    return {
        "weights": count,
        "zero_share": sum(row["zero_share"] * row["weights"] for row in rows) / max(count, 1),
        "distinct": max((row["distinct"] for row in rows), default=0),
        "weight_sqnr_db": decibels(weighted, sum(weights * ratio for weights, ratio in ratios)),
        "storage_bits": sum(row["storage_bits"] for row in rows),
        "ham_bits": sum(row["ham_bits"] for row in rows),
        "sham_bits": sum(row["sham_bits"] for row in rows),
        "entropy_bits": sum(row["entropy_bits"] for row in rows),
        "best_bits": sum(row["best_bits"] for row in rows),
    }


def _power(model: FloatConv, layer: Conv) -> tuple[float, float]:
    """Sums of squares: of the float weights, and of their differences to what the codes stand for."""
    real = layer.weight_scale[:, None, None, None] * layer.codebook.decode(layer.codes)
    difference = model.weight - real
    return float(np.vdot(model.weight, model.weight)), float(np.vdot(difference, difference))
