"""A whole network on integers: the definition of what the hardware computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from ..errors import HwgenError
from ..interval import Interval
from ..network import Add, Concat, Conv, Layer, Network, Pool, Remap, Table, Tensor
from .add import add
from .concat import concat
from .conv import ConvKernel
from .pool import pool
from .remap import remap
from .table import table
from .walk import by_name, results_of, walk

__all__ = ["input_integers", "layer_function", "quantize_input", "run"]

Values = npt.NDArray[np.int32]


@overload
def quantize_input(network: Network, x: Mapping[str, npt.ArrayLike]) -> dict[str, Values]: ...
@overload
def quantize_input(network: Network, x: npt.ArrayLike) -> Values: ...
def quantize_input(network: Network, x: npt.ArrayLike | Mapping[str, npt.ArrayLike]) -> Values | dict[str, Values]:
    """Input integers of raw data: ``clip(floor(x / scale + 1/2))`` to the input's interval.

    x: (N, H, W, C) raw values of any numeric dtype, or a dict of such by input name (needed for several inputs); the
    result is of the same kind. Integers pass unchanged where the scale is 1. Raises :class:`HwgenError` for a wrong
    shape, a value that is not finite, or inputs that are missing.
    """
    try:
        named = by_name(network, x)
    except ValueError as error:
        raise HwgenError(str(error)) from error
    integers = {source.name: input_integers(source, named[source.name]) for source in network.inputs}
    return integers if isinstance(x, Mapping) else integers[network.input.name]


def input_integers(tensor: Tensor, x: npt.ArrayLike) -> Values:
    """:func:`quantize_input` for an input ``tensor`` whose network does not exist yet."""
    data = np.asarray(x)
    if data.ndim != 4 or data.shape[1:] != tensor.shape or data.dtype.kind not in "iufb":
        shape = ", ".join(map(str, tensor.shape))
        raise HwgenError(f"data must be numbers of shape (N, {shape}), not {data.dtype} of shape {data.shape}")
    lo, hi = tensor.interval.lo, tensor.interval.hi
    if data.dtype.kind in "iu" and tensor.scale == 1:
        return np.clip(data, lo, hi).astype(np.int32)  # clipped in its own dtype: nothing can wrap
    real = data.astype(np.float64)
    if not np.isfinite(real).all():
        raise HwgenError("data must be finite numbers; it holds NaN or infinity")
    return np.clip(np.floor(real / tensor.scale + 0.5), lo, hi).astype(np.int32)


def layer_function(layer: Layer, intervals: Sequence[Interval]) -> Callable[..., Values]:
    """The function of ``layer``, ready to run many times.

    It takes one (N, H, W, C) array of integers for each source and returns (N, OH, OW, O) int32. intervals: of the
    source tensors. Raises ``ValueError`` when a convolution's sum could leave 62 bits.
    """
    match layer:
        case Conv():
            return ConvKernel(layer, intervals[0])
        case Pool():
            return partial(pool, layer, intervals[0])
        case Add():
            return partial(add, layer)
        case Concat():
            return partial(concat, layer)
        case Table():
            return partial(table, layer, intervals[0])
        case Remap():
            return partial(remap, layer)


@overload
def run(network: Network, x: npt.ArrayLike | Mapping[str, npt.ArrayLike], *, every: Literal[False] = False) -> Any: ...
@overload
def run(
    network: Network, x: npt.ArrayLike | Mapping[str, npt.ArrayLike], *, every: Literal[True]
) -> dict[str, Values]: ...
def run(network: Network, x: npt.ArrayLike | Mapping[str, npt.ArrayLike], *, every: bool = False) -> Any:
    """Run ``network`` on input integers ``x``, see :func:`quantize_input`.

    x: (N, H, W, C), or a dict of such by input name (needed for several inputs). Returns the output (N, OH, OW, O)
    int32, a dict of outputs by name when there are several; with ``every``, a dict of every layer's output by name.
    Raises ``ValueError`` when ``x`` is not integers of the inputs' shapes and intervals, with as many frames each.
    """
    data = by_name(network, x)
    for source in network.inputs:
        _check(source, data[source.name], len(data[network.inputs[0].name]))
    tensors = network.tensors
    functions = {
        layer.name: layer_function(layer, [tensors[name].interval for name in layer.sources])
        for layer in network.layers
    }
    results = walk(network, data, lambda layer, *maps: functions[layer.name](*maps), every=every)
    return results_of(network, results, every=every)


def _check(source: Tensor, data: npt.NDArray[Any], count: int) -> None:
    if data.dtype.kind not in "iu" or data.ndim != 4 or data.shape[1:] != source.shape:
        shape = ", ".join(map(str, source.shape))
        raise ValueError(f"x must be integers of shape (N, {shape}), not {data.dtype} of shape {data.shape}")
    if len(data) != count:
        raise ValueError(f"x must hold as many frames for each input, not {count} and {len(data)}")
    lo, hi = source.interval.lo, source.interval.hi
    if data.size and not (lo <= int(data.min()) and int(data.max()) <= hi):
        raise ValueError(f"x must lie in {lo}..{hi}, not {data.min()}..{data.max()}")
