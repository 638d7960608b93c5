"""Writes the ONNX model that a TFLite model becomes: names, constants, and the quantization of every tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from ...errors import HwgenError
from .schema import Model, Operator, Quantization, Tensor

__all__ = ["OPSET", "Writer"]

OPSET = 21
"""The ONNX operator set that is written: the first whose QuantizeLinear takes 16 bits."""

FROM_NHWC, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)

_AROUND = frozenset({"Cast", "Clip", "DequantizeLinear", "QuantizeLinear", "Relu", "Reshape", "Transpose", "Unsqueeze"})

_ACTIVATIONS: dict[int, tuple[str, tuple[float, ...]]] = {
    1: ("Relu", ()),
    2: ("Clip", (-1.0, 1.0)),
    3: ("Clip", (0.0, 6.0)),
    4: ("Tanh", ()),
}


class Writer:
    """Nodes so far. A tensor of the TFLite model is known by its index, one of the ONNX model by its name.

    operator, index: the one that is being converted, for names and messages.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.nodes: list[onnx.NodeProto] = []
        self.operator = Operator("", (), (), {})
        self.index = 0
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._names: dict[int, str] = {}  # tensors that a node or the input makes
        self._maps: dict[int, str] = {}  # the same as (N, C, H, W)
        self._constants: dict[tuple[Any, ...], str] = {}
        self._used: set[str] = set()
        self._integers: set[str] = set()

    # Messages

    @property
    def label(self) -> str:
        return f"{self.operator.code.lower()}_{self.index}" if self.operator.code else "input"

    def error(self, reason: str) -> HwgenError:
        """The error for the operator because of ``reason``, to be raised by the caller."""
        return HwgenError(f"node {self.label!r} ({self.operator.code}): {reason}")

    # Tensors

    def tensor(self, position: int) -> Tensor:
        """Input ``position`` of the operator."""
        inputs = self.operator.inputs
        if position >= len(inputs) or inputs[position] < 0:
            raise self.error("an input is missing; export the model again")
        return self.model.tensors[inputs[position]]

    def has(self, position: int) -> bool:
        """Whether input ``position`` is there."""
        return position < len(self.operator.inputs) and self.operator.inputs[position] >= 0

    def constant(self, position: int) -> npt.NDArray[Any]:
        """Input ``position`` of the operator, which must be a constant, as it stands in the file."""
        data = self.tensor(position).data
        if data is None:
            raise self.error(f"its input {position} must be a constant; simplify the model before export")
        return data

    def whole(self, position: int) -> tuple[int, ...]:
        """Input ``position`` of the operator, a constant of few integers."""
        data = self.constant(position)
        if data.dtype.kind not in "iu" or data.size > 64:
            raise self.error(f"its input {position} must be a few integers; export the model again")
        return tuple(int(value) for value in data.reshape(-1))

    def value(self, position: int, permutation: Sequence[int] | None = None) -> str:
        """Input ``position`` as real numbers, the axes of a constant in the order of ``permutation``."""
        tensor = self.tensor(position)
        index = self.operator.inputs[position]
        if tensor.data is None:
            return self._data(index, permutation)
        key = (index, permutation)
        if key not in self._constants:
            self._constants[key] = self._weights(tensor, permutation)
        return self._constants[key]

    def _data(self, index: int, permutation: Sequence[int] | None) -> str:
        if permutation == FROM_NHWC and index in self._maps:
            return self._maps[index]
        if index not in self._names:
            if index not in self._maps:
                name = self.model.tensors[index].name
                raise self.error(f"its input {name!r} is made by no operator before it; export the model again")
            self._names[index] = self.node("Transpose", [self._maps[index]], perm=TO_NHWC)
        if permutation is None:
            return self._names[index]
        value = self.node("Transpose", [self._names[index]], perm=list(permutation))
        if permutation == FROM_NHWC:
            self._maps[index] = value
        return value

    def _weights(self, tensor: Tensor, permutation: Sequence[int] | None) -> str:
        assert tensor.data is not None
        data, form = tensor.data, tensor.quantization
        if permutation is not None:
            if data.ndim != len(permutation):
                raise self.error(f"its weight has shape {data.shape}, not {len(permutation)} axes; export again")
            data = data.transpose(permutation)
        if data.dtype.kind == "f":
            return self.array(data.astype(np.float32))
        if form is None:
            return self.array(data)
        axis = form.axis if permutation is None else list(permutation).index(form.axis)
        return self._dequantized(self.array(data), data.dtype, form, axis)

    def array(self, values: npt.ArrayLike) -> str:
        """A constant of the ONNX model."""
        name = self.fresh("constant")
        self._initializers[name] = numpy_helper.from_array(np.array(values, order="C"), name)
        return name

    def fresh(self, wish: str) -> str:
        """A new name."""
        name, number = wish, 1
        while name in self._used:
            name, number = f"{wish}_{number}", number + 1
        self._used.add(name)
        return name

    # Nodes

    def node(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """A node of the ONNX model with one output; returns the output's name."""
        return self.nodes_of(operator, inputs, 1, **attributes)[0]

    def nodes_of(self, operator: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        """A node with several outputs; their names."""
        names = [self.fresh(f"{self.label}_{operator}") for _ in range(outputs)]
        # The node that computes has the operator's name, whatever is around it that of its output.
        name = names[0] if operator in _AROUND else self.fresh(self.label)
        self.nodes.append(helper.make_node(operator, list(inputs), names, name=name, **attributes))
        return names

    def activated(self, value: str) -> str:
        """``value`` behind the operator's fused activation."""
        code = self.operator.options.get("FusedActivationFunction", 0)
        if code == 0:
            return value
        if code not in _ACTIVATIONS:
            raise self.error(f"its fused activation {code} is not supported; export without it")
        operator, bounds = _ACTIVATIONS[code]
        return self.node(operator, [value, *(self.array(np.float32(bound)) for bound in bounds)])

    def make(self, value: str, position: int = 0) -> None:
        """``value`` is output ``position`` of the operator, in the format that the model gives that tensor."""
        index = self._new(position)
        self._names[index] = self._formatted(self.model.tensors[index], value)

    def make_map(self, value: str) -> None:
        """As :meth:`make` of the only output, whose axes are in the order of ONNX, (N, C, H, W)."""
        index = self._new(0)
        self._maps[index] = self._formatted(self.model.tensors[index], value)

    def _new(self, position: int) -> int:
        index = self.operator.outputs[position]
        if index in self._names or index in self._maps or self.model.tensors[index].data is not None:
            raise self.error("its output is a constant or made twice; export the model again")
        return index

    def made_integers(self, value: str) -> None:
        """``value`` is int64, should it leave the model."""
        self._integers.add(value)

    def _formatted(self, tensor: Tensor, value: str) -> str:
        form = tensor.quantization
        if form is None or tensor.kind not in ("INT8", "UINT8", "INT16"):
            return value
        if form.scale.size != 1:
            raise self.error(f"tensor {tensor.name!r} has {form.scale.size} scales, only weights may; export again")
        kind = np.dtype(tensor.kind.lower())
        scale, zero = self.array(form.scale[0]), self.array(_zero(form, kind)[0])
        levels = self.node("QuantizeLinear", [value, scale, zero])
        return self.node("DequantizeLinear", [levels, scale, zero])

    def _dequantized(self, name: str, kind: np.dtype[Any], form: Quantization, axis: int) -> str:
        inputs = [name, self.array(form.scale if form.scale.size > 1 else form.scale[0])]
        if kind.itemsize < 4:  # biases have no zero point
            zero = _zero(form, kind)
            spread = np.broadcast_to(zero, form.scale.shape)
            inputs.append(self.array(spread if form.scale.size > 1 else zero[0]))
        return self.node("DequantizeLinear", inputs, axis=axis)

    # The whole

    def add_inputs(self) -> list[onnx.ValueInfoProto]:
        """The inputs of the ONNX model: real numbers, put into the model's format by nodes."""
        values = []
        for index in self.model.inputs:
            tensor = self.model.tensors[index]
            if index in self._names or (tensor.kind != "FLOAT32" and tensor.quantization is None):
                raise HwgenError(f"input {tensor.name!r} is {tensor.kind.lower()}; export it as float or quantized")
            name = self.fresh(tensor.name or "input")
            values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, tensor.shape))
            self._names[index] = self._formatted(tensor, name)
        return values

    def finished(self, inputs: Sequence[onnx.ValueInfoProto]) -> onnx.ModelProto:
        """The ONNX model."""
        outputs = []
        for index in self.model.outputs:
            tensor = self.model.tensors[index]
            if index not in self._names and index not in self._maps:
                raise HwgenError(f"output {tensor.name!r} is made by no operator; export the model again")
            name = self._data(index, None)
            kind = TensorProto.INT64 if name in self._integers else TensorProto.FLOAT
            outputs.append(helper.make_tensor_value_info(name, kind, tensor.shape))
        graph = helper.make_graph(self.nodes, "tflite", list(inputs), outputs, list(self._initializers.values()))
        domains = {node.domain for node in self.nodes} - {""}
        opsets = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(domain, 1) for domain in sorted(domains))]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _zero(form: Quantization, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    limits = np.iinfo(kind)
    if (form.zero < limits.min).any() or (form.zero > limits.max).any():
        raise HwgenError(f"a zero point of the TFLite model does not fit {kind.name}; export it again")
    return form.zero.astype(kind)
