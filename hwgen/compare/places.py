"""Where a comparison is left: checked before the first slow step."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ..errors import HwgenError
from ..files import check_writable, read_json

__all__ = ["check_plot", "check_record"]


def check_record(path: str | Path) -> Path:
    """``path``, which must end in .json and be absent or an earlier comparison, which may be replaced."""
    path = _check("output", path, (".json",))
    if path.exists() and not _is_comparison(path):
        raise HwgenError(f"output {str(path)!r} exists and is not a comparison of hwgen; choose another name")
    return path


def check_plot(path: str | Path) -> Path:
    """``path``, which must end in .svg or .png; :class:`HwgenError` also where Matplotlib is missing."""
    path = _check("plot", path, (".svg", ".png"))
    if find_spec("matplotlib") is None:
        raise HwgenError("drawing plots needs one more package; run: pip install 'hwgen[plots]'")
    return path


def _check(what: str, path: str | Path, suffixes: Sequence[str]) -> Path:
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise HwgenError(f"{what} {str(path)!r} must end in {' or '.join(suffixes)}; rename it")
    if path.is_dir():
        raise HwgenError(f"{what} {str(path)!r} is a folder; give a file name")
    check_writable(path)
    return path


def _is_comparison(path: Path) -> bool:
    try:
        return "schemes" in read_json(path, "comparison")
    except HwgenError:
        return False
