"""A network to the folder of a core."""

from __future__ import annotations

import shutil
import time

from ..files import NETWORK, check_folder, existing_file, new_folder, write_json
from ..tools import Progress
from .common import PathLike, Result, check_clock, result_of, silent, since

__all__ = ["generate"]


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
    from .. import boards, store
    from ..emit.generate import generate as emit
    from ..floatmodel import companion
    from ..plan import plan as make_plan

    started = time.monotonic()
    say = progress or silent
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
        result = result_of(folder=output, **manifest, seconds=since(started))
        write_json(staging / "generate.json", result)
    return result
