"""Relu and Clip become the clamp of a layer, wherever that changes nothing."""

from math import inf

import numpy as np
import pytest
from onnx import helper

from hwgen.errors import HwgenError
from hwgen.floatnet import FloatConv, FloatTable
from hwgen.importers import load_model
from hwgen.lower import lower

KERNEL = np.random.default_rng(4).normal(size=(4, 2, 3, 3))
CONV = helper.make_node("Conv", ["x", "k"], ["c"])


@pytest.mark.parametrize("opset", [7, 13, 14, 21])
def test_relu(onnx_model, same_as_onnxruntime, opset):
    path = onnx_model([CONV, helper.make_node("Relu", ["c"], ["y"])], (1, 2, 5, 5), {"k": KERNEL}, opset=opset)
    assert same_as_onnxruntime(path).layers[0].clip == (0.0, inf)


@pytest.mark.parametrize("opset", [7, 9, 10])
def test_clip_with_attributes(onnx_model, same_as_onnxruntime, opset):
    node = helper.make_node("Clip", ["c"], ["y"], min=-1.0, max=2.0)
    path = onnx_model([CONV, node], (1, 2, 5, 5), {"k": KERNEL}, opset=opset)
    assert same_as_onnxruntime(path).layers[0].clip == (-1.0, 2.0)


@pytest.mark.parametrize("opset", [11, 12, 13, 18, 21])
@pytest.mark.parametrize(
    ("inputs", "clip"), [(["lo", "hi"], (-1.0, 2.0)), (["", "hi"], (-inf, 2.0)), (["lo"], (-1.0, inf))]
)
def test_clip_with_inputs(onnx_model, same_as_onnxruntime, opset, inputs, clip):
    weights = {"k": KERNEL} | {key: value for key, value in (("lo", -1.0), ("hi", 2.0)) if key in inputs}
    node = helper.make_node("Clip", ["c", *inputs], ["y"])
    assert same_as_onnxruntime(onnx_model([CONV, node], (1, 2, 5, 5), weights, opset=opset)).layers[0].clip == clip


def test_two_clamps_make_one(onnx_model, same_as_onnxruntime):
    nodes = [
        CONV,
        helper.make_node("Clip", ["c", "lo", "hi"], ["d"]),
        helper.make_node("Relu", ["d"], ["y"]),
    ]
    path = onnx_model(nodes, (1, 2, 5, 5), {"k": KERNEL, "lo": -3.0, "hi": 1.5})
    assert same_as_onnxruntime(path).layers[0].clip == (0.0, 1.5)


def test_a_clamp_behind_a_maximum_moves_before_it(onnx_model, same_as_onnxruntime):
    nodes = [
        CONV,
        helper.make_node("MaxPool", ["c"], ["m"], kernel_shape=[2, 2]),
        helper.make_node("Relu", ["m"], ["y"]),
    ]
    conv, pool = same_as_onnxruntime(onnx_model(nodes, (1, 2, 6, 6), {"k": KERNEL})).layers
    assert (conv.clip, pool.clip) == ((0.0, inf), (-inf, inf))


def test_a_clamp_behind_an_average_is_its_own(onnx_model, same_as_onnxruntime):
    nodes = [
        CONV,
        helper.make_node("AveragePool", ["c"], ["m"], kernel_shape=[2, 2]),
        helper.make_node("Relu", ["m"], ["y"]),
    ]
    conv, pool = same_as_onnxruntime(onnx_model(nodes, (1, 2, 6, 6), {"k": KERNEL})).layers
    assert (conv.clip, pool.clip) == ((-inf, inf), (0.0, inf))


@pytest.mark.parametrize(
    ("nodes", "weights", "reason"),
    [
        (
            [helper.make_node("Clip", ["c", "lo", "hi"], ["y"], name="n")],
            {"lo": 3.0, "hi": 1.0},
            "node 'n' (Clip): its minimum 3 is above its maximum 1; export the model again",
        ),
        (
            [helper.make_node("Clip", ["c", "lo"], ["y"], name="n")],
            {"lo": np.nan},
            "node 'n' (Clip): its min 'lo' has NaN or infinite values",
        ),
    ],
)
def test_refused(onnx_model, nodes, weights, reason):
    with pytest.raises(HwgenError) as error:
        lower(load_model(onnx_model([CONV, *nodes], (1, 2, 5, 5), {"k": KERNEL, **weights})))
    assert str(error.value).startswith(reason)


def test_clamps_that_differ_between_channels_are_a_table(onnx_model, same_as_onnxruntime):
    nodes = [
        CONV,
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Add", ["r", "v"], ["a"], name="shift"),
        helper.make_node("Relu", ["a"], ["y"], name="n"),
    ]
    weights = {"k": KERNEL, "v": np.linspace(-1, 1, 4).reshape(4, 1, 1)}
    conv, table = same_as_onnxruntime(onnx_model(nodes, (1, 2, 5, 5), weights)).layers
    assert conv.clip == (0.0, inf)
    assert isinstance(table, FloatTable)


def test_an_activation_on_the_input_is_a_table(onnx_model, same_as_onnxruntime):
    nodes = [helper.make_node("Relu", ["x"], ["r"], name="n"), helper.make_node("Conv", ["r", "k"], ["y"])]
    layers = same_as_onnxruntime(onnx_model(nodes, (1, 2, 5, 5), {"k": KERNEL})).layers
    assert [type(layer) for layer in layers] == [FloatTable, FloatConv]


def test_a_tensor_with_another_reader_is_not_clamped_in_its_layer(onnx_model, same_as_onnxruntime):
    nodes = [CONV, helper.make_node("Relu", ["c"], ["r"]), helper.make_node("Concat", ["r", "c"], ["y"], axis=1)]
    conv, table, _ = same_as_onnxruntime(onnx_model(nodes, (1, 2, 5, 5), {"k": KERNEL})).layers
    assert conv.clip == (-inf, inf)
    assert isinstance(table, FloatTable)
