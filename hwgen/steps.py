"""The steps of hwgen, one function each; :mod:`hwgen.api` says what they have in common."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from math import inf, prod
from pathlib import Path
from typing import Any

from .errors import HwgenError
from .figures import layer_rows, sustained
from .files import (
    MANIFEST,
    NETWORK,
    SIMULATION,
    SYNTHESIS,
    check_folder,
    check_writable,
    existing_file,
    generated_file,
    jsonable,
    new_folder,
    write_json,
)
from .floatnet import Normalization
from .network import Conv
from .tools import Progress, WorkDone

__all__ = [
    "PathLike",
    "Result",
    "Values",
    "check",
    "check_clock",
    "drop",
    "evaluate",
    "export",
    "generate",
    "quantize",
    "simulate",
    "synth",
]

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
    method: str = "plain",
    scale: Values = 1.0,
    mean: Values = 0.0,
    std: Values = 1.0,
    progress: Progress | None = None,
) -> Result:
    """Quantize ``model``, calibrated on the ``x`` of ``calibration`` (.npz), and write the network file ``output``.

    method: "plain" rounds each weight on its own, "feedback" passes errors on to the weights still to be rounded.
    Returns ``network, name, identity, code, act_bits, method, samples, macs, parameters, layers[] (name, kind, shape,
    macs, weights, weight_bits, activation_bits, storage_bits, ham_bits, sham_bits, entropy_bits), storage (weights,
    storage_bits, ham_bits, sham_bits, entropy_bits, best_bits), notes, seconds``: bits of the weights as plain codes,
    Huffman-coded (HAM), sparse (sHAM), their entropy, and each layer in what is smallest (:mod:`hwgen.storage`).
    """
    from . import quantize as quantizer
    from . import store
    from .data import load_data
    from .floatmodel import keep_model
    from .importers import load_model
    from .lower import lower
    from .storage import network_storage

    started = time.monotonic()
    say = progress or _silent
    model, output = Path(model), store.check_place(output)
    check_writable(output)
    float_network = lower(load_model(model), _normalization(scale, mean, std))
    samples = load_data(calibration, float_network.inputs)
    x = samples.channel_last(float_network.inputs)
    network = quantizer.quantize(float_network, x, code=code, act_bits=act_bits, method=method, progress=_fraction(say))
    keep_model(network, model, output)
    store.save(network, output)
    result = _result(
        network=output,
        name=network.name,
        identity=store.identity(network),
        code=code,
        act_bits=act_bits,
        method=method,
        samples=len(samples),
        macs=network.macs,
        parameters=sum(layer.codes.size for layer in network.layers if isinstance(layer, Conv)),
        layers=layer_rows(network),
        storage=network_storage(network).totals,
        notes=network.notes,
        seconds=_since(started),
    )
    write_json(output.with_suffix(".quantize.json"), result)
    return result


def drop(
    network: PathLike,
    output: PathLike,
    *,
    terms: int,
    calibration: PathLike | None = None,
    progress: Progress | None = None,
) -> Result:
    """Cut the nested codes of the network file ``network`` down to their first ``terms`` terms, and write ``output``.

    calibration: data (.npz) whose ``x`` corrects the biases for the coarser weights; without it they stay. The float
    model beside ``network`` comes along. Returns ``network, identity, terms, samples`` (None without calibration),
    ``layers[]`` as ``quantize`` does, ``notes, seconds``.
    """
    from . import store
    from .data import inputs_of, load_data
    from .floatmodel import companion, keep_model, kept_model
    from .quantize.layering import drop as cut
    from .quantize.rebias import rebias

    started = time.monotonic()
    source, place = existing_file(network, "network file"), store.check_place(output)
    check_writable(place)
    loaded = store.load(source)
    coarse = cut(loaded, terms)
    samples = None if calibration is None else load_data(calibration, inputs := inputs_of(loaded))
    if samples is not None:
        (progress or _silent)("correcting biases")
        coarse = rebias(coarse, loaded, samples.channel_last(inputs))
    if companion(source).is_file():
        kept_model(loaded, source)  # a model of another network must not be passed off as this one's
        keep_model(coarse, companion(source), place)
    store.save(coarse, place)
    result = _result(
        network=place,
        identity=store.identity(coarse),
        terms=terms,
        samples=None if samples is None else len(samples),
        layers=layer_rows(coarse),
        notes=coarse.notes,
        seconds=_since(started),
    )
    write_json(place.with_suffix(".drop.json"), result)
    return result


def evaluate(network: PathLike, data: PathLike, *, progress: Progress | None = None) -> Result:
    """Compare the network file ``network`` with the float model beside it, on the ``x`` and ``y`` of ``data`` (.npz).

    Returns ``network, samples, float_accuracy, accuracy, layers[] (name, sqnr_db), seconds``: accuracies are 0..1, or
    None where there are no labels.
    """
    from . import evaluate as evaluator
    from . import store
    from .data import inputs_of, load_data
    from .floatmodel import kept_model

    started = time.monotonic()
    path = existing_file(network, "network file")
    check_writable(record := path.with_suffix(".eval.json"))
    loaded = store.load(path)
    samples = load_data(data, inputs := inputs_of(loaded))
    classes = prod(loaded.tensor(loaded.outputs[0]).shape)
    if samples.y is not None and (largest := int(samples.y.max())) >= classes:
        raise HwgenError(f"{data}: labels y go up to {largest}, but the network has {classes} outputs, numbered from 0")
    float_network = kept_model(loaded, path)
    x = samples.channel_last(inputs)
    figures = evaluator.evaluate(float_network, loaded, x, samples.y, progress=_fraction(progress or _silent))
    result = _result(network=path, **figures, seconds=_since(started))
    write_json(record, result)
    return result


def export(network: PathLike, output: PathLike, *, progress: Progress | None = None) -> Result:
    """Write the network file ``network`` as the QONNX model ``output`` (.onnx), which computes the same integers.

    Returns ``network, model, identity, nodes, seconds``. Raises :class:`HwgenError` for numbers beyond 2**53.
    """
    from . import store
    from .export.qonnx import export as write

    started = time.monotonic()
    path = existing_file(network, "network file")
    loaded = store.load(path)
    model = write(loaded, output)
    nodes = len(model.graph.node)
    return _result(network=path, model=output, identity=store.identity(loaded), nodes=nodes, seconds=_since(started))


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
    check_clock(clock_mhz)
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
    trace: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Run the Verilog in ``folder`` on the ``x`` of ``data`` (.npz) and compare its output with the integer reference.

    frames: only the first so many; stalls: a seed, to stall input and output at random; trace: compare every layer, not
    only the result (slower). Returns ``folder, frames, mismatches, cycles_per_frame, latency_cycles, cycles,
    first_difference, simulator, stalls, trace, seconds``. ``mismatches`` counts the frames whose result differs;
    ``first_difference`` is None or says where and what: ``layer, frame, row, column, channel, expected, actual``, and
    ``around`` it ``along, rows, columns, expected, actual`` (columns are channels where ``along`` says so).
    """
    from . import store
    from .data import inputs_of, load_data
    from .sim.simulate import simulate as run

    started = time.monotonic()
    path = _generated(folder)
    check_writable(path / SIMULATION)
    loaded = store.load(generated_file(path / NETWORK))
    inputs = inputs_of(loaded)
    x = load_data(data, inputs).channel_last(inputs)
    figures = run(path, x, frames=frames, simulator=simulator, stalls=stalls, trace=trace, progress=progress)
    result = _result(folder=path, **figures, seconds=_since(started))
    write_json(path / SIMULATION, result)
    return result


