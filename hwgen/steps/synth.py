"""The core on its device."""

from __future__ import annotations

import time

from ..figures import sustained
from ..files import SYNTHESIS, check_writable, write_json
from ..tools import Progress
from .common import PathLike, Result, generated, result_of, silent, since

__all__ = ["synth"]


def synth(folder: PathLike, *, seed: int = 1, progress: Progress | None = None) -> Result:
    """Synthesize, place and route the core in ``folder``.

    seed: of nextpnr's placer, 0..2**31-1; another one gives another Fmax. Returns ``folder, device, lut, ff, bram, dsp,
    fmax_mhz, cycles_per_frame, inferences_per_second, gops, gops_per_klut, bitstream, seed, seconds`` and more. The
    throughput is the simulated cycles per frame at the routed Fmax (``cycles_measured``), or the planned ones when
    there was no simulation yet.
    """
    from ..synth import synth as run

    started = time.monotonic()
    path = generated(folder)
    check_writable(path / SYNTHESIS)
    figures = run(path, seed=seed, progress=progress or silent)
    figures |= {"bitstream": path / figures["bitstream"], "tool_seconds": figures["seconds"]}
    figures |= {**sustained(path, figures), "seconds": since(started)}
    result = result_of(folder=path, **figures)
    write_json(path / SYNTHESIS, result)
    return result
