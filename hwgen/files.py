"""Results on disk, whole or not at all: everything is written beside its place and renamed into it.

A run that fails or is interrupted therefore never leaves a file or a folder that looks finished.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from .errors import HwgenError

__all__ = [
    "MANIFEST",
    "NETWORK",
    "SIMULATION",
    "SYNTHESIS",
    "check_folder",
    "check_writable",
    "existing_file",
    "generated_file",
    "jsonable",
    "new_file",
    "new_folder",
    "read_generated",
    "read_json",
    "write_json",
]

MANIFEST = "manifest.json"
"""The file by which a folder is known to be hwgen's own, so that it may be replaced: a JSON object with a key "hwgen"
(its version). Other programs use the same file name, so the name alone means nothing."""

NETWORK = "network.npz"
"""The quantized network inside a generated folder."""

SIMULATION = "simulate.json"
"""The record of the last simulation inside a generated folder."""

SYNTHESIS = "synth.json"
"""The record of the last synthesis inside a generated folder."""


def existing_file(path: str | Path, what: str) -> Path:
    """``path``, which must be a file; ``what`` names it in the error: "model", "calibration data"."""
    path = Path(path)
    if path.is_dir():
        raise HwgenError(f"{what} {str(path)!r} is a folder; give a file")
    if not path.is_file():
        raise HwgenError(f"{what} {str(path)!r} does not exist; check the path")
    return path


def check_folder(path: str | Path) -> Path:
    """``path``, which must be absent, an empty folder, or a folder that hwgen wrote earlier and may replace.

    The folder is replaced by renaming, so its parent must be writable, see :func:`check_writable`.
    """
    path = Path(path)
    if path.is_dir():
        if any(path.iterdir()) and not _is_ours(path):
            raise HwgenError(f"output folder {str(path)!r} holds files that hwgen did not write; choose another folder")
    elif path.exists() or path.is_symlink():
        raise HwgenError(f"output {str(path)!r} is a file; choose another folder")
    check_writable(path)
    return path


def check_writable(path: str | Path) -> None:
    """Raise :class:`HwgenError` unless something can be written at ``path``; leaves no trace.

    To be asked before the slow steps. It tries, because permission bits do not tell of read-only file systems.
    """
    place = Path(os.path.realpath(path)).parent
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise HwgenError(f"output {str(path)!r} lies below a file; choose another place")
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise HwgenError(
            f"output {str(path)!r} cannot be written: {reason} in {str(place)!r}; choose another place"
        ) from None


def _is_ours(folder: Path) -> bool:
    try:
        return "hwgen" in read_json(folder / MANIFEST, "manifest")
    except HwgenError:
        return False


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """A fresh folder beside ``path`` that takes its place when the block ends without an exception."""
    path = Path(os.path.realpath(check_folder(path)))
    with _parents(path):
        staging = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        # mkdtemp makes private folders; the result is an ordinary one.
        staging.chmod(0o777 & ~_umask())
        try:
            yield staging
            if path.exists():
                _swap(staging, path)
            else:
                staging.rename(path)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _swap(new: Path, path: Path) -> None:
    """Put ``new`` where ``path`` is. The old folder is removed last, so that no failure on the way leaves neither."""
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        path.rename(old)
        new.rename(path)
    except BaseException:
        if not path.exists():
            old.rename(path)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """A fresh name beside ``path``, same suffix, renamed to ``path`` when the block ends without an exception."""
    path = Path(path)
    if path.is_dir():
        raise HwgenError(f"output {str(path)!r} is a folder; give a file name")
    with _parents(path):
        staging = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
        try:
            yield staging
            staging.replace(path)
        finally:
            staging.unlink(missing_ok=True)


@contextmanager
def _parents(path: Path) -> Iterator[None]:
    """Make the folders above ``path`` that are missing; those that are empty after the block disappear again."""
    missing = [parent for parent in path.parents if not parent.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise HwgenError(f"output {str(path)!r} lies below a file; choose another place") from None
    try:
        yield
    finally:
        for parent in missing:
            with suppress(OSError):  # not empty, as it should be
                parent.rmdir()


def _umask() -> int:
    # The only portable way to read the mask is to set it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write ``value`` as indented JSON, atomically. It must be :func:`jsonable` already."""
    with new_file(path) as staging:
        staging.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path, what: str) -> dict[str, Any]:
    """The object in ``path``; :class:`HwgenError` naming ``what`` when it is missing or not a JSON object."""
    try:
        value = json.loads(existing_file(path, what).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError):
        value = None
    if not isinstance(value, dict):
        raise HwgenError(f"{what} {str(path)!r} is not a JSON object; make it again")
    return value


def generated_file(path: Path) -> Path:
    """``path``, which `hwgen generate` writes and must be there with some content."""
    if not path.is_file():
        raise HwgenError(f"{str(path)!r} is missing; run hwgen generate again")
    if not path.stat().st_size:
        raise HwgenError(f"{str(path)!r} is empty; run hwgen generate again")
    return path


def read_generated(path: Path, fields: Mapping[str, type]) -> dict[str, Any]:
    """The JSON object in ``path``, which `hwgen generate` writes; it must have ``fields``, of these types."""
    generated_file(path)
    try:
        value = read_json(path, "file")
    except HwgenError:
        raise HwgenError(f"{str(path)!r} is damaged; run hwgen generate again") from None
    for name, kind in fields.items():
        if not isinstance(value.get(name), kind):
            raise HwgenError(f"{str(path)!r} has no usable {name!r}; run hwgen generate again")
    return value


def jsonable(value: Any) -> Any:
    """``value`` in JSON's own types: NumPy numbers and arrays, paths, tuples and enums are converted.

    Infinities and NaN, which JSON does not have, become None. Raises ``TypeError`` for anything else.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, Enum):
        return jsonable(value.value)
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [jsonable(item) for item in value]
    raise TypeError(f"value must be representable in JSON, not {value!r}")