def synth(folder: PathLike, *, seed: int = 1, progress: Progress | None = None) -> Result:
    """Synthesize, place and route the core in ``folder``.

    seed: of nextpnr's placer, 0..2**31-1; another one gives another Fmax. Returns ``folder, device, lut, ff, bram, dsp,
    fmax_mhz, cycles_per_frame, inferences_per_second, gops, gops_per_klut, bitstream, seed, seconds`` and more. The
    throughput is the simulated cycles per frame at the routed Fmax (``cycles_measured``), or the planned ones when
    there was no simulation yet.
    """
    from .synth import synth as run

    started = time.monotonic()
    path = _generated(folder)
    check_writable(path / SYNTHESIS)
    figures = run(path, seed=seed, progress=progress or _silent)
    figures |= {"bitstream": path / figures["bitstream"], "tool_seconds": figures["seconds"]}
    figures |= {**sustained(path, figures), "seconds": _since(started)}
    result = _result(folder=path, **figures)
    write_json(path / SYNTHESIS, result)
    return result


def _silent(line: str) -> None:
    """The progress of somebody who does not want any."""


def _fraction(progress: Progress) -> WorkDone:
    """``progress`` for steps that report the work done, all the work, and its name."""
    return lambda done, total, text: progress(f"{text}, {100 * done // max(total, 1)} %")


def _since(started: float) -> float:
    """Seconds since ``started``, a ``time.monotonic()``."""
    return round(time.monotonic() - started, 3)


def _result(**values: Any) -> Result:
    return {name: jsonable(value) for name, value in values.items()}


def _normalization(scale: Values, mean: Values, std: Values) -> Normalization:
    parts = [tuple(map(float, v)) if isinstance(v, Sequence) else (float(v),) for v in (scale, mean, std)]
    return Normalization(*parts)


def check_clock(mhz: float | None) -> None:
    """Raise :class:`HwgenError` for a clock frequency that cannot be planned for."""
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
