"""The input normalisation becomes part of the first layer, so that raw values go in."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwgen.errors import HwgenError
from hwgen.floatnet import Normalization
from hwgen.importers import load_model
from hwgen.lower import lower
from hwgen.lower.normalization import check_inputs

RNG = np.random.default_rng(9)
RGB = Normalization((1 / 255,), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PIXELS = RNG.integers(0, 256, size=(4, 3, 6, 5)).astype(np.uint8)
CONV = helper.make_node("Conv", ["x", "k"], ["y"], pads=[1, 1, 1, 1], name="first")


def test_per_channel_into_a_padded_convolution(onnx_model, same_as_onnxruntime):
    path = onnx_model([CONV], ("N", 3, 6, 5), {"k": RNG.normal(size=(4, 3, 3, 3))})
    network = same_as_onnxruntime(path, RGB, PIXELS)
    # Outside the image the model sees 0, which is the mean of each channel in raw pixels.
    np.testing.assert_allclose(network.layers[0].pad_value, np.array(RGB.mean) * 255)
    assert network.normalization == RGB
    assert network.notes == ("The input normalisation is folded into first: hardware takes raw input values.",)


def test_before_the_models_own_normalisation(onnx_model, same_as_onnxruntime):
    nodes = [
        helper.make_node("Sub", ["x", "m"], ["a"]),
        helper.make_node("Div", ["a", "d"], ["b"]),
        helper.make_node("Conv", ["b", "k"], ["y"], pads=[1, 1, 1, 1]),
    ]
    weights = {"m": np.full((3, 1, 1), 0.5), "d": RNG.uniform(0.2, 1, (1, 3, 1, 1)), "k": RNG.normal(size=(4, 3, 3, 3))}
    same_as_onnxruntime(onnx_model(nodes, (1, 3, 6, 5), weights), Normalization((1 / 255,)), PIXELS)


def test_per_channel_into_a_dense_layer(onnx_model, same_as_onnxruntime):
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Gemm", ["f", "w"], ["y"])]
    same_as_onnxruntime(onnx_model(nodes, (1, 3, 6, 5), {"w": RNG.normal(size=(90, 4))}), RGB, PIXELS)


def test_per_feature_of_a_vector(onnx_model, same_as_onnxruntime):
    normalization = Normalization((1.0,), tuple(RNG.normal(size=6)), tuple(RNG.uniform(1, 2, 6)))
    path = onnx_model([helper.make_node("Gemm", ["x", "w"], ["y"])], (1, 6), {"w": RNG.normal(size=(6, 4))})
    same_as_onnxruntime(path, normalization)


def test_through_a_pool(onnx_model, same_as_onnxruntime):
    nodes = [
        helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2]),
        helper.make_node("Conv", ["p", "k"], ["y"]),
    ]
    same_as_onnxruntime(onnx_model(nodes, (1, 3, 6, 5), {"k": RNG.normal(size=(4, 3, 3, 3))}), RGB, PIXELS)


@pytest.mark.parametrize(
    ("normalization", "reason"),
    [
        (Normalization(mean=(0.1, 0.2)), "normalisation mean has 2 values, but the model's input has 3 channels"),
        (Normalization(std=(0.0,)), "normalisation std must be finite and not zero, not 0.0"),
        (Normalization(scale=(0.0,)), "normalisation scale must be finite and not zero, not 0.0"),
        (Normalization(mean=(float("nan"),)), "normalisation mean must be finite and not zero, not nan"),
        (Normalization(scale=()), "normalisation scale has 0 values"),
    ],
)
def test_refused(onnx_model, normalization, reason):
    graph = load_model(onnx_model([CONV], (1, 3, 6, 5), {"k": np.ones((4, 3, 3, 3))}))
    with pytest.raises(HwgenError) as error:
        lower(graph, normalization)
    assert str(error.value).startswith(reason)


def test_several_inputs_of_the_same_channels_are_normalised_alike(tmp_path):
    """In one model: each goes through the same affine."""
    names = ["a", "b"]
    nodes = [helper.make_node("Conv", [name, "k"], [f"y{name}"], name=f"conv_{name}") for name in names]
    weight = RNG.normal(size=(4, 3, 2, 2)).astype(np.float32)
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in pairs]
        for pairs in (
            [("a", (1, 3, 4, 4)), ("b", (1, 3, 2, 2))],
            [("ya", (1, 4, 3, 3)), ("yb", (1, 4, 1, 1))],
        )
    )
    graph = helper.make_graph(nodes, "two", inputs, outputs, [numpy_helper.from_array(weight, "k")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "m.onnx")
    network = lower(load_model(tmp_path / "m.onnx"), RGB)
    for layer in network.layers:
        expected = weight.transpose(0, 2, 3, 1) / 255 / np.array(RGB.std)
        np.testing.assert_allclose(layer.weight, expected, rtol=1e-6)


def test_inputs_of_different_channels_need_a_normalisation_each():
    shapes = {"image": (1, 3, 4, 4), "depth": (1, 1, 4, 5)}
    check_inputs(Normalization(), shapes)
    with pytest.raises(HwgenError, match=r"differ in their channels \(image \(3, 4, 4\), depth \(1, 4, 5\)\)"):
        check_inputs(Normalization((1 / 255,)), shapes)
