"""What a layer costs in LUTs, by the code of its weights: for mixed precision under a budget of LUTs.

At a given rate the planner folds each layer as far as that rate allows, whatever the others do. So the layers of one
plan per code, each of the network plainly quantized to that code alone, are the costs of all mixtures. They are off by
the few bits that an accumulator's width depends on the weights themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from .boards import Board
from .codes import Codebook
from .errors import HwgenError
from .floatnet import FloatConv, FloatNetwork
from .network import Network
from .plan import plan
from .quantize import quantize
from .quantize.coded import OWN
from .quantize.precision import CodeBudget, Costs, Priced

__all__ = ["lut_costs", "within_luts"]

SAMPLES = 32
"""Calibration samples for networks that are only planned: widths come from weights and intervals."""

TRIES = 4
"""How often a budget is lowered by what the plan of the result was over it."""


def within_luts(
    quantized: Callable[[CodeBudget], Network],
    codes: Sequence[str],
    max_luts: int,
    board: Board,
    target_fps: float,
    act_bits: int = 8,
) -> Network:
    """What ``quantized`` makes of a budget with which its plan stays within ``max_luts``.

    Raises :class:`HwgenError` as :func:`lut_costs` does, for too small a budget, and when a few attempts were over it.
    """
    price, aim = lut_costs(board, target_fps, act_bits), max_luts
    prices: list[Priced] = []

    def costs(network: FloatNetwork, frames: dict[str, Any], books: Sequence[Codebook]) -> Priced:
        if not prices:  # every attempt asks for those of the same network, which are plans of it in every code
            prices.append(price(network, frames, books))
        return prices[0]

    for _ in range(TRIES):
        network = quantized(CodeBudget(codes, aim, costs))
        over = ceil(plan(network, board, target_fps=target_fps).cost.lut) - max_luts
        if over <= 0:
            return network
        aim -= over
    raise HwgenError(f"the network still needs {max_luts + over} LUTs, more than {max_luts}; allow some more")


def lut_costs(board: Board, target_fps: float, act_bits: int = 8) -> Costs:
    """Prices codes by the LUTs of the layers' engines on ``board`` at ``target_fps``.

    The result raises :class:`HwgenError` where no network of one code reaches the rate on the board.
    """

    def costs(network: FloatNetwork, frames: dict[str, Any], books: Sequence[Codebook]) -> Priced:
        few = {name: data[:SAMPLES] for name, data in frames.items()}
        convs = [layer for layer in network.layers if isinstance(layer, FloatConv)]
        open_ = {layer.name for layer in convs if layer.coded is None}
        code = OWN if len(open_) < len(convs) else books[0]
        luts: dict[tuple[str, Codebook], float] = {}
        rest = 0.0
        for book in books:
            quantized = quantize(
                network, few, code=code, act_bits=act_bits, method="plain", layer_codes=dict.fromkeys(open_, book)
            )
            planned = plan(quantized, board, target_fps=target_fps)
            luts |= {(layer.name, book): layer.cost.lut for layer in planned.layers if layer.name in open_}
            rest = max(rest, planned.cost.lut - sum(luts[name, book] for name in open_))
        return Priced(lambda layer, book: luts[layer.name, book], "LUTs", rest)

    return costs
