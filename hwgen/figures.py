"""Figures that the steps report and no single step owns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .files import read_json
from .network import Conv, Layer, Network, Pool
from .storage import layer_storage

__all__ = ["layer_rows", "sustained"]


def layer_rows(network: Network) -> list[dict[str, Any]]:
    """One row per layer: ``name, kind, shape, macs, weights, weight_bits, activation_bits`` and ``storage_bits,
    ham_bits, sham_bits, entropy_bits``, see :class:`hwgen.storage.LayerStorage`; no weights count as 0.
    """
    return [
        {
            "name": layer.name,
            "kind": _kind(layer),
            "shape": layer.output.shape,
            "macs": layer.macs if isinstance(layer, Conv) else 0,
            "weights": layer.codes.size if isinstance(layer, Conv) else 0,
            "weight_bits": layer.codebook.bits if isinstance(layer, Conv) else 0,
            "activation_bits": layer.output.interval.bits,
            **_stored(layer),
        }
        for layer in network.layers
    ]


def _stored(layer: Layer) -> dict[str, Any]:
    names = ("storage_bits", "ham_bits", "sham_bits", "entropy_bits")
    storage = layer_storage(layer) if isinstance(layer, Conv) else None
    return {name: getattr(storage, name, 0) for name in names}


def _kind(layer: Layer) -> str:
    match layer:
        case Conv(depthwise=True):
            return "depthwise conv"
        case Pool():
            return f"{layer.kind.value} pool"
    return type(layer).__name__.lower()


def sustained(folder: Path, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Replacements for the throughput in ``figures`` of a synthesis, from the simulation in ``folder`` if there is one.

    Planned cycles leave out the bubbles that a simulation shows. Rates are inversely proportional to the cycles of a
    frame. Returns ``cycles_measured`` and, when true, ``cycles_per_frame, inferences_per_second, gops, gops_per_klut``.
    """
    record = folder / "simulate.json"
    simulated = read_json(record, "simulation result").get("cycles_per_frame") if record.is_file() else None
    if not simulated:
        return {"cycles_measured": False}
    ratio = figures["cycles_per_frame"] / simulated
    rates = {name: figures[name] * ratio for name in ("inferences_per_second", "gops", "gops_per_klut")}
    return {"cycles_measured": True, "cycles_per_frame": simulated, **rates}
