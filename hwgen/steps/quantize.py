"""A model to a network file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import HwgenError
from ..figures import layer_rows
from ..files import check_writable, write_json
from ..network import Conv, Network
from ..tools import Progress
from .common import PathLike, Result, Values, fraction, normalization_of, result_of, silent, since

if TYPE_CHECKING:
    from ..quantize import CodeBudget

__all__ = ["CODES", "quantize"]

CODES = ("pot3", "e2m1", "e2m2")
"""The codes that layers get under a budget when no others are asked for: 3, 4 and 5 bits, each the best of its size."""


def quantize(
    model: PathLike,
    calibration: PathLike,
    output: PathLike,
    *,
    code: str = "e2m1",
    act_bits: int = 8,
    method: str = "auto",
    act_scale: str = "mse",
    codes: Sequence[str] | None = None,
    max_kib: float | None = None,
    max_luts: int | None = None,
    board: str | None = None,
    target_fps: float | None = None,
    mean_act_bits: float | None = None,
    scale: Values = 1.0,
    mean: Values = 0.0,
    std: Values = 1.0,
    progress: Progress | None = None,
) -> Result:
    """Quantize ``model``, calibrated on the ``x`` of ``calibration`` (.npz), and write the network file ``output``.

    code: of all weights; act_bits: of all activations; method: how weights are rounded, ``name:option=value`` with
    several joined by ``+`` (:mod:`hwgen.quantize.methods`); act_scale: "mse" or "kl".

    max_kib: KiB that the weights of all layers may take; each layer then gets one of ``codes`` (default :data:`CODES`)
    instead of ``code``, so that the outputs suffer least. max_luts: the same for the LUTs that the core is planned to
    need on ``board`` at ``target_fps`` frames per second. mean_act_bits: each activation gets 4, 6 or 8 bits, as many
    on average over multiply-accumulates.

    Returns ``network, name, identity, code, act_bits, method, samples, macs, parameters, layers[] (name, kind, shape,
    macs, weights, weight_bits, activation_bits, storage_bits, ham_bits, sham_bits, entropy_bits), storage (weights,
    storage_bits, ham_bits, sham_bits, entropy_bits, best_bits), notes, seconds``: bits of the weights as plain codes,
    Huffman-coded (HAM), sparse (sHAM), their entropy, and each layer in what is smallest (:mod:`hwgen.storage`).
    """
    from .. import boards, store
    from .. import quantize as quantizer
    from ..data import load_data
    from ..floatmodel import keep_model
    from ..importers import load_model
    from ..lower import lower
    from ..lut_budget import within_luts
    from ..storage import network_storage

    started = time.monotonic()
    _check_budget(codes, max_kib, max_luts, board, target_fps)
    choices = CODES if codes is None else tuple(codes)
    say = progress or silent
    model, output = Path(model), store.check_place(output)
    check_writable(output)
    float_network = lower(load_model(model), normalization_of(scale, mean, std))
    samples = load_data(calibration, float_network.inputs)
    x = samples.channel_last(float_network.inputs)

    def quantized(budget: CodeBudget | None) -> Network:
        return quantizer.quantize(
            float_network,
            x,
            code=code,
            act_bits=act_bits,
            method=method,
            act_scale=act_scale,
            codes=budget,
            mean_act_bits=mean_act_bits,
            progress=fraction(say),
        )

    if max_luts is not None and board is not None and target_fps is not None:
        network = within_luts(quantized, choices, max_luts, boards.board(board), target_fps, act_bits)
    else:
        network = quantized(None if max_kib is None else quantizer.CodeBudget(choices, max_kib))
    keep_model(network, model, output)
    store.save(network, output)
    result = result_of(
        network=output,
        name=network.name,
        identity=store.identity(network),
        code=code if max_kib is None and max_luts is None else ",".join(choices),
        act_bits=act_bits if mean_act_bits is None else mean_act_bits,
        method=method,
        samples=len(samples),
        macs=network.macs,
        parameters=sum(layer.codes.size for layer in network.layers if isinstance(layer, Conv)),
        layers=layer_rows(network),
        storage=network_storage(network).totals,
        notes=network.notes,
        seconds=since(started),
    )
    write_json(output.with_suffix(".quantize.json"), result)
    return result


def _check_budget(
    codes: Sequence[str] | None,
    max_kib: float | None,
    max_luts: int | None,
    board: str | None,
    target_fps: float | None,
) -> None:
    """Raise :class:`HwgenError` for options of a budget that do not belong together."""
    if codes is not None and max_kib is None and max_luts is None:
        raise HwgenError("several codes need a budget, --max-kib or --max-luts; for one code say --code")
    if max_kib is not None and max_luts is not None:
        raise HwgenError("a budget is either KiB of weights or LUTs; give only one of --max-kib and --max-luts")
    if max_luts is not None and (board is None or target_fps is None):
        raise HwgenError("a budget of LUTs needs the board and the frames per second: --board and --target-fps")
    if max_luts is None and (board is not None or target_fps is not None):
        raise HwgenError("--board and --target-fps belong to a budget of LUTs; give --max-luts as well")
