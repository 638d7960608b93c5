"""Writes an ONNX graph node by node: names, constants, and the quantizers that tell a tensor's integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.shape_inference import infer_shapes

from ..codes import Codebook, minifloat
from ..floatnet import Shape
from ..importers.quantizers import DOMAINS, as_identities
from ..interval import Interval

__all__ = ["FLOAT", "WIDE", "GraphWriter"]

OPSET = 13
DOMAIN = DOMAINS[0]

FLOAT, WIDE = TensorProto.FLOAT, TensorProto.DOUBLE
"""The type of tensors and sums below 2**24, and that of requantization, exact below 2**53."""


class GraphWriter:
    """Nodes and constants so far. A tensor is known by its name; maps are (1, C, H, W), integers in float32."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._used: set[str] = set()
        self._shared: dict[tuple[str, bytes, tuple[int, ...]], str] = {}

    def reserve(self, name: str) -> None:
        """Keep ``name`` for a tensor that comes later."""
        self._used.add(name)

    def input(self, name: str, shape: Shape) -> str:
        """A graph input (1, C, H, W) for a map of ``shape``."""
        height, width, channels = shape
        self._used.add(name)
        self._inputs.append(helper.make_tensor_value_info(name, FLOAT, (1, channels, height, width)))
        return name

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """A constant of ``values``, which must be exact in ``dtype``."""
        array = np.array(values, dtype, order="C")
        if not np.array_equal(array, np.asarray(values)):
            raise ValueError(f"constants must be exact in {array.dtype}")
        key = (array.dtype.str, array.tobytes(), array.shape)
        if key not in self._shared:
            name = self._fresh("constant")
            self._constants.append(numpy_helper.from_array(array, name))
            self._shared[key] = name
        return self._shared[key]

    def node(self, operator: str, *inputs: str, name: str = "", domain: str = "", **attributes: Any) -> str:
        """A node of one output; name: of the output, a reserved one, else a new one is made."""
        name = name or self._fresh(operator.lower())
        self._nodes.append(helper.make_node(operator, inputs, [name], name=f"{name}_node", domain=domain, **attributes))
        return name

    def cast(self, value: str, to: int) -> str:
        return self.node("Cast", value, to=to)

    def quantized(self, value: str, interval: Interval, name: str = "") -> str:
        """``value``, integers of ``interval`` already, behind a Quant that says so to other tools."""
        return self.node(
            "Quant",
            value,
            self.constant(1.0),
            self.constant(0.0),
            self.constant(float(interval.bits)),
            name=name,
            domain=DOMAIN,
            signed=int(interval.signed),
            narrow=0,
            rounding_mode="ROUND",
        )

    def weights(self, levels: npt.NDArray[np.int64], book: Codebook) -> str:
        """A constant of ``levels`` of ``book``: behind a FloatQuant where that is a minifloat, else behind a Quant."""
        value = self.constant(levels)
        form = _minifloat_form(book)
        if form is None:
            return self.quantized(value, Interval.hull((*book.levels, -1)))
        exponent, mantissa = form
        # With this bias the smallest number is 1, so that the numbers are the levels themselves.
        parameters = (1.0, float(exponent), float(mantissa), float(1 - mantissa), float(book.max_level))
        return self.node(
            "FloatQuant",
            value,
            *map(self.constant, parameters),
            domain=DOMAIN,
            has_inf=0,
            has_nan=0,
            has_subnormal=1,
            saturation=1,
            rounding_mode="ROUND",
        )

    def model(self, name: str, outputs: dict[str, Shape], metadata: dict[str, str]) -> onnx.ModelProto:
        """The model, with the shape of every tensor in it."""
        ends = [
            helper.make_tensor_value_info(output, FLOAT, (1, shape[2], shape[0], shape[1]))
            for output, shape in outputs.items()
        ]
        graph = helper.make_graph(self._nodes, name, self._inputs, ends, self._constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="hwgen")
        helper.set_model_props(model, metadata)
        with as_identities(model.graph):
            inferred = infer_shapes(model, strict_mode=True).graph.value_info
        model.graph.value_info.extend(inferred)
        for tensor in self._constants:  # executors that run node by node look up constants here as well
            model.graph.value_info.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        return model

    def _fresh(self, wish: str) -> str:
        number = 1
        while f"{wish}_{number}" in self._used:
            number += 1
        self._used.add(f"{wish}_{number}")
        return f"{wish}_{number}"


def _minifloat_form(book: Codebook) -> tuple[int, int] | None:
    """Exponent and mantissa bits where ``book`` has the levels of a minifloat, else None."""
    for exponent in range(2, 5):
        for mantissa in range(4):
            if set(minifloat(exponent, mantissa).levels) == set(book.levels):
                return exponent, mantissa
    return None
