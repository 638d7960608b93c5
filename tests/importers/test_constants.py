"""Constants are evaluated at import, whatever chain of operators makes them."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwgen.errors import HwgenError
from hwgen.importers import load_model

VALUES = np.random.default_rng(11).normal(size=(4, 6)).astype(np.float32)


def _constant(onnx_model, nodes, weights, shape=(1, 4), **options):
    """The constant ``w`` that ``nodes`` make, as the graph holds it after import."""
    path = onnx_model([*nodes, helper.make_node("Add", ["x", "w"], ["y"])], shape, weights, **options)
    graph = load_model(path)
    assert [node.operator for node in graph.nodes] == ["Add"]
    return graph.constants["w"]


@pytest.mark.parametrize("opset", [7, 13, 21])
def test_a_chain_of_reshape_and_transpose(onnx_model, opset):
    nodes = [
        helper.make_node("Reshape", ["v", "s"], ["a"]),
        helper.make_node("Transpose", ["a"], ["b"], perm=[1, 0]),
        helper.make_node("Neg", ["b"], ["w"]),
    ]
    weights = {"v": VALUES, "s": np.array([-1, 3], np.int64)}
    actual = _constant(onnx_model, nodes, weights, (1, 8), opset=opset)
    np.testing.assert_array_equal(actual, -VALUES.reshape(-1, 3).T)


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ({"value": numpy_helper.from_array(VALUES[:1, :4])}, VALUES[:1, :4]),
        ({"value_float": 2.5}, np.float32(2.5)),
        ({"value_floats": [1.0, 2.0, 3.0, 4.0]}, np.array([1, 2, 3, 4], np.float32)),
    ],
)
def test_constant_nodes(onnx_model, attribute, expected):
    np.testing.assert_array_equal(
        _constant(onnx_model, [helper.make_node("Constant", [], ["w"], **attribute)], {}), expected
    )


@pytest.mark.parametrize("attribute", [{"value_int": 3}, {"value_ints": [3, 3, 3, 3]}])
def test_integer_constants_through_a_cast(onnx_model, attribute):
    nodes = [helper.make_node("Constant", [], ["i"], **attribute), helper.make_node("Cast", ["i"], ["w"], to=1)]
    assert (_constant(onnx_model, nodes, {}) == 3).all()


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("opset", [13, 19, 21])
def test_dequantized_weights(onnx_model, axis, opset):
    codes = np.arange(-8, 8).reshape(4, 4)
    scale, zero = np.array([0.5, 1, 2, 4]), np.array([1, 0, -1, 3])
    nodes = [
        helper.make_node("Cast", ["codes"], ["c8"], to=TensorProto.INT8),
        helper.make_node("Cast", ["zero"], ["z8"], to=TensorProto.INT8),
        helper.make_node("DequantizeLinear", ["c8", "scale", "z8"], ["w"], axis=axis),
    ]
    shape = (4, 1) if axis == 0 else (1, 4)
    actual = _constant(onnx_model, nodes, {"codes": codes, "scale": scale, "zero": zero}, opset=opset)
    np.testing.assert_array_equal(actual, (codes - zero.reshape(shape)) * scale.reshape(shape))


def test_a_constant_of_shape(onnx_model):
    value = numpy_helper.from_array(np.array([7], np.float32))
    nodes = [helper.make_node("ConstantOfShape", ["s"], ["w"], value=value)]
    assert (_constant(onnx_model, nodes, {"s": np.array([1, 4], np.int64)}) == np.full((1, 4), 7)).all()


@pytest.mark.parametrize("operator", ["ConstantOfShape", "Expand"])
def test_a_constant_beyond_memory_is_refused_before_it_is_made(onnx_model, operator):
    inputs = ["s"] if operator == "ConstantOfShape" else ["one", "s"]
    nodes = [
        helper.make_node(operator, inputs, ["w"], name="big"),
        helper.make_node("Add", ["x", "w"], ["y"]),
    ]
    weights = {"s": np.array([1 << 20, 1 << 20], np.int64)} | ({"one": np.ones(1)} if len(inputs) == 2 else {})
    with pytest.raises(HwgenError, match=r"tensor 'w' of shape \(1048576, 1048576\) is too large"):
        load_model(onnx_model(nodes, (1, 1), weights, output_shape=(None, None)))


def test_what_cannot_be_evaluated_is_named(onnx_model):
    nodes = [
        helper.make_node("Gather", ["v", "i"], ["w"], name="pick", axis=1),
        helper.make_node("Add", ["x", "w"], ["y"]),
    ]
    path = onnx_model(nodes, (1, 4), {"v": VALUES, "i": np.array([99], np.int64)}, output_shape=(None, None))
    with pytest.raises(HwgenError, match=r"node 'pick' \(Gather\): this constant cannot be evaluated"):
        load_model(path)


def test_text_constants_are_refused(onnx_model):
    nodes = [helper.make_node("Constant", [], ["t"], name="text", value_string="a")]
    nodes.append(helper.make_node("Relu", ["x"], ["y"]))
    with pytest.raises(HwgenError, match=r"node 'text' \(Constant\): only constants of dense numbers are supported"):
        load_model(onnx_model(nodes, (1, 4)))


def test_scales_per_block_are_refused(onnx_model):
    nodes = [
        helper.make_node("Cast", ["codes"], ["c8"], to=TensorProto.INT8),
        helper.make_node("DequantizeLinear", ["c8", "scale"], ["w"], name="blocks", axis=1, block_size=2),
        helper.make_node("Add", ["x", "w"], ["y"]),
    ]
    weights = {"codes": np.zeros((4, 4), np.int64), "scale": np.ones((4, 2))}
    with pytest.raises(HwgenError, match=r"node 'blocks' \(DequantizeLinear\): scales per block are not supported"):
        load_model(onnx_model(nodes, (1, 4), weights, opset=21))
