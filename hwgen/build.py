"""All the steps in a row, in a folder that appears when they are done; see :mod:`hwgen.api`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from .errors import HwgenError
from .files import NETWORK, SIMULATION, SYNTHESIS, check_folder, existing_file, new_folder, write_json
from .steps import PathLike, Result, Values, check_clock, evaluate, generate, quantize, simulate, synth
from .tools import Progress

__all__ = ["build", "demo"]

RECORDS = {
    "quantize": "network.quantize.json",
    "eval": "network.eval.json",
    "generate": "generate.json",
    "simulate": SIMULATION,
    "synth": SYNTHESIS,
}
"""Where the folder keeps what each step returned."""

FRAMES = 16
"""Frames that a build simulates unless told otherwise."""


def build(
    model: PathLike,
    calibration: PathLike,
    output: PathLike,
    *,
    board: str,
    data: PathLike | None = None,
    code: str = "e2m1",
    act_bits: int = 8,
    method: str = "auto",
    scale: Values = 1.0,
    mean: Values = 0.0,
    std: Values = 1.0,
    target_fps: float | None = None,
    max_luts: int | None = None,
    clock_mhz: float | None = None,
    frames: int | None = None,
    simulator: str | None = None,
    stalls: int | None = None,
    seed: int = 1,
    progress: Progress | None = None,
) -> Result:
    """All the steps from ``model`` to a verified bitstream in the folder ``output``.

    data: inputs for accuracy and simulation, default those of ``calibration``; frames: how many of them to simulate,
    default 16; seed: of nextpnr's placer. Returns ``model, board, folder, quantize, eval, generate, simulate, synth``,
    each what the step itself returns, and ``seconds`` by step.

    ``output`` changes once, at the end, and never to something half-written:

    * After success it holds everything.
    * When the simulated frames differ, nothing is synthesized (``synth`` is None): it holds the core, ``build.json``
      and what there is to find the difference with, but no bitstream that could be taken for a verified one.
    * When the simulation or the synthesis fails, the error is raised after the core, the logs and the records of the
      finished steps were put there, without ``build.json`` and bitstream; ``synth`` with another seed can go on.
    * After any other error and after an interrupt it is as it was.
    """
    from . import boards
    from .sim.simulate import check_frames, choose_simulator
    from .synth.run import check_seed, find_tools

    # Everything that can be wrong with the arguments is found before the first slow step, missing tools as well.
    target = boards.board(board)
    check_clock(clock_mhz)
    folder = check_folder(output)
    samples = existing_file(data if data is not None else calibration, "data")
    choose_simulator(simulator)
    check_seed(seed)
    find_tools(target)
    steps: Result = {}
    failure: HwgenError | None = None
    with tempfile.TemporaryDirectory() as temporary, new_folder(folder) as staging:
        network = Path(temporary) / NETWORK
        steps["quantize"] = quantize(
            model,
            calibration,
            network,
            code=code,
            act_bits=act_bits,
            method=method,
            scale=scale,
            mean=mean,
            std=std,
            progress=progress,
        )
        steps["eval"] = evaluate(network, samples, progress=progress)
        available = steps["eval"]["samples"]
        count = min(FRAMES, available) if frames is None else frames
        check_frames(count, available)
        steps["generate"] = generate(
            network,
            staging,
            board=board,
            target_fps=target_fps,
            max_luts=max_luts,
            clock_mhz=clock_mhz,
            progress=progress,
        )
        try:
            simulated = steps["simulate"] = simulate(
                staging, samples, frames=count, simulator=simulator, stalls=stalls, progress=progress
            )
            if not simulated["mismatches"]:
                steps["synth"] = synth(staging, seed=seed, progress=progress)
        except HwgenError as error:
            failure = HwgenError(f"{_moved(str(error), staging, folder)} (the core is in {str(folder)!r})")
        # Temporary names mean nothing to the user; the files are now the ones in the folder.
        steps = _moved(_moved(steps, network.parent, folder), staging, folder)
        for step, result in steps.items():
            write_json(staging / RECORDS[step], result)
        seconds = {step: result["seconds"] for step, result in steps.items()}
        result = {"model": str(model), "board": board, "folder": str(folder), **dict.fromkeys(RECORDS), **steps}
        result["seconds"] = seconds
        if failure is None:
            write_json(staging / "build.json", result)
        # It was built under another name, by which its makefiles would look for it.
        shutil.rmtree(staging / "bench" / "build", ignore_errors=True)
    if failure is not None:
        raise failure
    return result


def _moved(value: Any, old: Path, new: Path) -> Any:
    """``value``, a JSON value, with the folder ``old`` called ``new`` in all its texts."""
    if isinstance(value, str):
        return value.replace(str(old), str(new))
    if isinstance(value, dict):
        return {name: _moved(item, old, new) for name, item in value.items()}
    return [_moved(item, old, new) for item in value] if isinstance(value, list) else value


def demo(output: PathLike = "hwgen-demo", *, progress: Progress | None = None) -> Result:
    """:func:`build` of the bundled digit classifier for an iCEBreaker, judged and simulated on all its test images."""
    from . import demo as bundled

    return build(
        bundled.model_path(),
        bundled.calibration_path(),
        output,
        board=bundled.BOARD,
        data=bundled.test_path(),
        scale=bundled.SCALE,
        max_luts=bundled.MAX_LUTS,
        frames=bundled.FRAMES,
        progress=progress,
    )
