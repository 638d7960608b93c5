"""Runs a float network in NumPy, in batches of bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, overload

import numpy as np
import numpy.typing as npt

from ..floatnet import FloatNetwork
from .kernels import compute, fixed, largest, prepared

__all__ = ["checked_inputs", "evaluate", "evaluate_tensors"]

Array = npt.NDArray[np.floating]
Inputs = npt.ArrayLike | Mapping[str, npt.ArrayLike]

_BATCH_VALUES = 1 << 23
"""Values in the largest intermediate array of a batch: few calls of BLAS, each of which has to start its threads."""


@overload
def evaluate(network: FloatNetwork, x: Inputs, *, every: Literal[False] = False) -> Array: ...
@overload
def evaluate(network: FloatNetwork, x: Inputs, *, every: Literal[True]) -> dict[str, Array]: ...


def evaluate(network: FloatNetwork, x: Inputs, *, every: bool = False) -> Array | dict[str, Array]:
    """The only output (N, H, W, C) of ``network`` for raw input ``x``, or with ``every`` that of each layer.

    x: (N, H, W, C) of the only input, or such an array for every input, by name. Computes in float64 when ``x`` is
    float64, else in float32. ``every``: a dict by layer name, in layer order. Raises ``ValueError`` when ``x`` has
    another shape, or there are several outputs (use :func:`evaluate_tensors`).
    """
    if every:
        return evaluate_tensors(network, x, [layer.name for layer in network.layers])
    (output,) = network.outputs
    return evaluate_tensors(network, x, [output])[output]


def evaluate_tensors(network: FloatNetwork, x: Inputs, names: Iterable[str]) -> dict[str, Array]:
    """The tensors called ``names``, as :func:`evaluate` computes them, by name in the order given."""
    inputs = checked_inputs(network, x)
    count = len(next(iter(inputs.values())))
    dtype = np.result_type(np.float32, *(np.float64 for array in inputs.values() if array.dtype == np.float64))
    wanted = list(dict.fromkeys(names))
    results = {name: np.empty((count, *network.shape(name)), dtype) for name in wanted}
    weights = {layer.name: prepared(layer, dtype) for layer in network.layers}
    uses = Counter(source for layer in network.layers for source in layer.sources)
    batch = max(1, _BATCH_VALUES // max((largest(layer) for layer in network.layers), default=1))
    for start in range(0, count, batch):
        part = slice(start, start + batch)
        tensors: dict[str, Array] = {name: array[part].astype(dtype) for name, array in inputs.items()}
        for entry in network.inputs:
            if entry.fixed is not None:
                tensors[entry.name] = fixed(tensors[entry.name], entry.fixed)
        left = Counter(uses)
        for name in results.keys() & tensors.keys():
            results[name][part] = tensors[name]
        for layer in network.layers:
            made = compute(layer, weights[layer.name], [tensors[source] for source in layer.sources])
            tensors[layer.name] = made
            if layer.name in results:
                results[layer.name][part] = made
            for source in layer.sources:
                left[source] -= 1
                if not left[source]:
                    del tensors[source]  # its last reader is done: memory is that of the tensors still needed
    return results


def checked_inputs(network: FloatNetwork, x: Inputs) -> dict[str, npt.NDArray[np.generic]]:
    """``x`` by input name; ``ValueError`` where names, shapes or numbers of frames are not those of ``network``."""
    given = x if isinstance(x, Mapping) else {network.input.name: x}
    arrays = {source.name: np.asarray(given[source.name]) for source in network.inputs if source.name in given}
    if arrays.keys() != given.keys() or len(arrays) != len(network.inputs):
        raise ValueError(f"x must have {[source.name for source in network.inputs]}, not {list(given)}")
    for source in network.inputs:
        shape = arrays[source.name].shape
        if len(shape) != 4 or shape[1:] != source.shape:
            raise ValueError(f"x must have shape (N, {', '.join(map(str, source.shape))}), not {shape}")
    if len({len(array) for array in arrays.values()}) > 1:
        raise ValueError("x must have the same number of frames for every input")
    return arrays
