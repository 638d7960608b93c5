"""Good models for :mod:`tests.importers.mutants` to spoil: together they reach most of importers and lowering."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .tflite_models import Operator, Tensor, build, constant

__all__ = ["MODELS", "tflite"]

Rng = np.random.Generator


def _tensors(rng: Rng, **shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def _model(nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], opset: int = 17) -> onnx.ModelProto:
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 3, 8, 8))
    sink = helper.make_tensor_value_info("y", TensorProto.FLOAT, ("N", 5))
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "graph", [source], [sink], tensors)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("qonnx.custom_op.general", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _ending(source: str) -> list[onnx.NodeProto]:
    """A Flatten as PyTorch exports it, through a chain of shapes, and a dense layer."""
    return [
        helper.make_node("Shape", [source], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Concat", ["batch", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", [source, "target"], ["flat"]),
        helper.make_node("Gemm", ["flat", "dense", "bias"], ["y"], transB=1),
    ]


def _constants(features: int, rng: Rng) -> dict[str, np.ndarray]:
    weights = _tensors(rng, dense=(5, features), bias=(5,))
    return weights | {"zero": np.array([0]), "rest": np.array([-1])}


def plain(rng: Rng) -> onnx.ModelProto:
    """Convolution, normalisation, pools, a residual and a concatenation."""
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], name="conv", pads=[1] * 4),
        helper.make_node("BatchNormalization", ["c", "g", "b", "m", "v"], ["n"], epsilon=1e-3),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Conv", ["r", "d"], ["e"], pads=[1] * 4, group=4),
        helper.make_node("Add", ["e", "r"], ["s"], name="residual"),
        helper.make_node("MaxPool", ["s"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("AveragePool", ["s"], ["a"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Concat", ["p", "a"], ["t"], axis=1),
        helper.make_node("Sigmoid", ["t"], ["u"]),
        *_ending("u"),
    ]
    weights = _tensors(rng, k=(4, 3, 3, 3), g=(4,), b=(4,), m=(4,), d=(4, 1, 3, 3)) | {"v": np.ones(4, np.float32)}
    return _model(nodes, weights | _constants(128, rng))


def moving(rng: Rng) -> onnx.ModelProto:
    """Slices, padding, resizing, transposed convolution."""
    nodes = [
        helper.make_node("Slice", ["x", "begin", "end", "axes"], ["c"], name="crop"),
        helper.make_node("Pad", ["c", "pads", "fill"], ["d"], name="pad"),
        helper.make_node("ConvTranspose", ["d", "k"], ["e"], name="up", strides=[2, 2]),
        helper.make_node("Resize", ["e", "", "scales"], ["f"], mode="nearest", nearest_mode="floor"),
        helper.make_node("GlobalAveragePool", ["f"], ["g"]),
        helper.make_node("Clip", ["g", "lo", "hi"], ["h"]),
        *_ending("h"),
    ]
    weights = _tensors(rng, k=(3, 4, 2, 2)) | {
        "begin": np.array([1, 1]),
        "end": np.array([7, 7]),
        "axes": np.array([2, 3]),
        "pads": np.array([0, 0, 1, 1, 0, 0, 2, 0]),
        "fill": np.array(0.5, np.float32),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "lo": np.array(-1, np.float32),
        "hi": np.array(1, np.float32),
    }
    return _model(nodes, weights | _constants(4, rng))


def quantized(rng: Rng) -> onnx.ModelProto:
    """QDQ and QONNX nodes, on weights and data."""
    domain = "qonnx.custom_op.general"
    form = ["scale", "zeropt", "bits"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["codes", "ws", "wz"], ["w"], axis=0),
        helper.make_node("Conv", ["xd", "w"], ["c"]),
        helper.make_node("Quant", ["c", *form], ["q"], domain=domain, signed=1, narrow=0, rounding_mode="ROUND"),
        helper.make_node("FloatQuant", ["k", "scale", "e", "mant", "eb", "top"], ["kq"], domain=domain, saturation=1),
        helper.make_node("Conv", ["q", "kq"], ["d"]),
        helper.make_node("BipolarQuant", ["d", "scale"], ["f"], domain=domain),
        *_ending("f"),
    ]
    numbers = {"s": 0.05, "scale": 0.25, "zeropt": 0, "bits": 6, "e": 2, "mant": 1, "eb": 1, "top": 6}
    weights: dict[str, np.ndarray] = {name: np.array(value, np.float32) for name, value in numbers.items()}
    weights |= {"z": np.array(3, np.int8), "codes": rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)}
    weights |= {"ws": rng.random(4).astype(np.float32) + 0.1, "wz": np.zeros(4, np.int8)}
    return _model(nodes, weights | _tensors(rng, k=(4, 4, 3, 3)) | _constants(64, rng))


MODELS = (plain, moving, quantized)


def tflite(rng: Rng) -> bytes:
    """int8, with a convolution, a pool, a reshape and a dense layer."""
    tensors = [
        Tensor((1, 8, 8, 3), "int8", scale=[0.05], zero=[3]),
        constant(rng.integers(-127, 128, (4, 3, 3, 3)), "int8", scale=[0.01] * 4, zero=[0] * 4),
        constant(rng.integers(-99, 99, 4), "int32", scale=[0.0005] * 4, zero=[0] * 4),
        Tensor((1, 8, 8, 4), "int8", scale=[0.06], zero=[-128]),
        Tensor((1, 4, 4, 4), "int8", scale=[0.06], zero=[-128]),
        constant([1, 64], "int32"),
        Tensor((1, 64), "int8", scale=[0.06], zero=[-128]),
        constant(rng.integers(-127, 128, (5, 64)), "int8", scale=[0.02], zero=[0]),
        constant(rng.normal(size=5), "float32"),
        Tensor((1, 5), "int8", scale=[0.1], zero=[0]),
    ]
    window = {"strideW": 1, "strideH": 1, "padding": 0}
    pool = {"strideW": 2, "strideH": 2, "filterWidth": 2, "filterHeight": 2, "padding": 1}
    operators = [
        Operator("CONV_2D", [0, 1, 2], [3], "Conv2D", {**window, "fusedActivationFunction": 1}),
        Operator("MAX_POOL_2D", [3], [4], "Pool2D", pool),
        Operator("RESHAPE", [4, 5], [6], "Reshape", {"newShape": [1, 64]}),
        Operator("FULLY_CONNECTED", [6, 7, 8], [9], "FullyConnected"),
    ]
    return build(tensors, operators)
