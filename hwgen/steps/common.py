"""What all steps share: the types of arguments and results, progress, and checks of arguments."""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

from ..errors import HwgenError
from ..files import MANIFEST, jsonable
from ..floatnet import Normalization
from ..tools import Progress, WorkDone

__all__ = [
    "PathLike",
    "Result",
    "Values",
    "check_clock",
    "check_labels",
    "fraction",
    "generated",
    "normalization_of",
    "result_of",
    "silent",
    "since",
]

PathLike = str | Path
Values = float | Sequence[float]
Result = dict[str, Any]


def silent(line: str) -> None:
    """The progress of somebody who does not want any."""


def fraction(progress: Progress) -> WorkDone:
    """``progress`` for steps that report the work done, all the work, and its name."""
    return lambda done, total, text: progress(f"{text}, {100 * done // max(total, 1)} %")


def since(started: float) -> float:
    """Seconds since ``started``, a ``time.monotonic()``."""
    return round(time.monotonic() - started, 3)


def result_of(**values: Any) -> Result:
    return {name: jsonable(value) for name, value in values.items()}


def normalization_of(scale: Values, mean: Values, std: Values) -> Normalization:
    parts = [tuple(map(float, v)) if isinstance(v, Sequence) else (float(v),) for v in (scale, mean, std)]
    return Normalization(*parts)


def check_labels(data: PathLike, y: Any, classes: int) -> None:
    """Raise :class:`HwgenError` when a label of ``data``, (N,) or None, is no class of the network."""
    if y is not None and (largest := int(y.max())) >= classes:
        raise HwgenError(f"{data}: labels y go up to {largest}, but the network has {classes} outputs, numbered from 0")


def check_clock(mhz: float | None) -> None:
    """Raise :class:`HwgenError` for a clock frequency that cannot be planned for."""
    if mhz is not None and not 0 < mhz < inf:
        raise HwgenError(f"clock frequency must be a positive number of MHz, not {mhz:g}")


def generated(folder: PathLike) -> Path:
    """``folder``, which `hwgen generate` must have made."""
    path = Path(folder)
    if not path.is_dir():
        raise HwgenError(f"folder {str(path)!r} does not exist; make it with `hwgen generate`")
    if not (path / MANIFEST).is_file():
        raise HwgenError(f"folder {str(path)!r} was not made by `hwgen generate`: it has no {MANIFEST}")
    return path
