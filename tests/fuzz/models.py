"""Recipes of ONNX models: a random float model as a few numbers in JSON, from which the very same file is made again.

Like the recipes of quantized networks (``recipe.py``), with ``shape`` [C, H, W] of every input and no intervals. Every
entry of ``layers`` is a few ONNX nodes, the last of which makes the tensor of the entry's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any
from zlib import crc32

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .operators import BUILDERS

__all__ = ["Model", "Recipe", "build_model", "describe_model"]

Recipe = dict[str, Any]

OPSET = 20

LARGEST = 2000
"""Values of a map, at most."""


def build_model(recipe: Recipe) -> Model:
    """The model of ``recipe``. ``ValueError`` when its nodes do not fit together."""
    model = Model(recipe["seed"])
    for entry in recipe["inputs"]:
        model.add_input(entry)
    for entry in recipe["layers"]:
        model.append(entry)
    return model


def describe_model(recipe: Recipe, name: str) -> dict[str, Any] | None:
    """An input that is like tensor ``name``: a map, not a vector."""
    shape = build_model(recipe).shapes[name]
    return {"name": name, "shape": list(shape[1:])} if len(shape) == 4 else None


class Model:
    """The nodes so far, and the shape of every tensor; the batch axis is 1."""

    def __init__(self, seed: int) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.inputs: list[str] = []
        self._seed = seed
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._entry = ""

    def add_input(self, entry: Mapping[str, Any]) -> None:
        self.shapes[entry["name"]] = (1, *entry["shape"])
        self.inputs.append(entry["name"])

    def append(self, entry: Mapping[str, Any]) -> tuple[int, ...]:
        """The nodes of one entry of a recipe; returns the shape of what they make.

        ``ValueError`` when that is nothing or too much, or a node does not fit; the model is then as it was before.
        """
        before = dict(self.shapes), list(self._nodes), list(self._constants)
        rng = np.random.default_rng([self._seed, crc32(entry["name"].encode())])
        self._entry = entry["name"]
        try:
            made = BUILDERS[entry["kind"]](self, rng, entry, *entry["sources"])
            self._nodes[-1].output[0] = entry["name"]
            shape = self.shapes[entry["name"]] = self.shapes.pop(made)
            if not 0 < prod(shape) <= LARGEST:
                raise ValueError(f"{entry['name']}: its shape {shape} must have 1..{LARGEST} values")
        except ValueError:
            self.shapes, self._nodes, self._constants = before
            raise
        self.shapes = before[0] | {entry["name"]: shape}  # what lies between the entry's nodes is its own affair
        return shape

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """One node of one output; its shape comes from ONNX itself."""
        name = f"{self._entry}_{len(self._nodes)}"
        node = helper.make_node(operator, list(inputs), [name], name, **attributes)
        values = [
            helper.make_tensor_value_info(source, TensorProto.FLOAT, self.shapes[source])
            for source in dict.fromkeys(inputs)
            if source in self.shapes
        ]
        used = [tensor for tensor in self._constants if tensor.name in inputs]
        result = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        alone = helper.make_model(
            helper.make_graph([node], "node", values, [result], used), opset_imports=[helper.make_opsetid("", OPSET)]
        )
        try:
            inferred = onnx.shape_inference.infer_shapes(alone, strict_mode=True, data_prop=True)
        except onnx.shape_inference.InferenceError as error:
            raise ValueError(str(error)) from error
        self.shapes[name] = tuple(axis.dim_value for axis in inferred.graph.output[0].type.tensor_type.shape.dim)
        self._nodes.append(node)
        return name

    def constant(self, value: Any) -> str:
        """An initializer: float32, or int64 for integers."""
        array = np.asarray(value)
        name = f"{self._entry}_c{len(self._constants)}"
        kind = np.int64 if array.dtype.kind in "iu" else np.float32
        self._constants.append(numpy_helper.from_array(array.astype(kind), name))
        return name

    def proto(self, outputs: Sequence[str]) -> onnx.ModelProto:
        """The model with ``outputs``, checked by ONNX."""
        graph = helper.make_graph(
            self._nodes,
            "fuzz",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shapes[name]) for name in self.inputs],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shapes[name]) for name in outputs],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
        onnx.checker.check_model(model, full_check=True)
        return model
