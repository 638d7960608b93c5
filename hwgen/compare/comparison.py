"""Through the schemes, one after the other: quantize, look at the weights, run, plan."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..boards import Board
from ..errors import HwgenError
from ..evaluate import evaluate
from ..floatnet import FloatConv, FloatNetwork
from ..network import Conv, Rewriting
from ..quantize import quantize
from ..quantize.frames import Frames, checked_frames, values_of
from ..quantize.prepare import prepared_again
from ..tools import Progress
from .groups import Groups
from .luts import Planner
from .outputs import Judge, float_outputs
from .schemes import Scheme, labels
from .sensitivity import gradient_l1
from .weights import layer_weights, total_weights

__all__ = ["compare"]

FIGURES = (
    "weights", "zero_share", "distinct", "weight_sqnr_db", "storage_bits", "ham_bits", "sham_bits", "entropy_bits",
    "best_bits", "output_sqnr_db", "accuracy", "coarse_accuracy", "fits", "reason", "lut", "bram", "frames_per_second",
)  # fmt: skip
"""Of a scheme; all of them are None where it cannot be used."""


def compare(
    model: FloatNetwork,
    calibration: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    schemes: Sequence[Scheme],
    *,
    board: Board,
    data: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None,
    y: npt.NDArray[np.int64] | None = None,
    groups: Groups | None = None,
    target_fps: float | None = None,
    clock_mhz: float | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Quantize ``model`` by each of ``schemes`` and put their figures side by side.

    calibration, data: raw values (N, H, W, C), or a dict of such by name for several inputs; data, by which the outputs
    are judged, is the calibration's by default; y: its labels (N,). Labels are for the accuracies and nothing else. Of
    several outputs the first counts. target_fps, clock_mhz: see :class:`Planner`.

    Returns ``samples, float_accuracy, float_coarse_accuracy, board, clock_mhz, target_fps, schemes``, the last a list
    of ``name, code, method, act_bits, failed, seconds``, everything in :class:`TotalWeights`, ``output_sqnr_db``, what
    is in :class:`Accuracy` and in :class:`Hardware`, ``notes`` and ``layers``. A layer has what is in
    :class:`LayerWeights`, ``output_sqnr_db``, in which the noise of the layers before is included, and ``gradient_l1``,
    see :func:`~.sensitivity.gradient_l1`. A scheme that this network cannot be quantized by has the reason in
    ``failed`` and no figures; :class:`HwgenError` when that holds for all of them, and for data that cannot be used.
    """
    say = progress or (lambda line: None)
    planner = Planner(board, target_fps, clock_mhz)
    calibrated = checked_frames(model, calibration)
    frames = calibrated if data is None else checked_frames(model, data)
    say("running the float model")
    judge = Judge(float_outputs(model, frames), y, groups)
    rows: list[dict[str, Any]] = []
    # Of the model as it is, and as methods rewrite it.
    sensitivities: dict[Rewriting | None, dict[str, float | None]] = {}
    names = labels(schemes)
    for index, (scheme, name) in enumerate(zip(schemes, names, strict=True)):
        started = time.monotonic()
        row: dict[str, Any] = {"name": name, **asdict(scheme), "failed": None}
        tell = partial(_tell, say, f"scheme {index + 1} of {len(schemes)}, {name}")
        try:
            row |= _figures(model, calibrated, frames, scheme, judge, planner, sensitivities, tell)
        except HwgenError as error:
            row |= {"failed": str(error), **dict.fromkeys(FIGURES), "notes": [], "layers": []}
        rows.append({**row, "seconds": round(time.monotonic() - started, 3)})
    if all(row["failed"] for row in rows):
        raise HwgenError(rows[0]["failed"])
    reference = judge.accuracy(judge.expected)
    return {
        "samples": len(judge.expected),
        **{f"float_{key}": value for key, value in reference.items()},
        "board": board.name,
        "clock_mhz": planner.clock_mhz,
        "target_fps": planner.target_fps,
        "schemes": rows,
    }


def _tell(say: Progress, where: str, line: str) -> None:
    say(f"{where}: {line}")


def _figures(
    model: FloatNetwork,
    calibration: Frames,
    data: Frames,
    scheme: Scheme,
    judge: Judge,
    planner: Planner,
    sensitivities: dict[Rewriting | None, dict[str, float | None]],
    say: Progress,
) -> dict[str, Any]:
    def report(done: int, total: int, text: str) -> None:
        say(f"{text}, {100 * done // max(total, 1)} %")

    network = quantize(
        model,
        values_of(calibration),
        code=scheme.code,
        method=scheme.method,
        act_bits=scheme.act_bits,
        progress=report,
    )
    outputs: list[npt.NDArray[np.integer[Any]]] = []
    first = network.outputs[0]
    found = evaluate(model, network, values_of(data), None, report, lambda batch: outputs.append(batch[first]))
    actual = network.tensor(first).scale * np.concatenate(outputs)
    say("planning")
    # What the codes stand for are the weights of the model as its method rewrote it, if it does.
    rewritten = prepared_again(model, {tensor.name: tensor for tensor in network.inputs}, network.rewriting)
    floats = {layer.name: layer for layer in rewritten.layers}
    layers = [layer for layer in network.layers if isinstance(layer, Conv)]
    pairs = [(real, layer) for layer in layers if isinstance(real := floats[layer.name], FloatConv)]
    rows = [layer_weights(*pair) for pair in pairs]
    if network.rewriting not in sensitivities:
        say("measuring what each layer's weights matter")
        sensitivities[network.rewriting] = gradient_l1(rewritten, calibration)
    matters = sensitivities[network.rewriting]
    noise = {row["name"]: row["sqnr_db"] for row in found["layers"]}
    return {
        **total_weights(pairs, rows),
        "output_sqnr_db": judge.sqnr_db(actual),
        **judge.accuracy(actual),
        **planner.hardware(network),
        "notes": list(network.notes),
        "layers": [{**row, "output_sqnr_db": noise[row["name"]], "gradient_l1": matters[row["name"]]} for row in rows],
    }
