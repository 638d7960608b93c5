"""Data files: ``.npz`` with ``x`` (N, ...) and, where there are any, labels ``y`` (N,). Never unpickled."""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from .errors import HwgenError
from .floatnet import Shape

__all__ = ["Data", "load_data"]

MAX_VALUE = 1e18
"""Largest magnitude of a sample's value; squares of more would leave the range of float32 in the quantizer."""

_DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError, OSError)


@dataclass(frozen=True, eq=False)
class Data:
    """Samples as they stand in a file. x: (N, ...) of any number type, raw values; y: (N,) int64 labels or None."""

    x: npt.NDArray[np.generic]
    y: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.x)

    def channel_last(self, shape: Shape) -> npt.NDArray[np.generic]:
        """``x`` as (N, H, W, C) for a network input of ``shape`` (H, W, C); the type stays.

        x may be (N, C, H, W), flat in that order, or where there is one channel (N, H, W) or (N, H, W, 1). Raises
        :class:`HwgenError` for any other shape.
        """
        height, width, channels = shape
        allowed = [(channels, height, width), (channels * height * width,)]
        if channels == 1:
            allowed += [(height, width), (height, width, 1)]
        if self.x.shape[1:] not in allowed:
            hint = ""
            if self.x.shape[1:] == shape:
                hint = "; it is channel-last: save x.transpose(0, 3, 1, 2) instead"
            wanted = " or ".join(f"(N, {', '.join(map(str, one))})" for one in dict.fromkeys(allowed))
            raise HwgenError(f"x has shape {self.x.shape}, but the network takes {wanted}{hint}")
        return self.x.reshape(len(self.x), channels, height, width).transpose(0, 2, 3, 1)


def load_data(path: str | os.PathLike[str], input_shape: Shape | None = None, need_labels: bool = False) -> Data:
    """The samples in the ``.npz`` file ``path``.

    input_shape: (H, W, C) of the network that ``x`` must fit. Raises :class:`HwgenError`, one sentence, for a missing
    or damaged file, a missing ``x`` (or ``y`` when ``need_labels``), no samples, values that are not finite numbers, a
    shape that does not fit, or labels that are not one integer per sample.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist" if not path.exists() else "is not a regular file"
        raise HwgenError(f"{path} {what}; give an .npz file with an array x")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist()}
            arrays: dict[str, npt.NDArray[np.generic]] = {
                key: _read(archive, members[key]) for key in ("x", "y") if key in members
            }
    except HwgenError as error:
        raise HwgenError(f"{path}: {error}") from None
    except _DAMAGE as error:
        raise HwgenError(f"{path} is not an .npz file or is damaged; write it with numpy.savez") from error
    try:
        return _checked(arrays, input_shape, need_labels)
    except HwgenError as error:
        raise HwgenError(f"{path}: {error}") from None


def _read(archive: zipfile.ZipFile, name: str) -> npt.NDArray[np.generic]:
    """One array; its header is checked first, because NumPy allocates what the header says."""
    with archive.open(name) as member:
        version = npy.read_magic(member)
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = header(member)
    if dtype.hasobject:
        raise HwgenError(f"{name.removesuffix('.npy')} holds Python objects, not numbers; save it as a plain array")
    if prod(shape) * dtype.itemsize > archive.getinfo(name).file_size:
        raise ValueError("array is shorter than its header says")
    with archive.open(name) as member:
        return npy.read_array(member, allow_pickle=False)


def _checked(arrays: dict[str, npt.NDArray[np.generic]], input_shape: Shape | None, need_labels: bool) -> Data:
    if "x" not in arrays:
        raise HwgenError("there is no array x in it; save the samples as x")
    x, y = arrays["x"], arrays.get("y")
    if x.dtype.kind not in "buif":
        raise HwgenError(f"x holds {x.dtype}, not real numbers; save it as a plain array of numbers")
    if x.ndim < 2 or 0 in x.shape:
        raise HwgenError(f"x has shape {x.shape}, which holds no samples; save it as (N, ...) with N at least 1")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise HwgenError("x has NaN or infinite values; clean the data")
    if x.dtype.kind == "f" and float(np.abs(x).max()) > MAX_VALUE:
        raise HwgenError(f"x has values beyond {MAX_VALUE:g}; scale the data")
    if y is None:
        if need_labels:
            raise HwgenError("there are no labels y in it, which are needed here; save them as y")
        data = Data(x)
    else:
        if y.dtype.kind not in "ui" or y.shape != (len(x),) or (y.size and int(y.min()) < 0):
            raise HwgenError(
                f"labels y must be one class number (integer, 0 and up) for each of the {len(x)} samples,"
                f" not {y.dtype} of shape {y.shape}"
            )
        data = Data(x, y.astype(np.int64))
    if input_shape is not None:
        data.channel_last(input_shape)
    return data
