"""Networks on disk: one ``.npz`` archive, the arrays plus one JSON header. Nothing is ever unpickled.

The header (array ``header``, UTF-8 bytes) holds everything that is not an array and the version of this format; array
``3.codes`` is the codes of layer 3. The same content also defines the network's identity, a hash that the file carries
and that a generated core reports, so that the two can be matched.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
import zlib
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .codes import Codebook
from .errors import HwgenError
from .files import existing_file, new_file
from .floatnet import Normalization, PoolKind
from .interval import Interval
from .network import Conv, Layer, Network, Pool, Requant, Tensor

__all__ = ["FORMAT", "VERSION", "check_place", "identity", "load", "save"]

FORMAT = "hwgen network"
VERSION = 1
HEADER = "header"

Arrays = dict[str, npt.NDArray[Any]]
Header = dict[str, Any]

DTYPES = {"codes": "<u1", "weight_scale": "<f8", "pad_value": "<i8", "mul": "<i8", "add": "<i8"}
"""Little-endian whatever the machine, so that file and identity are the same everywhere."""

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
            contents: Any = {HEADER: np.frombuffer(_text(header), np.uint8), **arrays}
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
        return _unpack(header, arrays)
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


def _text(header: Header) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _digest(header: Header, arrays: Arrays) -> str:
    digest = hashlib.sha256(_text(header))
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


def _pack(network: Network) -> tuple[Header, Arrays]:
    arrays: Arrays = {}
    header = {
        "format": FORMAT,
        "version": VERSION,
        "name": network.name,
        "input": _pack_tensor(network.input),
        "layers": [_pack_layer(layer, f"{index}.", arrays) for index, layer in enumerate(network.layers)],
        "notes": list(network.notes),
        "normalization": {name: [float(v) for v in values] for name, values in asdict(network.normalization).items()},
    }
    return json.loads(_text(header)), arrays  # through JSON, so that tuples are lists before the hash and after loading


def _pack_tensor(tensor: Tensor) -> Header:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "interval": [int(tensor.interval.lo), int(tensor.interval.hi)],
        "scale": float(tensor.scale),
    }


def _pack_layer(layer: Layer, prefix: str, arrays: Arrays) -> Header:
    header: Header = {
        "kind": "conv" if isinstance(layer, Conv) else layer.kind.value,
        "name": layer.name,
        "source": layer.source,
        "input_shape": list(layer.input_shape),
        "stride": list(layer.stride),
        "pads": list(layer.pads),
        "output": _pack_tensor(layer.output),
    }
    if isinstance(layer, Conv):
        book = layer.codebook
        header["codebook"] = {"name": book.name, "bits": book.bits, "levels": list(book.levels)}
        fields = {"codes": layer.codes, "weight_scale": layer.weight_scale, "pad_value": layer.pad_value}
    else:
        header["kernel"] = list(layer.kernel)
        fields = {}
    if layer.requant is not None:
        header["requant"] = {name: int(getattr(layer.requant, name)) for name in ("shift", "lo", "hi")}
        fields |= {"mul": layer.requant.mul, "add": layer.requant.add}
    arrays |= {prefix + name: np.ascontiguousarray(value, DTYPES[name]) for name, value in fields.items()}
    return header


def _unpack(header: Header, arrays: Arrays) -> Network:
    normalization = {name: tuple(values) for name, values in header["normalization"].items()}
    layers = tuple(_unpack_layer(item, f"{index}.", arrays) for index, item in enumerate(header["layers"]))
    return Network(
        header["name"], _unpack_tensor(header["input"]), layers, tuple(header["notes"]), Normalization(**normalization)
    )


def _unpack_tensor(header: Header) -> Tensor:
    if not (isfinite(header["scale"]) and header["scale"] > 0):
        raise ValueError("a scale must be positive and finite")
    return Tensor(header["name"], _numbers(header["shape"], 3), Interval(*header["interval"]), header["scale"])


def _numbers(values: list[int], count: int) -> Any:
    if len(values) != count or not all(type(value) is int for value in values):
        raise ValueError(f"there must be {count} whole numbers")
    return tuple(values)


def _unpack_layer(header: Header, prefix: str, arrays: Arrays) -> Layer:
    def array(name: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        value = arrays[prefix + name]
        if value.dtype.str.lstrip("|<") != DTYPES[name].lstrip("|<") or value.ndim != len(shape):
            raise ValueError(f"{prefix}{name} must be {DTYPES[name]} of {len(shape)} dimensions")
        if any(want >= 0 and want != have for want, have in zip(shape, value.shape, strict=True)):
            raise ValueError(f"{prefix}{name} must have shape {shape}")
        return value

    common = {
        "name": header["name"],
        "source": header["source"],
        "input_shape": _numbers(header["input_shape"], 3),
        "stride": _numbers(header["stride"], 2),
        "pads": _numbers(header["pads"], 4),
        "output": _unpack_tensor(header["output"]),
    }
    channels = common["output"].shape[2]
    rule = header.get("requant")
    requant = rule and Requant(
        array("mul", (channels,)), array("add", (channels,)), rule["shift"], rule["lo"], rule["hi"]
    )
    if header["kind"] != "conv":
        kind = PoolKind(header["kind"])
        if (requant is None) != (kind is PoolKind.MAX):
            raise ValueError("an average pool, and only that, must have a requantization")
        return Pool(kind=kind, kernel=_numbers(header["kernel"], 2), requant=requant, **common)
    if requant is None:
        raise ValueError("a convolution must have a requantization")
    book = Codebook(header["codebook"]["name"], header["codebook"]["bits"], tuple(header["codebook"]["levels"]))
    inputs = common["input_shape"][2]
    codes = array("codes", (channels, -1, -1, inputs))
    book.decode(codes)  # refuses codes that do not exist
    return Conv(
        codes=codes,
        codebook=book,
        weight_scale=array("weight_scale", (channels,)),
        pad_value=array("pad_value", (inputs,)),
        requant=requant,
        **common,
    )
