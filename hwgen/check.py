"""Is a model supported, what is in it, and which boards would it fit? Answers before any data or synthesis."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .codes import codebook
from .errors import HwgenError
from .floatnet import FloatConv, FloatNetwork, Normalization
from .importers import FloatGraph, Node
from .tools import Progress

if TYPE_CHECKING:
    from .boards import Board

__all__ = ["check_model"]

CODE = "e2m1"
"""The code that sizes are judged by, the default of ``quantize``."""

FRAMES = 4
"""Random frames that stand for calibration data: enough for every width, which is all that a plan needs."""


def check_model(path: Path, normalization: Normalization, progress: Progress) -> dict[str, Any]:
    """See :func:`hwgen.api.check`, which returns this with the model's path and the seconds."""
    from .importers import load_model
    from .lower import analyse, summary

    graph = load_model(path)
    found = analyse(graph, normalization)
    network = found if isinstance(found, FloatNetwork) else None
    refused = () if isinstance(found, FloatNetwork) else found
    layers = [_row(graph, node, refused) for node in graph.nodes]
    return {
        "supported": network is not None,
        "reason": None if network is not None else summary(refused),
        "input_shape": list(graph.shapes[graph.inputs[0]][1:]),
        "inputs": [{"name": name, "shape": list(graph.shapes[name][1:])} for name in graph.inputs],
        "macs": sum(layer["macs"] for layer in layers),
        "parameters": sum(layer["parameters"] for layer in layers),
        "layers": layers,
        "boards": _boards(network, progress) if network is not None else [],
        "notes": list(network.notes) if network is not None else [],
    }


def _row(graph: FloatGraph, node: Node, refused: Sequence[str]) -> dict[str, Any]:
    """One node; the sentences in ``refused`` begin with the node that they are about."""
    reason = next((sentence for sentence in refused if sentence.startswith(f"{node}: ")), None)
    shape = graph.shapes.get(node.outputs[0])
    return {
        "name": node.name or node.outputs[0],
        "operator": node.operator,
        "shape": None if shape is None else list(shape[1:]),
        "macs": _macs(graph, node),
        "parameters": _parameters(graph, node),
        "supported": reason is None,
        "reason": None if reason is None else reason.removeprefix(f"{node}: "),
    }


def _parameters(graph: FloatGraph, node: Node) -> int:
    """Trained numbers of a node: not shapes and axes, which are integers, and not the statistics of a normalisation."""
    names = node.inputs[:3] if node.operator == "BatchNormalization" else node.inputs
    constants = [graph.constants[name] for name in names if name in graph.constants]
    return sum(constant.size for constant in constants if constant.dtype.kind == "f")


def _macs(graph: FloatGraph, node: Node) -> int:
    """Multiply-accumulates of a node for one frame: each output value costs one per weight that it sees."""
    shape = graph.shapes.get(node.outputs[0])
    weight = graph.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
    if shape is None or weight is None or weight.ndim < 2:
        return 0
    if node.operator == "Conv":
        return prod(shape) * weight[0].size
    if node.operator == "ConvTranspose":
        source = graph.shapes.get(node.inputs[0])
        return 0 if source is None else prod(source) * weight[0].size
    if node.operator in ("Gemm", "MatMul"):
        rows = weight.shape[1] if node.attributes.get("transB") else weight.shape[-2]
        return prod(shape) * rows
    return 0


def _boards(network: FloatNetwork, progress: Progress) -> list[dict[str, Any]]:
    """One row per board, from the plan of the network quantized on random frames."""
    from . import boards
    from .plan import check_sizes
    from .plan import plan as make_plan
    from .quantize import quantize

    rows = {name: _too_many_weights(network, boards.board(name)) for name in boards.names()}
    if None not in rows.values():
        return [_board(name, None, reason) for name, reason in rows.items()]
    progress("quantizing on random frames")
    rng = np.random.default_rng(0)
    frames = {entry.name: rng.integers(0, 256, (FRAMES, *entry.shape), np.uint8) for entry in network.inputs}
    try:
        check_sizes({tensor.name: tensor.output_shape for tensor in (*network.inputs, *network.layers)})
        quantized = quantize(network, frames, code=CODE)
    except HwgenError as error:
        return [_board(name, None, reason or str(error)) for name, reason in rows.items()]
    found = []
    for name, reason in rows.items():
        progress(f"planning for {name}")
        plan = None
        if reason is None:
            try:
                plan = make_plan(quantized, boards.board(name)).as_dict()
            except HwgenError as error:
                reason = str(error)
        found.append(_board(name, plan, reason))
    return found


def _too_many_weights(network: FloatNetwork, board: Board) -> str | None:
    """Why no plan can fit: the weights alone exceed every memory bit of the board. Quantizing so many takes minutes."""
    needed = codebook(CODE).bits * sum(layer.weight.size for layer in network.layers if isinstance(layer, FloatConv))
    bits = board.bram * board.bram_bits + board.lut * 16
    if needed <= bits:
        return None
    return f"its weights need {needed // 1000:,} kbit, and all block RAMs and LUTs hold {bits // 1000:,} kbit"


def _board(name: str, plan: dict[str, Any] | None, reason: str | None) -> dict[str, Any]:
    figures = plan or {}
    return {
        "board": name,
        "fits": plan is not None,
        "reason": reason,
        "lut": figures.get("lut"),
        "bram": figures.get("bram"),
        "frames_per_second": figures.get("frames_per_second"),
    }
