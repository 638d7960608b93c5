"""One model in several codes and methods, side by side."""

from __future__ import annotations

import time
from math import prod
from pathlib import Path

from ..files import write_json
from ..tools import Progress
from .common import (
    PathLike,
    Result,
    Values,
    check_clock,
    check_labels,
    normalization_of,
    result_of,
    since,
)

__all__ = ["compare"]


def compare(
    model: PathLike,
    calibration: PathLike,
    *,
    data: PathLike | None = None,
    codes: str = "e2m1,apot4,pot4,pot3,int4,int8",
    methods: str = "plain,auto",
    act_bits: str = "8",
    groups: str | None = None,
    board: str = "ulx3s-85f",
    target_fps: float | None = None,
    clock_mhz: float | None = None,
    scale: Values = 1.0,
    mean: Values = 0.0,
    std: Values = 1.0,
    output: PathLike | None = None,
    plot: PathLike | None = None,
    progress: Progress | None = None,
) -> Result:
    """Quantize ``model`` by every code, method and width of activations, and put what comes of it side by side.

    calibration, data: .npz files; the outputs are judged on ``data``, default ``calibration``, by its labels too if it
    has any. codes, methods, act_bits: as :func:`hwgen.compare.parse_schemes` reads them. groups: classes that count as
    one, as text, see :class:`hwgen.compare.Groups`. LUTs are estimated for ``board`` at ``target_fps``, default what
    the first scheme reaches there at ``clock_mhz``. output: where the result is left, a .json file; plot: where it is
    drawn, an .svg or .png file.

    Returns ``model, calibrated_on`` (samples)``, groups, output, plot``, what :func:`hwgen.compare.compare` says, and
    ``seconds``.
    """
    from .. import boards
    from .. import compare as comparison
    from ..data import load_data
    from ..importers import load_model
    from ..lower import lower

    started = time.monotonic()
    target = boards.board(board)
    check_clock(clock_mhz)
    schemes = comparison.parse_schemes(codes, methods, act_bits)
    record = None if output is None else comparison.check_record(output)
    picture = None if plot is None else comparison.check_plot(plot)
    float_network = lower(load_model(Path(model)), normalization_of(scale, mean, std))
    inputs, grouped = float_network.inputs, groups is not None
    calibrating = load_data(calibration, inputs, need_labels=grouped and data is None)
    samples = calibrating if data is None else load_data(data, inputs, need_labels=grouped)
    shapes = {tensor.name: tensor.output_shape for tensor in (*inputs, *float_network.layers)}
    classes = prod(shapes[float_network.outputs[0]])
    check_labels(calibration if data is None else data, samples.y, classes)
    figures = comparison.compare(
        float_network,
        calibrating.channel_last(inputs),
        schemes,
        board=target,
        data=samples.channel_last(inputs),
        y=samples.y,
        groups=None if groups is None else comparison.Groups.parse(groups, classes),
        target_fps=target_fps,
        clock_mhz=clock_mhz,
        progress=progress,
    )
    about = {"model": model, "calibrated_on": len(calibrating), "groups": groups, "output": record, "plot": picture}
    result = result_of(**about, **figures, seconds=since(started))
    if picture is not None:
        comparison.plot(result, picture)
    if record is not None:
        write_json(record, result)
    return result
