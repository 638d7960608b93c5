"""The core beside the integer reference."""

from __future__ import annotations

import time

from ..files import NETWORK, SIMULATION, check_writable, generated_file, write_json
from ..tools import Progress
from .common import PathLike, Result, generated, result_of, since

__all__ = ["simulate"]


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
    from .. import store
    from ..data import inputs_of, load_data
    from ..sim.simulate import simulate as run

    started = time.monotonic()
    path = generated(folder)
    check_writable(path / SIMULATION)
    loaded = store.load(generated_file(path / NETWORK))
    inputs = inputs_of(loaded)
    x = load_data(data, inputs).channel_last(inputs)
    figures = run(path, x, frames=frames, simulator=simulator, stalls=stalls, trace=trace, progress=progress)
    result = result_of(folder=path, **figures, seconds=since(started))
    write_json(path / SIMULATION, result)
    return result
