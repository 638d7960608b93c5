"""Whole models: the real MNIST networks equal ONNX Runtime and reach their accuracy; problems are listed together."""

import numpy as np
import pytest
from onnx import helper

from hwgen.errors import HwgenError
from hwgen.floatnet import FloatConv, FloatPool, Normalization
from hwgen.importers import load_model
from hwgen.lower import OPERATORS, evaluate, lower, problems

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


def test_the_autoencoder_equals_onnxruntime(real_data, same_as_onnxruntime):
    network = same_as_onnxruntime(real_data / "mlperf-tiny" / "ad01.onnx")
    assert (network.input_shape, len(network.layers)) == ((1, 1, 640), 10)


@pytest.mark.parametrize(
    ("file", "reason", "count"),
    [
        ("mlperf-tiny/resnet8.onnx", "(Add): it joins 2 branches, but only a chain of layers is supported", 3),
        ("mlperf-tiny/vww.onnx", "(Conv): group=8 is not supported, only group=1", 13),
        ("mlperf-tiny/kws.onnx", "(Conv): group=64 is not supported, only group=1", 4),
        ("resnet20/resnet20-12fca82f.onnx", "it joins 2 branches, but only a chain of layers is supported", 13),
    ],
)
def test_real_models_that_are_not_chains(real_data, file, reason, count):
    graph = load_model(real_data / file)
    found = problems(graph)
    assert reason in found[0]
    assert len(found) == count
    with pytest.raises(HwgenError) as error:
        lower(graph)
    assert str(error.value).startswith(found[0])


def test_all_problems_come_together(onnx_model):
    kernel = np.ones((2, 2, 1, 1))
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["a"], name="one", dilations=[2, 2]),
        helper.make_node("Elu", ["a"], ["b"], name="two"),
        helper.make_node("Conv", ["b", "k"], ["c"], name="three"),
        helper.make_node("Add", ["c", "a"], ["y"]),
    ]
    graph = load_model(onnx_model(nodes, (1, 2, 4, 4), {"k": kernel}))
    assert problems(graph) == (
        "node 'one' (Conv): dilations=[2, 2] is not supported, only dilations=[1, 1]",
        "node 'two' (Elu): operator Elu is not supported",
        "Add node of 'y': it joins 2 branches, but only a chain of layers is supported",
    )
    with pytest.raises(HwgenError) as error:
        lower(graph)
    first, *rest = problems(graph)
    assert str(error.value) == f"{first}. Also: {'; '.join(rest)}"


def test_many_problems_are_counted(onnx_model):
    nodes = [helper.make_node("Elu", [f"t{i}" if i else "x"], [f"t{i + 1}" if i < 9 else "y"]) for i in range(10)]
    with pytest.raises(HwgenError, match=r"Elu node of 't4': operator Elu is not supported; and 6 more$"):
        lower(load_model(onnx_model(nodes, (1, 2, 4, 4))))


@pytest.mark.parametrize(
    "operator", ["Sigmoid", "Tanh", "Elu", "LeakyRelu", "Exp", "ReduceMean", "InstanceNormalization"]
)
def test_unsupported_operators_are_named(onnx_model, operator):
    more = {"InstanceNormalization": ["s", "s"]}.get(operator, [])
    node = helper.make_node(operator, ["x", *more], ["y"], name="n")
    path = onnx_model([node], (1, 2, 4, 4), {"s": np.ones(2)} if more else {})
    assert operator not in OPERATORS
    with pytest.raises(HwgenError, match=rf"^node 'n' \({operator}\): operator {operator} is not supported$"):
        lower(load_model(path))


def test_adding_a_tensor_to_itself_is_a_branch(onnx_model):
    with pytest.raises(HwgenError, match=r"^Add node of 'y': it joins 2 branches"):
        lower(load_model(onnx_model([helper.make_node("Add", ["x", "x"], ["y"])], (1, 2, 4, 4))))


def test_a_node_without_input_is_refused(onnx_model):
    nodes = [
        helper.make_node("RandomNormal", [], ["r"], name="noise", shape=[1, 2, 4, 4]),
        helper.make_node("Add", ["x", "r"], ["y"], name="sum"),
    ]
    with pytest.raises(HwgenError, match=r"^node 'noise' \(RandomNormal\): operator RandomNormal is not supported"):
        lower(load_model(onnx_model(nodes, (1, 2, 4, 4))))
