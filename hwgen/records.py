"""A :class:`Network` as JSON header and arrays, and back, strictly: what the network file holds.

The header holds everything that is not an array; array ``3.codes`` is the codes of layer 3. Reading believes nothing:
every number has its type, every array its element type and number of dimensions, and the classes check the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from .codes import Codebook
from .floatnet import Layout, Normalization, PoolKind
from .interval import Interval
from .network import Add, Concat, Conv, Layer, Network, Pool, Remap, Requant, Rescale, Rewriting, Table, Tensor

__all__ = ["Arrays", "Header", "header_text", "pack", "unpack"]

Arrays = dict[str, npt.NDArray[Any]]
Header = dict[str, Any]

ARRAYS = {
    "codes": ("<u1", 4),
    "weight_scale": ("<f8", 1),
    "pad_value": ("<i8", 1),
    "mul": ("<i8", 1),
    "add": ("<i8", 1),
    "values": ("<i8", 2),
    "rows": ("<i8", 1),
    "row_offset": ("<i8", 1),
    "columns": ("<i8", 1),
    "channels": ("<i8", 1),
}
"""Element type and dimensions by name. Little-endian whatever the machine, so that file and identity are the same."""


CODE_BITS = 8
"""Bits of a code in its array."""


def header_text(header: Header) -> bytes:
    """The one way in which ``header`` is written: sorted keys, no spaces."""
    return json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def pack(network: Network) -> tuple[Header, Arrays]:
    """Header and arrays of ``network``."""
    arrays: Arrays = {}
    header = {
        "name": network.name,
        "inputs": [_pack_tensor(tensor) for tensor in network.inputs],
        "layers": [_pack_layer(layer, f"{index}.", arrays) for index, layer in enumerate(network.layers)],
        "outputs": network.outputs,
        "notes": network.notes,
        "normalization": {name: [float(v) for v in values] for name, values in asdict(network.normalization).items()},
        "layouts": [layout.value for layout in network.layouts],
    }
    if network.rewriting is not None:
        header["rewriting"] = asdict(network.rewriting)
    return json.loads(header_text(header)), arrays  # through JSON: tuples are lists before the hash and after loading


def unpack(header: Header, arrays: Arrays) -> Network:
    """The network of ``header`` and ``arrays``. Raises what NumPy, Python and our classes raise for anything else."""
    normalization = {name: tuple(map(_real, values)) for name, values in header["normalization"].items()}
    network = Network(
        name=_text(header["name"]),
        inputs=tuple(map(_unpack_tensor, header["inputs"])),
        layers=tuple(_unpack_layer(item, _Reader(arrays, f"{i}.")) for i, item in enumerate(header["layers"])),
        outputs=_texts(header["outputs"]),
        notes=_texts(header["notes"]),
        normalization=Normalization(**normalization),
        layouts=tuple(map(Layout, header["layouts"])),
        rewriting=_unpack_rewriting(header["rewriting"]) if "rewriting" in header else None,
    )
    if len(header["layouts"]) != len(network.inputs):
        raise ValueError("there must be a layout for every input")
    return network


def _pack_tensor(tensor: Tensor) -> Header:
    return {
        "name": tensor.name,
        "shape": tensor.shape,
        "interval": [int(tensor.interval.lo), int(tensor.interval.hi)],
        "scale": float(tensor.scale),
    }


def _unpack_rewriting(item: Any) -> Rewriting:
    return Rewriting(methods=_text(item["methods"]), code=_text(item["code"]))


def _unpack_tensor(header: Header) -> Tensor:
    scale = _real(header["scale"])
    if not scale > 0:
        raise ValueError("a scale must be positive")
    return Tensor(
        _text(header["name"]), _numbers(header["shape"], 3, least=1), Interval(*_numbers(header["interval"], 2)), scale
    )


def _pack_layer(layer: Layer, prefix: str, arrays: Arrays) -> Header:
    header: Header = {"kind": type(layer).__name__.lower(), "name": layer.name, "output": _pack_tensor(layer.output)}
    found: dict[str, npt.NDArray[Any]] = {}
    match layer:
        case Conv():
            book = layer.codebook
            header |= _pack_window(layer)
            header |= {
                "groups": layer.groups,
                "codebook": {"name": book.name, "bits": book.bits, "levels": book.levels},
                "requant": _pack_requant(layer.requant, found),
            }
            found |= {"codes": layer.codes, "weight_scale": layer.weight_scale, "pad_value": layer.pad_value}
        case Pool():
            header |= _pack_window(layer)
            header |= {
                "pool": layer.kind.value,
                "kernel": layer.kernel,
                "divisors": layer.divisors,
                "requant": None if layer.requant is None else _pack_requant(layer.requant, found),
            }
        case Add():
            header |= {"sources": layer.sources, "mul": [int(mul) for mul in layer.mul]}
            header |= {name: int(getattr(layer, name)) for name in ("shift", "lo", "hi")}
            found["add"] = layer.add
        case Concat():
            rescale = [None if rule is None else {k: int(v) for k, v in asdict(rule).items()} for rule in layer.rescale]
            header |= {"sources": layer.sources, "input_shapes": layer.input_shapes, "rescale": rescale}
        case Table():
            header["source"] = layer.source
            found["values"] = layer.values
        case Remap():
            header |= {"source": layer.source, "input_shape": layer.input_shape, "fill": int(layer.fill)}
            found |= {name: getattr(layer, name) for name in ("rows", "row_offset", "columns", "channels")}
    arrays |= {prefix + name: np.ascontiguousarray(value, ARRAYS[name][0]) for name, value in found.items()}
    return header


def _pack_window(layer: Conv | Pool) -> Header:
    return {
        "source": layer.source,
        "input_shape": layer.input_shape,
        "stride": layer.stride,
        "pads": layer.pads,
        "dilation": layer.dilation,
    }


def _pack_requant(requant: Requant, found: dict[str, npt.NDArray[Any]]) -> Header:
    found |= {"mul": requant.mul, "add": requant.add}
    return {name: int(getattr(requant, name)) for name in ("shift", "lo", "hi")}


class _Reader:
    """The arrays of one layer."""

    def __init__(self, arrays: Arrays, prefix: str) -> None:
        self._arrays, self._prefix = arrays, prefix

    def __call__(self, name: str) -> npt.NDArray[Any]:
        value, (dtype, dimensions) = self._arrays[self._prefix + name], ARRAYS[name]
        if value.dtype.str.lstrip("|<") != dtype.lstrip("|<") or value.ndim != dimensions:
            raise ValueError(f"{self._prefix}{name} must be {dtype} of {dimensions} dimensions")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ValueError(f"{self._prefix}{name} must be finite")
        return value


def _unpack_layer(header: Header, array: _Reader) -> Layer:
    return _KINDS[header["kind"]](
        header, array, {"name": _text(header["name"]), "output": _unpack_tensor(header["output"])}
    )


def _conv(header: Header, array: _Reader, common: Header) -> Conv:
    about = header["codebook"]
    bits = _number(about["bits"], least=1)
    if bits > CODE_BITS:
        raise ValueError("a code must fit its array")
    book = Codebook(_text(about["name"]), bits, tuple(map(_number, about["levels"])))
    codes = array("codes")
    book.decode(codes)  # refuses codes that do not exist
    return Conv(
        codes=codes,
        codebook=book,
        weight_scale=array("weight_scale"),
        pad_value=array("pad_value"),
        requant=_unpack_requant(header["requant"], array),
        groups=_number(header["groups"], least=1),
        **_unpack_window(header),
        **common,
    )


def _pool(header: Header, array: _Reader, common: Header) -> Pool:
    divisors = header["divisors"]
    return Pool(
        kind=PoolKind(header["pool"]),
        kernel=_numbers(header["kernel"], 2, least=1),
        requant=None if header["requant"] is None else _unpack_requant(header["requant"], array),
        divisors=None if divisors is None else tuple(_numbers(part, least=1) for part in divisors),
        **_unpack_window(header),
        **common,
    )


def _add(header: Header, array: _Reader, common: Header) -> Add:
    return Add(
        sources=_texts(header["sources"]),
        mul=tuple(map(_number, header["mul"])),
        add=array("add"),
        shift=_number(header["shift"]),
        lo=_number(header["lo"]),
        hi=_number(header["hi"]),
        **common,
    )


def _concat(header: Header, array: _Reader, common: Header) -> Concat:
    return Concat(
        sources=_texts(header["sources"]),
        input_shapes=tuple(_numbers(shape, 3) for shape in header["input_shapes"]),
        rescale=tuple(
            None if rule is None else Rescale(**{name: _number(value) for name, value in rule.items()})
            for rule in header["rescale"]
        ),
        **common,
    )


def _table(header: Header, array: _Reader, common: Header) -> Table:
    return Table(source=_text(header["source"]), values=array("values"), **common)


def _remap(header: Header, array: _Reader, common: Header) -> Remap:
    return Remap(
        source=_text(header["source"]),
        input_shape=_numbers(header["input_shape"], 3),
        fill=_number(header["fill"]),
        rows=array("rows"),
        row_offset=array("row_offset"),
        columns=array("columns"),
        channels=array("channels"),
        **common,
    )


_KINDS: dict[str, Callable[[Header, _Reader, Header], Layer]] = {
    "conv": _conv,
    "pool": _pool,
    "add": _add,
    "concat": _concat,
    "table": _table,
    "remap": _remap,
}


def _unpack_window(header: Header) -> Header:
    return {
        "source": _text(header["source"]),
        "input_shape": _numbers(header["input_shape"], 3),
        "stride": _numbers(header["stride"], 2, least=1),
        "pads": _numbers(header["pads"], 4, least=0),
        "dilation": _numbers(header["dilation"], 2, least=1),
    }


def _unpack_requant(header: Header, array: _Reader) -> Requant:
    rule = {name: _number(header[name]) for name in ("shift", "lo", "hi")}
    return Requant(mul=array("mul"), add=array("add"), **rule)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a name must be text")
    return value


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise ValueError("there must be a list of texts")
    return tuple(map(_text, values))


def _number(value: Any, least: int | None = None) -> int:
    if type(value) is not int or (least is not None and value < least):
        raise ValueError("there must be a whole number" if least is None else f"a number must be at least {least}")
    return value


def _real(value: Any) -> float:
    if type(value) is not float or not isfinite(value):
        raise ValueError("there must be a finite number")
    return value


def _numbers(values: Any, count: int | None = None, least: int | None = None) -> Any:
    if not isinstance(values, list) or (count is not None and len(values) != count):
        raise ValueError("there must be a list of the right length")
    return tuple(_number(value, least) for value in values)
