"""Gemm and MatMul equal ONNX Runtime, also behind a Flatten of a map, where their weights are permuted."""

import numpy as np
import pytest
from onnx import helper

from hwgen.errors import HwgenError
from hwgen.importers import load_model
from hwgen.lower import lower

RNG = np.random.default_rng(2)
WEIGHT = RNG.normal(size=(12, 5)).astype(np.float32)
BIAS = RNG.normal(size=5).astype(np.float32)


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 18, 21])
@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm(onnx_model, same_as_onnxruntime, opset, transposed):
    weight = WEIGHT.T if transposed else WEIGHT
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], alpha=0.5, beta=-2.0, transB=transposed)
    (layer,) = same_as_onnxruntime(onnx_model([node], ("N", 12), {"w": weight, "b": BIAS}, opset=opset)).layers
    assert layer.input_shape == (1, 1, 12)
    assert layer.weight.shape == (5, 1, 1, 12)


@pytest.mark.parametrize("bias", [BIAS, BIAS[None], np.float32(3), np.array([[3.0]]), None])
def test_shapes_of_bias(onnx_model, same_as_onnxruntime, bias):
    inputs, weights = (["x", "w"], {"w": WEIGHT}) if bias is None else (["x", "w", "b"], {"w": WEIGHT, "b": bias})
    same_as_onnxruntime(onnx_model([helper.make_node("Gemm", inputs, ["y"])], (1, 12), weights))


@pytest.mark.parametrize("shape", [(12, 5), (1, 12, 5)])
def test_matmul(onnx_model, same_as_onnxruntime, shape):
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    same_as_onnxruntime(onnx_model([node], (1, 12), {"w": WEIGHT.reshape(shape)}))


def test_weights_follow_the_channel_last_layout_behind_a_flatten(onnx_model, same_as_onnxruntime):
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["a"]),
        helper.make_node("Flatten", ["a"], ["f"]),
        helper.make_node("Gemm", ["f", "w"], ["y"]),
    ]
    weights = {"k": RNG.normal(size=(3, 2, 2, 2)), "w": RNG.normal(size=(3 * 3 * 4, 5))}
    network = same_as_onnxruntime(onnx_model(nodes, ("N", 2, 4, 5), weights))
    assert network.layers[1].weight.shape == (5, 3, 4, 3)


def test_a_network_of_dense_layers_takes_the_image_itself(onnx_model, same_as_onnxruntime):
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Gemm", ["f", "w"], ["y"])]
    network = same_as_onnxruntime(onnx_model(nodes, ("N", 3, 4, 2), {"w": RNG.normal(size=(24, 5))}))
    assert network.input_shape == (4, 2, 3)


def test_an_input_of_three_axes_is_an_image_of_one_channel(onnx_model, same_as_onnxruntime):
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Gemm", ["f", "w"], ["y"])]
    network = same_as_onnxruntime(onnx_model(nodes, ("N", 4, 3), {"w": WEIGHT}))
    assert network.input_shape == (4, 3, 1)


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "shape", "reason"),
    [
        ("Gemm", ["v", "x"], {"transB": 1}, (1, 12), "its first input must be the data and its second the weight"),
        ("MatMul", ["x", "s"], {}, (1, 12), "must be one matrix (features, outputs)"),
    ],
)
def test_refused(onnx_model, operator, inputs, attributes, shape, reason):
    weights = {
        "w": WEIGHT,
        "v": np.ones((3, 12 if "transB" in attributes else 1)),
    }
    weights["s"] = np.ones(12)
    node = helper.make_node(operator, inputs, ["y"], name="d", **attributes)
    path = onnx_model([node], shape, {key: weights[key] for key in inputs if key != "x"})
    with pytest.raises(HwgenError) as error:
        lower(load_model(path))
    assert str(error.value).startswith(f"node 'd' ({operator}): ")
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "shape"),
    [
        ("MatMul", ["x", "w"], {}, (1, 3, 12)),
        ("MatMul", ["x", "w"], {}, (1, 3, 2, 12)),
        ("MatMul", ["a", "x"], {}, (1, 12, 7)),
        ("Gemm", ["x", "w"], {"transA": 0}, (1, 12)),
    ],
)
def test_a_matrix_is_a_convolution_over_the_last_axis(
    onnx_model, same_as_onnxruntime, operator, inputs, attributes, shape
):
    node = helper.make_node(operator, inputs, ["y"], **attributes)
    weights = {key: value for key, value in {"w": WEIGHT, "a": RNG.normal(size=(5, 12))}.items() if key in inputs}
    network = same_as_onnxruntime(onnx_model([node], shape, weights), channel_last="w" in inputs)
    assert network.layers[0].kernel == (1, 1)
