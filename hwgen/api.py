"""The steps of hwgen as functions: files in, files and a plain dict out. The command line calls these and nothing else.

Every function takes paths, raises :class:`HwgenError` with one sentence for whatever a user can mend, leaves nothing
half-written, and returns the dict that it also writes as JSON beside its output: ``NET.quantize.json`` and
``NET.eval.json`` beside a network file, ``generate.json``, ``simulate.json``, ``synth.json``, ``build.json`` inside a
folder. ``scale, mean, std`` say how raw data becomes model input, ``(x * scale - mean) / std``, each one value or one
per channel. ``progress`` gets a short line now and then.

Import it as ``from hwgen import api``: ``hwgen.quantize`` and ``hwgen.synth`` are packages.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from math import inf, prod
from pathlib import Path
from typing import Any

from .errors import HwgenError
from .figures import layer_rows, sustained
from .files import MANIFEST, NETWORK, check_folder, existing_file, jsonable, new_folder, write_json
from .floatnet import Normalization
from .network import Conv
from .tools import Progress

__all__ = ["Progress", "build", "check", "demo", "evaluate", "generate", "quantize", "simulate", "synth"]

PathLike = str | Path
Values = float | Sequence[float]
Result = dict[str, Any]


def check(
    model: PathLike,
    *,
    scale: Values = 1.0,
    mean: Values = 0.0,
    std: Values = 1.0,
    progress: Progress | None = None,
) -> Result:
    """Say whether ``model`` (ONNX) is supported, what is in it and which boards it would fit.

    Returns ``model, supported, reason, input_shape, macs, parameters, layers[] (name, operator, shape, macs,
    parameters, supported, reason), boards[] (board, fits, reason, lut, bram, frames_per_second), notes, seconds``.
    ``reason`` is None where supported or fitting. Writes nothing. Raises :class:`HwgenError` for a file that is not a
    model; an unsupported operator is an answer, not an error.
    """
    from .check import check_model

    started = time.monotonic()
    result = check_model(Path(model), _normalization(scale, mean, std), progress or _silent)
    return _result(model=model, **result, seconds=_since(started))


def quantize(
    model: PathLike,
    calibration: PathLike,
    output: PathLike,
    *,
    code: str = "e2m1",
    act_bits: int = 8,
    scale: Values = 1.0,
    mean: Values = 0.0,
    std: Values = 1.0,
    progress: Progress | None = None,
) -> Result:
    """Quantize ``model``, calibrated on the ``x`` of ``calibration`` (.npz), and write the network file ``output``.

    Returns ``network, name, identity, code, act_bits, samples, macs, parameters, layers[] (name, kind, shape, macs,
    weights, weight_bits, activation_bits), notes, seconds``.
    """
    from . import quantize as quantizer
    from . import store
    from .data import load_data
    from .floatmodel import keep_model
    from .importers import load_model
    from .lower import lower

    started = time.monotonic()
    say = progress or _silent
    model, output = Path(model), store.check_place(output)
    float_network = lower(load_model(model), _normalization(scale, mean, std))
    x = load_data(calibration, shape := float_network.input_shape).channel_last(shape)
    network = quantizer.quantize(float_network, x, code=code, act_bits=act_bits, progress=_fraction(say))
    keep_model(network, model, output)
    store.save(network, output)
    result = _result(
        network=output,
        name=network.name,
        identity=store.identity(network),
        code=code,
        act_bits=act_bits,
        samples=len(x),
        macs=network.macs,
        parameters=sum(layer.codes.size for layer in network.layers if isinstance(layer, Conv)),
        layers=layer_rows(network),
        notes=network.notes,
        seconds=_since(started),
    )
    write_json(output.with_suffix(".quantize.json"), result)
    return result


def evaluate(network: PathLike, data: PathLike, *, progress: Progress | None = None) -> Result:
    """Compare the network file ``network`` with the float model beside it, on the ``x`` and ``y`` of ``data`` (.npz).

    Returns ``network, samples, float_accuracy, accuracy, layers[] (name, sqnr_db), seconds``: accuracies are 0..1, or
    None where there are no labels.
    """
    from . import evaluate as evaluator
    from . import store
    from .data import load_data
    from .floatmodel import kept_model

    started = time.monotonic()
    path = existing_file(network, "network file")
    loaded = store.load(path)
    samples = load_data(data, loaded.input.shape)
    classes = prod(loaded.output.shape)
    if samples.y is not None and (largest := int(samples.y.max())) >= classes:
        raise HwgenError(f"{data}: labels y go up to {largest}, but the network has {classes} outputs, numbered from 0")
    float_network = kept_model(loaded, path)
    x = samples.channel_last(loaded.input.shape)
    figures = evaluator.evaluate(float_network, loaded, x, samples.y, progress=_fraction(progress or _silent))
    result = _result(network=path, **figures, seconds=_since(started))
    write_json(path.with_suffix(".eval.json"), result)
    return result


def generate(
    network: PathLike,
    output: PathLike,
    *,
    board: str,
    target_fps: float | None = None,
    max_luts: int | None = None,
    clock_mhz: float | None = None,
    progress: Progress | None = None,
) -> Result:
    """Plan the network file ``network`` for ``board`` and write Verilog, constraints, manifest and bench to ``output``.

    target_fps: frames per second to reach with the fewest LUTs; max_luts: LUTs to stay below, as fast as they allow;
    neither: as fast as fits. clock_mhz: what to plan for, default the board's. Returns the manifest (``board, sources,
    identity, plan``...), ``folder`` and ``seconds``.
    """
    from . import boards, store
    from .emit.generate import generate as emit
    from .floatmodel import companion
    from .plan import plan as make_plan

    started = time.monotonic()
    say = progress or _silent
    target = boards.board(board)
    _check_clock(clock_mhz)
    check_folder(output)
    path = existing_file(network, "network file")
    loaded = store.load(path)
    say("planning")
    plan = make_plan(loaded, target, target_fps=target_fps, max_luts=max_luts, clock_mhz=clock_mhz)
    with new_folder(output) as staging:
        say("generating Verilog")
        manifest = emit(loaded, target, staging, plan=plan)
        if companion(path).is_file():
            shutil.copyfile(companion(path), companion(staging / NETWORK))
        result = _result(folder=output, **manifest, seconds=_since(started))
        write_json(staging / "generate.json", result)
    return result


def simulate(
    folder: PathLike,
    data: PathLike,
    *,
    frames: int | None = None,
    simulator: str | None = None,
    stalls: int | None = None,
    progress: Progress | None = None,
) -> Result:
    """Run the Verilog in ``folder`` on the ``x`` of ``data`` (.npz) and compare its output with the integer reference.

    frames: only the first so many; stalls: a seed, to stall input and output at random. Returns ``folder, frames,
    mismatches, cycles_per_frame, latency_cycles, first_difference, simulator, stalls, seconds``; ``first_difference``
    is None or says where and what: ``layer, frame, row, column, channel, expected, actual``.
    """
    from . import store
    from .data import load_data
    from .sim.simulate import simulate as run

    started = time.monotonic()
    path = _generated(folder)
    loaded = store.load(path / NETWORK)
    x = load_data(data, loaded.input.shape).channel_last(loaded.input.shape)
    say = _fraction(progress or _silent)
    figures = run(path, x, frames=frames, simulator=simulator, stalls=stalls, progress=say)
    result = _result(folder=path, **figures, seconds=_since(started))
    write_json(path / "simulate.json", result)
    return result


def synth(folder: PathLike, *, progress: Progress | None = None) -> Result:
    """Synthesize, place and route the core in ``folder``.

    Returns ``folder, device, lut, ff, bram, dsp, fmax_mhz, cycles_per_frame, inferences_per_second, gops,
    gops_per_klut, bitstream, seconds`` and more. The throughput is the simulated cycles per frame at the routed Fmax
    (``cycles_measured``), or the planned ones when there was no simulation yet.
    """
    from .synth import synth as run

    started = time.monotonic()
    path = _generated(folder)
    figures = run(path, progress=progress or _silent)
    figures |= {"bitstream": path / figures["bitstream"], "tool_seconds": figures["seconds"]}
    figures |= {**sustained(path, figures), "seconds": _since(started)}
    result = _result(folder=path, **figures)
    write_json(path / "synth.json", result)
    return result


def build(
    model: PathLike,
    calibration: PathLike,
    output: PathLike,
    *,
    board: str,
    data: PathLike | None = None,
    code: str = "e2m1",
    act_bits: int = 8,
    scale: Values = 1.0,
    mean: Values = 0.0,
    std: Values = 1.0,
    target_fps: float | None = None,
    max_luts: int | None = None,
    clock_mhz: float | None = None,
    frames: int | None = None,
    simulator: str | None = None,
    stalls: int | None = None,
    progress: Progress | None = None,
) -> Result:
    """All the steps from ``model`` to a verified bitstream in the folder ``output``.

    data: inputs for accuracy and simulation, default those of ``calibration``; frames: how many of them to simulate,
    default 16. Returns ``model, board, folder, quantize, eval, generate, simulate, synth``, each what the step itself
    returns, and ``seconds`` by step.
    """
    from . import boards
    from .sim.simulate import _simulator as find_simulator
    from .synth.run import find_tools

    # Everything that can be wrong with the arguments is found before the first slow step, missing tools as well.
    target = boards.board(board)
    _check_clock(clock_mhz)
    folder = check_folder(output)
    samples = existing_file(data if data is not None else calibration, "data")
    find_simulator(simulator)
    find_tools(target)
    steps: Result = {}
    with tempfile.TemporaryDirectory() as temporary:
        network = Path(temporary) / NETWORK
        steps["quantize"] = quantize(
            model,
            calibration,
            network,
            code=code,
            act_bits=act_bits,
            scale=scale,
            mean=mean,
            std=std,
            progress=progress,
        )
        steps["eval"] = evaluate(network, samples, progress=progress)
        count = steps["eval"]["samples"]
        if frames is not None and not 1 <= frames <= count:
            raise HwgenError(f"frames must be between 1 and the {count} in the data, not {frames}")
        steps["generate"] = generate(
            network,
            folder,
            board=board,
            target_fps=target_fps,
            max_luts=max_luts,
            clock_mhz=clock_mhz,
            progress=progress,
        )
    # The temporary name means nothing to the user; the file is now the one in the folder.
    for step in ("quantize", "eval"):
        steps[step]["network"] = str(folder / NETWORK)
        write_json((folder / NETWORK).with_suffix(f".{step}.json"), steps[step])
    steps["simulate"] = simulate(
        folder,
        samples,
        frames=min(16, count) if frames is None else frames,
        simulator=simulator,
        stalls=stalls,
        progress=progress,
    )
    steps["synth"] = synth(folder, progress=progress)
    seconds = {step: result["seconds"] for step, result in steps.items()}
    result = _result(model=model, board=board, folder=folder, **steps, seconds=seconds)
    write_json(folder / "build.json", result)
    return result


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


def _silent(line: str) -> None:
    """The progress of somebody who does not want any."""


def _fraction(progress: Progress) -> Callable[[int, int, str], None]:
    """``progress`` for steps that report the work done, all the work, and its name."""
    return lambda done, total, text: progress(f"{text}, {100 * done // max(total, 1)} %")


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)


def _result(**values: Any) -> Result:
    return {name: jsonable(value) for name, value in values.items()}


def _normalization(scale: Values, mean: Values, std: Values) -> Normalization:
    parts = [tuple(map(float, v)) if isinstance(v, Sequence) else (float(v),) for v in (scale, mean, std)]
    return Normalization(*parts)


def _check_clock(mhz: float | None) -> None:
    if mhz is not None and not 0 < mhz < inf:
        raise HwgenError(f"clock frequency must be a positive number of MHz, not {mhz:g}")


def _generated(folder: PathLike) -> Path:
    """``folder``, which `hwgen generate` must have made."""
    path = Path(folder)
    if not path.is_dir():
        raise HwgenError(f"folder {str(path)!r} does not exist; make it with `hwgen generate`")
    if not (path / MANIFEST).is_file():
        raise HwgenError(f"folder {str(path)!r} was not made by `hwgen generate`: it has no {MANIFEST}")
    return path
