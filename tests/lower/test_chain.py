"""Folding forward and backward is exact, and what cannot be folded is refused."""

from math import inf

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from hwgen.errors import HwgenError
from hwgen.floatnet import FloatConv, FloatPool, FloatTable, Normalization
from hwgen.importers import load_model
from hwgen.lower import evaluate, lower

RNG = np.random.default_rng(8)
K1, K2 = RNG.normal(size=(4, 2, 3, 3)), RNG.normal(size=(3, 4, 3, 3))
DENSE = RNG.normal(size=(4 * 4 * 4, 5))
CONV = helper.make_node("Conv", ["x", "k1"], ["c"])
RELU = helper.make_node("Relu", ["c"], ["r"])
POSITIVE = RNG.uniform(0.5, 2, size=(4, 1, 1))
SIGNED = np.array([1.5, -2, 0.5, -1]).reshape(4, 1, 1)
OFFSET = RNG.normal(size=(4, 1, 1))


def _affine(source, target, name="scale"):
    return [
        helper.make_node("Mul", [source, "f"], [f"{target}_m"], name=name),
        helper.make_node("Add", [f"{target}_m", "o"], [target], name=name + "_add"),
    ]


def test_forward_into_a_padded_convolution(onnx_model, same_as_onnxruntime):
    nodes = [CONV, RELU, *_affine("r", "a"), helper.make_node("Conv", ["a", "k2"], ["y"], pads=[1, 2, 0, 1])]
    path = onnx_model(nodes, (1, 2, 6, 6), {"k1": K1, "k2": K2, "f": SIGNED, "o": OFFSET})
    _, second = same_as_onnxruntime(path).layers
    np.testing.assert_allclose(second.pad_value, (-OFFSET / SIGNED).reshape(4), rtol=1e-6)


def test_forward_through_flatten_into_a_dense_layer(onnx_model, same_as_onnxruntime):
    nodes = [CONV, RELU, *_affine("r", "a"), helper.make_node("Flatten", ["a"], ["f1"])]
    nodes.append(helper.make_node("Gemm", ["f1", "w"], ["y"]))
    path = onnx_model(nodes, (1, 2, 6, 6), {"k1": K1, "w": DENSE, "f": SIGNED, "o": OFFSET})
    assert len(same_as_onnxruntime(path).layers) == 2


def test_a_scaling_per_feature_goes_into_a_dense_layer(onnx_model, same_as_onnxruntime):
    nodes = [CONV, RELU, helper.make_node("Flatten", ["r"], ["f1"]), *_affine("f1", "a")]
    nodes.append(helper.make_node("Gemm", ["a", "w"], ["y"]))
    weights = {"k1": K1, "w": DENSE, "f": RNG.normal(size=64), "o": RNG.normal(size=64)}
    assert len(same_as_onnxruntime(onnx_model(nodes, (1, 2, 6, 6), weights)).layers) == 2


@pytest.mark.parametrize(
    ("pool", "factor"),
    [
        (helper.make_node("MaxPool", ["a"], ["p"], kernel_shape=[2, 2], pads=[1, 1, 0, 0]), POSITIVE),
        (helper.make_node("AveragePool", ["a"], ["p"], kernel_shape=[2, 2]), SIGNED),
        (helper.make_node("GlobalAveragePool", ["a"], ["p"]), SIGNED),
    ],
)
def test_forward_through_a_pool(onnx_model, same_as_onnxruntime, pool, factor):
    nodes = [CONV, RELU, *_affine("r", "a"), pool, helper.make_node("Conv", ["p", "k2"], ["y"])]
    kernel = K2[:, :, :1, :1]
    path = onnx_model(nodes, (1, 2, 6, 6), {"k1": K1, "k2": kernel, "f": factor, "o": OFFSET})
    assert [type(layer) for layer in same_as_onnxruntime(path).layers] == [FloatConv, FloatPool, FloatConv]


@pytest.mark.parametrize(
    ("pool", "factor"),
    [
        (helper.make_node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2]), POSITIVE),
        (helper.make_node("AveragePool", ["c"], ["p"], kernel_shape=[2, 2]), SIGNED),
    ],
)
def test_backward_through_a_pool_so_that_an_activation_may_follow(onnx_model, same_as_onnxruntime, pool, factor):
    nodes = [CONV, pool, *_affine("p", "a"), helper.make_node("Relu", ["a"], ["y"])]
    network = same_as_onnxruntime(onnx_model(nodes, (1, 2, 6, 6), {"k1": K1, "f": factor, "o": OFFSET}))
    assert len(network.layers) == 2


def test_an_activation_behind_a_positive_scaling_of_an_activation(onnx_model, same_as_onnxruntime):
    nodes = [
        CONV,
        RELU,
        helper.make_node("Mul", ["r", "f"], ["m"]),
        helper.make_node("Clip", ["m", "", "six"], ["q"]),
        helper.make_node("Conv", ["q", "k2"], ["y"]),
    ]
    path = onnx_model(nodes, (1, 2, 6, 6), {"k1": K1, "k2": K2, "f": 2.5, "six": 6.0})
    assert same_as_onnxruntime(path).layers[0].clip == pytest.approx((0.0, 2.4))


def test_an_activation_behind_a_negative_scaling_of_an_activation(onnx_model, same_as_onnxruntime):
    nodes = [
        CONV,
        RELU,
        *_affine("r", "a"),
        helper.make_node("Relu", ["a"], ["q"]),
        helper.make_node("Conv", ["q", "k2"], ["y"]),
    ]
    path = onnx_model(nodes, (1, 2, 6, 6), {"k1": K1, "k2": K2, "f": -2.0, "o": 3.0})
    assert same_as_onnxruntime(path).layers[0].clip == (0.0, 1.5)


