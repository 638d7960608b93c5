"""Whole models: the real networks equal ONNX Runtime; problems are listed together."""

from collections import Counter
from itertools import pairwise

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwgen.errors import HwgenError
from hwgen.floatnet import FloatAdd, FloatConv, FloatPool, FloatRemap, Layout, Normalization
from hwgen.importers import load_model
from hwgen.lower import OPERATORS, evaluate, evaluate_tensors, lower, problems

MNIST = {
    "mnist8_cntk": (Normalization(), 0.9891, [FloatConv, FloatPool, FloatConv, FloatPool, FloatConv]),
    "burn_mnist": (Normalization((1 / 255,), (0.1307,), (0.3081,)), 0.9915, [FloatConv] * 5),
}


@pytest.mark.parametrize("name", MNIST)
def test_mnist_models_equal_onnxruntime(name, real_data, mnist, same_as_onnxruntime):
    normalization, _, layers = MNIST[name]
    network = same_as_onnxruntime(real_data / "mnist" / f"{name}.onnx", normalization, mnist[0][:100])
    assert [type(layer) for layer in network.layers] == layers
    assert network.input_shape == (28, 28, 1)
    assert network.layers[-1].output_shape == (1, 1, 10)


@pytest.mark.parametrize("name", MNIST)
def test_mnist_models_reach_their_accuracy(name, real_data, mnist):
    images, labels = mnist
    normalization, accuracy, _ = MNIST[name]
    network = lower(load_model(real_data / "mnist" / f"{name}.onnx"), normalization)
    classes = evaluate(network, images.transpose(0, 2, 3, 1)).reshape(len(images), 10).argmax(axis=1)
    # Two images may flip between float implementations.
    assert abs((classes == labels).mean() - accuracy) <= 0.0002


@pytest.mark.parametrize(
    ("file", "scale", "shape", "kinds"),
    [
        ("mlperf-tiny/resnet8", 255.0, (32, 32, 3), {FloatConv: 10, FloatAdd: 3, FloatPool: 1}),
        ("mlperf-tiny/kws", 1.0, (49, 10, 1), {FloatConv: 10, FloatPool: 1}),
        ("mlperf-tiny/vww", 1.0, (96, 96, 3), {FloatConv: 28, FloatPool: 1}),
        ("mlperf-tiny/ad01", 1.0, (1, 1, 640), {FloatConv: 10}),
        ("resnet20/resnet20-12fca82f", 1.0, (32, 32, 3), {FloatConv: 20, FloatAdd: 9, FloatRemap: 2, FloatPool: 1}),
    ],
)
def test_real_models_equal_onnxruntime(real_data, logits_of, file, scale, shape, kinds):
    """One hundred inputs; where the model ends in a Softmax, before it."""
    path = real_data / f"{file}.onnx"
    graph = load_model(path)
    network = lower(graph)
    assert (network.input_shape, Counter(type(layer) for layer in network.layers)) == (shape, kinds)
    x = (np.random.default_rng(2).uniform(0, scale, (100, *graph.input_shape[1:]))).astype(np.float32)
    expected = logits_of(path, x)
    height, width, channels = shape
    if network.input.layout is Layout.CHANNEL_LAST:
        raw = x.reshape(-1, height, width, channels)
    else:
        raw = x.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    actual = evaluate(network, raw).reshape(expected.shape)
    assert np.abs(actual - expected).max() <= 1e-5 * np.ptp(expected)


def test_raw_data_of_the_keyword_model_is_channel_last(real_data):
    assert lower(load_model(real_data / "mlperf-tiny" / "kws.onnx")).input.layout is Layout.CHANNEL_LAST


def test_all_problems_come_together(onnx_model):
    kernel = np.ones((2, 2, 1, 1))
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["a"], name="one", auto_pad="WHATEVER"),
        helper.make_node("Einsum", ["a"], ["b"], name="two", equation="nchw->nchw"),
        helper.make_node("Conv", ["b", "k"], ["c"], name="three"),
        helper.make_node("Mul", ["c", "a"], ["y"]),
    ]
    graph = load_model(onnx_model(nodes, (1, 2, 4, 4), {"k": kernel}))
    assert problems(graph) == (
        "node 'one' (Conv): auto_pad=WHATEVER is not known; use NOTSET, VALID, SAME_UPPER or SAME_LOWER",
        "node 'two' (Einsum): operator Einsum is not supported",
        "Mul node of 'y': a product of two tensors is not supported, it would need a multiplier; use an addition or a"
        " concatenation",
    )
    with pytest.raises(HwgenError) as error:
        lower(graph)
    first, *rest = problems(graph)
    assert str(error.value) == f"{first}. Also: {'; '.join(rest)}"


