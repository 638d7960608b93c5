"""Drawing a comparison; Matplotlib, an extra, is loaded for nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files import new_file
from .places import check_plot

__all__ = ["plot"]


def plot(result: Mapping[str, Any], path: str | Path) -> None:
    """Draw ``result``, as :func:`hwgen.api.compare` returns it, to ``path`` (.svg or .png), whole or not at all.

    Raises :class:`HwgenError` as :func:`check_plot` does.
    """
    path = check_plot(path)
    from .chart import draw

    with new_file(path) as staging:
        draw(result, staging)
