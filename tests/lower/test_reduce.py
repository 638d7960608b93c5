"""Reductions over a map's height and width, over the channels, and over all of it."""

import numpy as np
import pytest
from onnx import helper

from hwgen.errors import HwgenError
from hwgen.floatnet import FloatConv, FloatPool, PoolKind
from hwgen.importers import load_model
from hwgen.lower import lower

KERNEL = np.random.default_rng(15).normal(size=(3, 2, 1, 1))
CONV = helper.make_node("Conv", ["x", "k"], ["c"])


@pytest.mark.parametrize("operator", ["ReduceMean", "ReduceMax"])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[2, 3], [-1, -2], [2], [3]])
def test_height_and_width(onnx_model, same_as_onnxruntime, operator, keepdims, axes):
    node = helper.make_node(operator, ["c"], ["y"], axes=axes, keepdims=keepdims)
    _, layer = same_as_onnxruntime(onnx_model([CONV, node], (1, 2, 4, 5), {"k": KERNEL})).layers
    assert layer.kind is (PoolKind.MAX if operator == "ReduceMax" else PoolKind.AVERAGE)
    assert layer.kernel == (4 if {2, -2} & set(axes) else 1, 5 if {3, -1} & set(axes) else 1)


@pytest.mark.parametrize("opset", [17, 18])
def test_axes_of_a_channel_last_map(onnx_model, same_as_onnxruntime, opset):
    nodes = [CONV, helper.make_node("Transpose", ["c"], ["t"], perm=[0, 2, 3, 1])]
    if opset < 18:
        nodes.append(helper.make_node("ReduceMean", ["t"], ["y"], axes=[1, 2], keepdims=0))
        more = {}
    else:
        nodes.append(helper.make_node("ReduceMean", ["t", "axes"], ["y"], keepdims=0))
        more = {"axes": np.array([1, 2])}
    layers = same_as_onnxruntime(onnx_model(nodes, (1, 2, 4, 5), {"k": KERNEL, **more}, opset=opset)).layers
    assert [type(layer) for layer in layers] == [FloatConv, FloatPool]


def test_a_sum_is_a_mean_whose_factor_moves_on(onnx_model, same_as_onnxruntime):
    nodes = [
        CONV,
        helper.make_node("ReduceSum", ["c", "axes"], ["s"], keepdims=0),
        helper.make_node("MatMul", ["s", "w"], ["y"]),
    ]
    weights = {"k": KERNEL, "axes": np.array([2, 3]), "w": np.random.default_rng(1).normal(size=(3, 4))}
    assert len(same_as_onnxruntime(onnx_model(nodes, (1, 2, 4, 5), weights)).layers) == 3


@pytest.mark.parametrize("axes", [[1], [1, 2, 3]])
def test_a_mean_over_the_channels_is_a_convolution(onnx_model, same_as_onnxruntime, axes):
    node = helper.make_node("ReduceMean", ["c"], ["y"], axes=axes)
    layers = same_as_onnxruntime(onnx_model([CONV, node], (1, 2, 4, 5), {"k": KERNEL})).layers
    assert [type(layer) for layer in layers] == [FloatConv, FloatConv]


def test_a_maximum_over_the_channels_is_refused(onnx_model):
    node = helper.make_node("ReduceMax", ["c"], ["y"], axes=[1], name="n")
    with pytest.raises(HwgenError, match=r"^node 'n' \(ReduceMax\): axes \[1\] of shape .* only height and width"):
        lower(load_model(onnx_model([CONV, node], (1, 2, 4, 5), {"k": KERNEL})))
