"""Networks on disk: one ``.npz`` archive, the arrays plus one JSON header. Nothing is ever unpickled.

The header is an array too (``header``, UTF-8 bytes), with the version of this format; see :mod:`hwgen.records` for the
content. The same content also defines the network's identity, a hash that the file carries and that a generated core
reports, so that the two can be matched.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from .errors import HwgenError
from .files import existing_file, new_file
from .network import Network
from .records import Arrays, Header, header_text, pack, unpack

__all__ = ["FORMAT", "VERSION", "check_place", "identity", "load", "save"]

FORMAT = "hwgen network"
VERSION = 2
HEADER = "header"

MAX_BYTES = 1 << 30
"""Largest network file content that is read; far above anything that fits a device."""


def save(network: Network, path: str | Path) -> None:
    """Write ``network`` to ``path``, atomically: a reader sees the old file or the whole new one.

    Raises :class:`HwgenError` when the place cannot be written.
    """
    header, arrays = _pack(network)
    header["identity"] = _digest(header, arrays)
    try:
        with new_file(path) as staging, staging.open("wb") as file:
            contents: Any = {HEADER: np.frombuffer(header_text(header), np.uint8), **arrays}
            np.savez_compressed(file, **contents)
    except OSError as error:
        raise HwgenError(f"network file {str(path)!r} cannot be written: {error.strerror}") from None


def check_place(path: str | Path) -> Path:
    """``path``, which must end in .npz and be absent or a network file, which may be replaced.

    Data files have the same suffix: without this, ``--calib x.npz -o x.npz`` would destroy the data.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise HwgenError(f"network file {str(path)!r} must end in .npz; rename it")
    if path.is_dir():
        raise HwgenError(f"output {str(path)!r} is a folder; give a file name")
    if path.exists() and not _has_header(path):
        raise HwgenError(f"output {str(path)!r} exists and is not a network file of hwgen; choose another name")
    return path


def _has_header(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return f"{HEADER}.npy" in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def load(path: str | Path) -> Network:
    """Read the network in ``path``. Raises :class:`HwgenError` for anything but an intact file of this format."""
    path = existing_file(path, "network file")
    try:
        header, arrays = _read(path)
        stored = header.pop("identity", None)
        if header.get("format") != FORMAT:
            raise HwgenError(f"{str(path)!r} is not a network file of hwgen; make one with: hwgen quantize")
        if header.get("version") != VERSION:
            raise HwgenError(
                f"network file {str(path)!r} has format version {header.get('version')!r}, and this hwgen reads "
                f"{VERSION}; quantize the model again"
            )
        if stored != _digest(header, arrays):
            raise ValueError("its content does not match its identity")
        return unpack(header, arrays)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, IndexError, AttributeError, TypeError, ValueError,
            OverflowError, MemoryError, NotImplementedError, RuntimeError, OSError, struct.error):  # fmt: skip
        # All that NumPy, zipfile and our own constructors raise for a file that is cut, edited or of another kind.
        raise HwgenError(
            f"{str(path)!r} is damaged or not a network file of hwgen; make it again with: hwgen quantize"
        ) from None


def identity(network: Network) -> str:
    """The SHA-256 of everything in ``network``, as 64 hexadecimal digits.

    It changes when any number, name or note changes, and depends on nothing else: not on files, times or machines.
    """
    return _digest(*_pack(network))


def _pack(network: Network) -> tuple[Header, Arrays]:
    header, arrays = pack(network)
    return {"format": FORMAT, "version": VERSION, **header}, arrays


def _digest(header: Header, arrays: Arrays) -> str:
    digest = hashlib.sha256(header_text(header))
    for name, array in sorted(arrays.items()):
        # Lengths and shapes go in too: no two different contents may run together to the same bytes.
        digest.update(f"\n{name} {array.dtype.str} {array.shape} {array.nbytes}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _read(path: Path) -> tuple[Header, Arrays]:
    with zipfile.ZipFile(path) as archive:
        if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
            raise ValueError("too large")
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    header = json.loads(arrays.pop(HEADER).tobytes())
    if not isinstance(header, dict):
        raise ValueError("the header must be a JSON object")
    return header, arrays