def test_a_channel_scaled_by_zero_needs_no_padding_value(onnx_model, same_as_onnxruntime):
    factor = POSITIVE.copy()
    factor[2] = 0
    nodes = [
        CONV,
        RELU,
        helper.make_node("Mul", ["r", "f"], ["a"]),
        helper.make_node("Conv", ["a", "k2"], ["y"], pads=[1] * 4),
    ]
    same_as_onnxruntime(onnx_model(nodes, (1, 2, 6, 6), {"k1": K1, "k2": K2, "f": factor}))


@pytest.mark.parametrize(
    ("middle", "factor", "reason"),
    [
        (
            helper.make_node("Conv", ["a", "k2"], ["y"], name="n"),
            RNG.normal(size=(4, 4, 4)),
            "node 'n' (Conv): node 'scale_add' (Add) before it is not the same for every pixel",
        ),
    ],
)
def test_refused(onnx_model, middle, factor, reason):
    weights = {"k1": K1, "f": factor, "o": OFFSET} | ({"k2": K2} if "k2" in middle.input else {})
    with pytest.raises(HwgenError) as error:
        lower(load_model(onnx_model([CONV, RELU, *_affine("r", "a"), middle], (1, 2, 6, 6), weights)))
    assert str(error.value).startswith(reason)


@pytest.mark.parametrize(
    ("last", "factor"),
    [
        (
            helper.make_node("Conv", ["a", "k2"], ["y"], pads=[1, 1, 1, 1]),
            np.array([1.0, 0, 1, 1]).reshape(4, 1, 1),
        ),
        (helper.make_node("MaxPool", ["a"], ["y"], kernel_shape=[2, 2]), SIGNED),
        (
            helper.make_node("AveragePool", ["a"], ["y"], kernel_shape=[2, 2], pads=[1] * 4, count_include_pad=1),
            POSITIVE,
        ),
        (helper.make_node("Identity", ["a"], ["y"]), POSITIVE),
    ],
)
def test_a_scaling_that_no_layer_takes_is_a_table(onnx_model, same_as_onnxruntime, last, factor):
    weights = {"k1": K1, "f": factor, "o": OFFSET} | ({"k2": K2} if "k2" in last.input else {})
    path = onnx_model([CONV, RELU, *_affine("r", "a"), last], (1, 2, 6, 6), weights)
    layers = same_as_onnxruntime(path).layers
    assert isinstance(layers[1], FloatTable)


def test_a_model_without_layers_is_refused(onnx_model):
    path = onnx_model([helper.make_node("Identity", ["x"], ["y"])], (1, 2, 4, 4))
    with pytest.raises(HwgenError, match="the model has no layer that computes something"):
        lower(load_model(path))


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(st.sampled_from(["Conv", "Relu", "Bn", "Max", "Average"]), min_size=1, max_size=7),
    normalized=st.booleans(),
)
def test_any_chain_is_equal(onnx_model, same_as_onnxruntime, kinds, normalized):
    """Whatever the order of operators, lowering never gives another function than the model's."""
    nodes, weights, source, height, channels = [], {}, "x", 8, 2
    rng = np.random.default_rng(len(kinds))
    for index, kind in enumerate(["Conv", *kinds, "Conv"]):
        target = "y" if index == len(kinds) + 1 else f"t{index}"
        if kind == "Conv":
            weights[f"k{index}"] = rng.normal(size=(3, channels, 3, 3))
            nodes.append(helper.make_node("Conv", [source, f"k{index}"], [target], pads=[1, 1, 1, 1]))
            channels = 3
        elif kind == "Relu":
            nodes.append(helper.make_node("Relu", [source], [target]))
        elif kind == "Bn":
            parts = [f"{name}{index}" for name in ("s", "b", "m", "v")]
            weights |= {part: rng.uniform(0.5, 1.5, size=channels) for part in parts}
            nodes.append(helper.make_node("BatchNormalization", [source, *parts], [target]))
        else:
            nodes.append(helper.make_node(f"{kind}Pool", [source], [target], kernel_shape=[2, 2]))
            height -= 1
        source = target
    normalization = Normalization((0.5,), (0.25, -0.5), (2.0, 0.75)) if normalized else None
    same_as_onnxruntime(onnx_model(nodes, (1, 2, 8, 8), weights), normalization)


def test_layers_get_short_distinct_names(onnx_model):
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["a"], name="/block/Conv"),
        helper.make_node("Conv", ["a", "k"], ["b"], name="block.conv"),
        helper.make_node("Conv", ["b", "k"], ["c"], name="7;" * 40),
        helper.make_node("Conv", ["c", "k"], ["y"]),
    ]
    network = lower(load_model(onnx_model(nodes, (1, 1, 4, 4), {"k": np.ones((1, 1, 1, 1))})))
    assert [layer.name for layer in network.layers] == ["block_Conv", "block_conv_2", "conv3", "y"]


def test_a_chain_of_thousands_of_nodes_needs_no_recursion(onnx_model):
    nodes = [helper.make_node("Conv", ["x", "k"], ["t0"])]
    nodes += [helper.make_node("Relu", [f"t{i}"], [f"t{i + 1}"]) for i in range(3000)]
    nodes.append(helper.make_node("Identity", ["t3000"], ["y"]))
    network = lower(load_model(onnx_model(nodes, (1, 1, 2, 2), {"k": np.ones((1, 1, 1, 1))})))
    assert [layer.clip for layer in network.layers] == [(0.0, inf)]
    assert evaluate(network, np.full((1, 2, 2, 1), -3.0)).max() == 0
