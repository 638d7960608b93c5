"""What a layer costs in LUTs, by the code of its weights: for mixed precision under a budget of LUTs.

At a given rate the planner folds each layer as far as that rate allows, whatever the others do. So the layers of one
plan per code, each of a network that is plainly quantized to that code alone, are the costs of all mixtures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .boards import Board
from .codes import Codebook, codebook
from .errors import HwgenError
from .floatnet import FloatConv, FloatNetwork
from .network import Conv
from .plan import plan
from .quantize import quantize
from .quantize.precision import CodeBudget
from .tools import WorkDone

__all__ = ["lut_budget"]

SAMPLES = 32
"""Calibration samples for networks that are only planned: widths come from weights and intervals."""


def lut_budget(
    network: FloatNetwork,
    x: Any,
    codes: Sequence[str],
    max_luts: int,
    *,
    board: Board,
    target_fps: float,
    act_bits: int = 8,
    progress: WorkDone | None = None,
) -> CodeBudget:
    """Codes to choose from, with the LUTs that each takes in each layer at ``target_fps``, within ``max_luts`` in all.

    x: calibration data as of :func:`~hwgen.quantize.quantize`. Raises :class:`HwgenError` where no network of one code
    reaches the rate on the board, and when everything but the weights' engines is over the budget already.
    """
    few = {name: data[:SAMPLES] for name, data in x.items()} if isinstance(x, dict) else x[:SAMPLES]
    luts: dict[tuple[str, str], float] = {}
    rest = 0.0
    for index, name in enumerate(codes):
        if progress is not None:
            progress(index, len(codes), f"planning with {name}")
        quantized = quantize(network, few, code=name, act_bits=act_bits, method="plain")
        planned = plan(quantized, board, target_fps=target_fps)
        convs = {layer.name for layer in quantized.layers if isinstance(layer, Conv)}
        luts |= {(layer.name, codebook(name).name): layer.cost.lut for layer in planned.layers if layer.name in convs}
        rest = max(rest, planned.cost.lut - sum(layer.cost.lut for layer in planned.layers if layer.name in convs))
    if max_luts <= rest:
        raise HwgenError(f"a budget of {max_luts} LUTs is too small: {rest:.0f} are needed beside the convolutions")

    def cost(layer: FloatConv, book: Codebook) -> float:
        return luts[layer.name, book.name]

    return CodeBudget(tuple(codes), max_luts - rest, cost)
