"""A quantized network as a QONNX model that computes the same integers, for other tools to read.

Maps are (1, C, H, W) and hold the network's integers in float32. Standard operators do all the arithmetic, exactly;
``Quant`` and ``FloatQuant`` nodes (https://github.com/fastmachinelearning/qonnx) tell the widths and the codes, and
change no value. The metadata entry ``hwgen.scale.NAME`` is the real value of one unit of an input or output.
"""

from __future__ import annotations

from pathlib import Path

import onnx

from ..errors import HwgenError
from ..files import check_writable, new_file
from ..network import Network
from .graph import GraphWriter
from .layers import write_layer

__all__ = ["export", "to_qonnx"]


def to_qonnx(network: Network) -> onnx.ModelProto:
    """The QONNX model of ``network``: input ``NAME_raw`` takes the integers of input NAME, outputs keep their names.

    Raises :class:`HwgenError` for a layer whose numbers are beyond what ONNX computes exactly.
    """
    writer = GraphWriter()
    tensors = network.tensors
    for name in tensors:
        writer.reserve(name)
    for tensor in network.inputs:
        writer.quantized(writer.input(f"{tensor.name}_raw", tensor.shape), tensor.interval, tensor.name)
    for layer in network.layers:
        write_layer(writer, layer, [tensors[name] for name in layer.sources])
    ends = {name: tensors[name] for name in (*(tensor.name for tensor in network.inputs), *network.outputs)}
    metadata = {f"hwgen.scale.{name}": repr(tensor.scale) for name, tensor in ends.items()}
    outputs = {name: tensors[name].shape for name in network.outputs}
    return writer.model(network.name, outputs, metadata)


def export(network: Network, path: str | Path) -> onnx.ModelProto:
    """Write the QONNX model of ``network`` to ``path``, whole or not at all, and return it.

    Raises :class:`HwgenError` as :func:`to_qonnx` does, and when ``path`` cannot be written.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise HwgenError(f"output {str(path)!r} must end in .onnx; rename it")
    if path.is_dir():
        raise HwgenError(f"output {str(path)!r} is a folder; give a file name")
    check_writable(path)
    model = to_qonnx(network)
    try:
        with new_file(path) as staging:
            staging.write_bytes(model.SerializeToString(deterministic=True))
    except OSError as error:
        raise HwgenError(f"output {str(path)!r} cannot be written: {(error.strerror or str(error)).lower()}") from None
    return model
