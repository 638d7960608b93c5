"""Data files: ``.npz`` with samples ``x`` (N, ...) and, where there are any, labels ``y`` (N,). Never unpickled.

A network of several inputs takes one array for each, called like the input, or ``x0``, ``x1``... in the model's order.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from .errors import HwgenError
from .floatnet import FloatInput, FloatNetwork, Layout
from .network import Network

__all__ = ["Data", "inputs_of", "load_data"]

MAX_VALUE = 1e18
"""Largest magnitude of a sample's value; squares of more would leave the range of float32 in the quantizer."""

_DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError, OSError)

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Data:
    """Samples as they stand in a file. arrays: (N, ...) each, of any number type, raw values; y: (N,) int64 labels."""

    arrays: Mapping[str, Array]
    y: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def channel_last(self, inputs: Sequence[FloatInput]) -> Array | dict[str, Array]:
        """The samples as (N, H, W, C): those of the only input, or a dict by name for several; types stay.

        A channel-first input takes (N, C, H, W), flat in that order, or where there is one channel (N, H, W) or
        (N, H, W, 1), and where there is one row (N, C, W); a channel-last one the like. Raises :class:`HwgenError` for
        any other shape, and for an array that is missing.
        """
        found = {
            source.name: _channel_last(name, self.arrays[name], source)
            for name, source in zip(_names(self.arrays, inputs), inputs, strict=True)
        }
        return found if len(found) > 1 else next(iter(found.values()))


def inputs_of(network: FloatNetwork | Network) -> tuple[FloatInput, ...]:
    """Name, shape and layout of each of the network's inputs."""
    if isinstance(network, FloatNetwork):
        return network.inputs
    pairs = zip(network.inputs, network.layouts, strict=True)
    return tuple(FloatInput(tensor.name, tensor.shape, layout) for tensor, layout in pairs)


def _names(arrays: Mapping[str, Any], inputs: Sequence[FloatInput]) -> list[str]:
    """The array of each input."""
    if len(inputs) == 1:
        if "x" not in arrays:
            raise HwgenError("there is no array x in it; save the samples as x")
        return ["x"]
    for names in ([source.name for source in inputs], [f"x{index}" for index in range(len(inputs))]):
        if all(name in arrays for name in names):
            return names
    wanted = ", ".join(source.name for source in inputs)
    raise HwgenError(
        f"the network has {len(inputs)} inputs; save an array for each, called {wanted}, or x0, x1 and so on"
    )


def _channel_last(name: str, x: Array, source: FloatInput) -> Array:
    height, width, channels = source.shape
    own, other = (channels, height, width), source.shape
    if source.layout is Layout.CHANNEL_LAST:
        own, other = other, own
    allowed: list[tuple[int, ...]] = [own, (prod(own),)]
    if channels == 1:
        allowed += [(height, width), source.shape, (1, height, width)]
    elif height == 1:
        allowed += [(own[0], own[2]) if source.layout is Layout.CHANNEL_FIRST else own[1:]]
    if x.shape[1:] not in allowed:
        hint = ""
        if x.shape[1:] == other:
            have, axes = ("last", "0, 3, 1, 2") if source.layout is Layout.CHANNEL_FIRST else ("first", "0, 2, 3, 1")
            hint = f"; it is channel-{have}: save {name}.transpose({axes}) instead"
        shown = dict.fromkeys(allowed[:2] if channels > 1 else allowed)
        wanted = " or ".join(f"(N, {', '.join(map(str, one))})" for one in shown)
        raise HwgenError(f"{name} has shape {x.shape}, but the network takes {wanted}{hint}")
    if source.layout is Layout.CHANNEL_LAST:
        return x.reshape(len(x), *source.shape)
    return x.reshape(len(x), channels, height, width).transpose(0, 2, 3, 1)


def load_data(path: str | os.PathLike[str], inputs: Sequence[FloatInput], need_labels: bool = False) -> Data:
    """The samples in the ``.npz`` file ``path`` for ``inputs``, see :func:`inputs_of`.

    Raises :class:`HwgenError`, one sentence, for a missing or damaged file, a missing array (or ``y`` when
    ``need_labels``), no samples, values that are not finite numbers, a shape that does not fit, or labels that are not
    one integer per sample.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist" if not path.exists() else "is not a regular file"
        raise HwgenError(f"{path} {what}; give an .npz file with an array x")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist()}
            wanted = _names(members, inputs)
            arrays = {key: _read(archive, members[key]) for key in (*wanted, "y") if key in members}
    except HwgenError as error:
        raise HwgenError(f"{path}: {error}") from None
    except _DAMAGE as error:
        raise HwgenError(f"{path} is not an .npz file or is damaged; write it with numpy.savez") from error
    try:
        return _checked(arrays, wanted, inputs, need_labels)
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


def _checked(arrays: dict[str, Array], names: Sequence[str], inputs: Sequence[FloatInput], need_labels: bool) -> Data:
    samples = {name: arrays[name] for name in names}
    for name, x in samples.items():
        _check_values(name, x)
    lengths = {name: len(x) for name, x in samples.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{length} in {name}" for name, length in lengths.items())
        raise HwgenError(f"each input must have as many samples, not {found}")
    count, y = lengths[names[0]], arrays.get("y")
    if y is None:
        if need_labels:
            raise HwgenError("there are no labels y in it, which are needed here; save them as y")
        data = Data(samples)
    else:
        if y.dtype.kind not in "ui" or y.shape != (count,) or (y.size and int(y.min()) < 0):
            raise HwgenError(
                f"labels y must be one class number (integer, 0 and up) for each of the {count} samples,"
                f" not {y.dtype} of shape {y.shape}"
            )
        data = Data(samples, y.astype(np.int64))
    data.channel_last(inputs)
    return data


def _check_values(name: str, x: Array) -> None:
    if x.dtype.kind not in "buif":
        raise HwgenError(f"{name} holds {x.dtype}, not real numbers; save it as a plain array of numbers")
    if x.ndim < 2 or 0 in x.shape:
        raise HwgenError(f"{name} has shape {x.shape}, which holds no samples; save it as (N, ...) with N at least 1")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise HwgenError(f"{name} has NaN or infinite values; clean the data")
    if x.dtype.kind == "f" and float(np.abs(x).max()) > MAX_VALUE:
        raise HwgenError(f"{name} has values beyond {MAX_VALUE:g}; scale the data")
