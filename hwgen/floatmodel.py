"""The float model beside a network file, so that ``hwgen eval NET`` needs no second argument.

``net.npz`` gets a companion ``net.float.onnx``: the ONNX model that it was quantized from, weights of external files
included, marked with the network's identity so that a companion of another network is noticed.
"""

from __future__ import annotations

from pathlib import Path

from .errors import HwgenError
from .files import new_file
from .floatnet import FloatNetwork
from .network import Network

__all__ = ["companion", "keep_model", "kept_model"]

KEY = "hwgen.network"
"""ONNX metadata that holds the identity."""


def companion(network_file: Path) -> Path:
    """Where the float model of ``network_file`` is kept."""
    return network_file.with_suffix(".float.onnx")


def keep_model(network: Network, model: Path, network_file: Path) -> None:
    """Write the companion of ``network_file``, which holds ``network``, from the ONNX file ``model``."""
    from . import store
    from .importers.files import load_external_data, read_model

    proto = read_model(model)
    load_external_data(proto, model.parent)
    # A model that was itself such a companion is marked anew.
    others = [entry for entry in proto.metadata_props if entry.key != KEY]
    del proto.metadata_props[:]
    proto.metadata_props.extend(others)
    proto.metadata_props.add(key=KEY, value=store.identity(network))
    with new_file(companion(network_file)) as staging:
        staging.write_bytes(proto.SerializeToString(deterministic=True))


def kept_model(network: Network, network_file: Path) -> FloatNetwork:
    """The float network that ``network``, loaded from ``network_file``, was quantized from.

    Raises :class:`HwgenError` when the companion is missing or belongs to another network.
    """
    from . import store
    from .importers import load_model
    from .importers.files import read_model
    from .lower import lower

    path = companion(network_file)
    if not path.is_file():
        raise HwgenError(f"{path} is missing, the float model of {network_file.name}; quantize again or copy both")
    marks = [entry.value for entry in read_model(path).metadata_props if entry.key == KEY]
    if marks != [store.identity(network)]:
        raise HwgenError(f"{path} is not the float model that {network_file.name} was made from; quantize again")
    return lower(load_model(path), network.normalization)
