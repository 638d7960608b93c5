"""Reads model files without trusting them: sizes are checked first, nothing outside the model's folder is opened."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # its stubs are a package of their own
from onnx import TensorProto, helper

from ..errors import HwgenError

__all__ = ["load_external_data", "read_model"]

MAX_BYTES = 1 << 30
"""Largest model or weight file; protocol buffers themselves end at 2 GiB."""


def read_model(path: Path) -> onnx.ModelProto:
    """The ONNX model in ``path``, weights in other files not yet loaded; a TFLite model as an ONNX model.

    Raises :class:`HwgenError` when there is no such file, or it is too large or not such a model.
    """
    if path.is_dir():
        raise HwgenError(f"{path} is a folder; give the .onnx file in it")
    if not path.exists():
        raise HwgenError(f"{path} does not exist; give the path of an .onnx file")
    if not path.is_file():
        raise HwgenError(f"{path} is not a regular file; give the path of an .onnx file")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise HwgenError(f"{path} is larger than {MAX_BYTES >> 20} MiB, too large for any FPGA; reduce the model")
        data = path.read_bytes()
    except OSError as error:
        raise HwgenError(f"{path} cannot be read: {error.strerror}") from error
    if not data:
        raise HwgenError(f"{path} is empty; export the model again")
    if data[:4] == b"PK\x03\x04":
        raise HwgenError(f"{path} is a zip archive (a PyTorch checkpoint or .npz?), not ONNX; export the model to ONNX")
    if data[4:8] == b"TFL3" or path.suffix.lower() == ".tflite":
        # Imported here because few need it, and its parser takes time to load.
        from .tflite import to_onnx

        try:
            return to_onnx(data)
        except HwgenError as error:
            raise HwgenError(f"{path}: {error}") from error.__cause__
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise HwgenError(f"{path} is not an ONNX model or is truncated; export the model again") from error
    if not model.ir_version or not model.HasField("graph") or not model.opset_import:
        raise HwgenError(f"{path} is not an ONNX model; export the model again")
    if not all(isinstance(name, str) for name in _names(model)):
        raise HwgenError(f"{path} has a name that is not text, it is damaged; export the model again")
    return model


def _names(model: onnx.ModelProto) -> Iterator[object]:
    """Every name that later code uses as text; the protobuf library hands out bytes where they are not UTF-8."""
    for entry in model.opset_import:
        yield entry.domain
    for node in model.graph.node:
        yield from (node.op_type, node.name, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    for tensor in model.graph.initializer:
        yield tensor.name
        yield from (part for entry in tensor.external_data for part in (entry.key, entry.value))
    for value in (*model.graph.input, *model.graph.output):
        yield value.name


def load_external_data(model: onnx.ModelProto, folder: Path) -> None:
    """Brings weights that lie in other files of ``folder`` into ``model``, in place.

    Raises :class:`HwgenError` for a file outside the folder (it is never opened) or of the wrong size.
    """
    tensors = [*model.graph.initializer]
    tensors += [a.t for node in model.graph.node for a in node.attribute if a.type == onnx.AttributeProto.TENSOR]
    for tensor in tensors:
        if tensor.data_location == TensorProto.EXTERNAL:
            tensor.raw_data = _external_bytes(tensor, folder.resolve())
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]


def _external_bytes(tensor: onnx.TensorProto, folder: Path) -> bytes:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    label = f"weight {tensor.name!r} in file {location!r}"
    try:
        # Resolved first, so that neither ".." nor a link leads outside.
        path = (folder / location).resolve()
        offset = int(entries.get("offset", "0"))
        itemsize = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        raise HwgenError(f"{label} has a wrong entry; export the model again") from error
    if not location or not path.is_relative_to(folder):
        raise HwgenError(f"{label} lies outside the model's folder and is not read; put it beside the model")
    if not path.is_file():
        raise HwgenError(f"{label} is missing; put it beside the model")
    size = prod(tensor.dims) * itemsize
    if offset < 0 or size < 0 or size > MAX_BYTES or offset + size > path.stat().st_size:
        raise HwgenError(f"{label} does not fit the file; export the model again")
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)
