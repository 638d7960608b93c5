"""Is a model supported, and what would it fit?"""

from __future__ import annotations

import time
from pathlib import Path

from ..tools import Progress
from .common import PathLike, Result, Values, normalization_of, result_of, silent, since

__all__ = ["check"]


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
    from ..check import check_model

    started = time.monotonic()
    result = check_model(Path(model), normalization_of(scale, mean, std), progress or silent)
    return result_of(model=model, **result, seconds=since(started))