def test_many_problems_are_counted(onnx_model):
    names = ["x", *(f"t{i}" for i in range(1, 10)), "y"]
    nodes = [helper.make_node("LpNormalization", [source], [made]) for source, made in pairwise(names)]
    with pytest.raises(HwgenError, match=r"node of 't4': operator LpNormalization is not supported; and 6 more$"):
        lower(load_model(onnx_model(nodes, (1, 2, 4, 4))))


@pytest.mark.parametrize("operator", ["LRN", "LpNormalization", "InstanceNormalization"])
def test_unsupported_operators_are_named(onnx_model, operator):
    more = {"InstanceNormalization": ["s", "s"]}.get(operator, [])
    attributes = {"size": 3} if operator == "LRN" else {}
    node = helper.make_node(operator, ["x", *more], ["y"], name="n", **attributes)
    path = onnx_model([node], (1, 2, 4, 4), {"s": np.ones(2)} if more else {})
    assert operator not in OPERATORS
    with pytest.raises(HwgenError, match=rf"^node 'n' \({operator}\): operator {operator} is not supported$"):
        lower(load_model(path))


def test_several_inputs_and_outputs(tmp_path):
    """Two inputs, one of them channel-last, and two outputs, in the model's order."""
    rng = np.random.default_rng(4)
    weights = {"k": rng.normal(size=(2, 3, 3, 3)).astype(np.float32)}
    nodes = [
        helper.make_node("Transpose", ["b"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Add", ["a", "t"], ["s"]),
        helper.make_node("Conv", ["s", "k"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["g"]),
    ]
    graph = helper.make_graph(
        nodes,
        "two",
        [
            helper.make_tensor_value_info("a", TensorProto.FLOAT, ("N", 3, 5, 4)),
            helper.make_tensor_value_info("b", TensorProto.FLOAT, ("N", 5, 4, 3)),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("g", "c")],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    path = tmp_path / "two.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    network = lower(load_model(path))
    assert [(entry.name, entry.layout) for entry in network.inputs] == [
        ("a", Layout.CHANNEL_FIRST),
        ("b", Layout.CHANNEL_LAST),
    ]
    a, b = (rng.normal(size=shape).astype(np.float32) for shape in ((1, 3, 5, 4), (1, 5, 4, 3)))
    pooled, mapped = onnxruntime.InferenceSession(path).run(None, {"a": a, "b": b})
    actual = evaluate_tensors(network, {"a": a.transpose(0, 2, 3, 1), "b": b}, network.outputs)
    for name, expected in zip(network.outputs, (pooled, mapped), strict=True):
        np.testing.assert_allclose(actual[name].transpose(0, 3, 1, 2), expected, atol=1e-5)
    with pytest.raises(ValueError, match="too many values"):
        evaluate(network, {"a": a.transpose(0, 2, 3, 1), "b": b})
    with pytest.raises(ValueError, match=r"x must have \['a', 'b'\]"):
        evaluate_tensors(network, {"a": a.transpose(0, 2, 3, 1)}, network.outputs)


def test_a_node_without_input_is_refused(onnx_model):
    nodes = [
        helper.make_node("RandomNormal", [], ["r"], name="noise", shape=[1, 2, 4, 4]),
        helper.make_node("Add", ["x", "r"], ["y"], name="sum"),
    ]
    with pytest.raises(HwgenError, match=r"^node 'noise' \(RandomNormal\): operator RandomNormal is not supported"):
        lower(load_model(onnx_model(nodes, (1, 2, 4, 4))))


def test_outputs_that_are_one_tensor_leave_once_with_a_note(onnx_model):
    weight = np.ones((2, 3), np.float32)
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["y"], transB=1),
        helper.make_node("Identity", ["y"], ["copy"]),
    ]
    path = onnx_model(nodes, [1, 3], {"w": weight})
    model = onnx.load(path)
    model.graph.output.append(helper.make_tensor_value_info("copy", TensorProto.FLOAT, [1, 2]))
    onnx.save(model, path)
    network = lower(load_model(path))
    assert len(network.outputs) == 1
    assert any("outputs 'y', 'copy' are one tensor" in note.replace("Outputs", "outputs") for note in network.notes)
