"""A network as a QONNX model."""

from __future__ import annotations

import time

from ..files import existing_file
from ..tools import Progress
from .common import PathLike, Result, result_of, since

__all__ = ["export"]


def export(network: PathLike, output: PathLike, *, progress: Progress | None = None) -> Result:
    """Write the network file ``network`` as the QONNX model ``output`` (.onnx), which computes the same integers.

    Returns ``network, model, identity, nodes, seconds``. Raises :class:`HwgenError` for numbers beyond 2**53.
    """
    from .. import store
    from ..export.qonnx import export as write

    started = time.monotonic()
    path = existing_file(network, "network file")
    loaded = store.load(path)
    model = write(loaded, output)
    nodes = len(model.graph.node)
    return result_of(network=path, model=output, identity=store.identity(loaded), nodes=nodes, seconds=since(started))
