"""Conv equals ONNX Runtime for every kernel, stride and padding, and refuses the rest by name."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from hwgen.errors import HwgenError
from hwgen.floatnet import FloatConv, Normalization
from hwgen.importers import load_model
from hwgen.lower import lower


def _weights(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.tuples(*[st.integers(0, 3)] * 4),
)
def test_any_kernel_stride_and_padding(onnx_model, same_as_onnxruntime, size, channels, kernel, stride, pads):
    weight = _weights(channels[1], channels[0], *kernel)
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], kernel_shape=kernel, strides=stride, pads=pads)
    path = onnx_model([node], ("N", channels[0], *size), {"w": weight, "b": _weights(channels[1])})
    (layer,) = same_as_onnxruntime(path).layers
    assert isinstance(layer, FloatConv)
    assert (layer.kernel, layer.stride, layer.pads) == (kernel, stride, pads)


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
@pytest.mark.parametrize("kernel", [(2, 2), (3, 4), (5, 5)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 1)])
def test_auto_pad(onnx_model, same_as_onnxruntime, mode, kernel, stride):
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=stride, auto_pad=mode)
    same_as_onnxruntime(onnx_model([node], (1, 2, 8, 7), {"w": _weights(3, 2, *kernel)}))


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 18, 21, 22])
def test_every_operator_set(onnx_model, same_as_onnxruntime, opset):
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 0, 1, 2])
    same_as_onnxruntime(onnx_model([node], (1, 2, 6, 6), {"w": _weights(3, 2, 3, 3)}, opset=opset))


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"pads": [0, -1, 0, 0]}, "pads must not contain negative values"),
        ({"pads": [0, 1 << 28, 0, 0]}, "is too large: more than"),
    ],
)
def test_refused_attributes(onnx_model, attributes, reason):
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="c1", **attributes)
    path = onnx_model([node], (1, 2, 6, 6), {"w": _weights(4, 2, 3, 3)}, output_shape=(1, 4, None, None))
    with pytest.raises(HwgenError) as error:
        lower(load_model(path))
    assert reason in str(error.value)
    assert "node 'c1' (Conv)" in str(error.value) or "tensor 'y'" in str(error.value)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("dilations", [[1, 1], [2, 1], [1, 3]])
def test_groups_and_dilations(onnx_model, same_as_onnxruntime, groups, dilations):
    attributes = {"group": groups, "dilations": dilations, "pads": [2, 0, 1, 3], "strides": [1, 2]}
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], **attributes)
    weights = {"w": _weights(12, 6 // groups, 3, 3), "b": _weights(12)}
    (layer,) = same_as_onnxruntime(onnx_model([node], (1, 6, 7, 8), weights)).layers
    assert (layer.groups, layer.dilation) == (groups, tuple(dilations))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_scaling_before_groups_goes_to_the_channels_of_each(onnx_model, same_as_onnxruntime, groups):
    nodes = [
        helper.make_node("Mul", ["x", "f"], ["m"]),
        helper.make_node("Add", ["m", "o"], ["a"]),
        helper.make_node("Conv", ["a", "w"], ["y"], group=groups, pads=[1, 1, 1, 1]),
    ]
    constants = {"f": _weights(4, 1, 1), "o": _weights(4, 1, 1)}
    path = onnx_model(nodes, (1, 4, 5, 5), {"w": _weights(8, 4 // groups, 3, 3), **constants})
    assert len(same_as_onnxruntime(path).layers) == 1


def test_a_sequence_is_a_map_of_one_row(onnx_model, same_as_onnxruntime):
    node = helper.make_node("Conv", ["x", "w"], ["y"], dilations=[2], strides=[2], pads=[3, 1])
    network = same_as_onnxruntime(onnx_model([node], (1, 2, 9), {"w": _weights(3, 2, 3)}))
    assert network.input_shape == (1, 9, 2)
    assert network.layers[0].pads == (0, 3, 0, 1)


@pytest.mark.parametrize("value", [0.0, 1.5])
def test_a_pad_of_constants_becomes_padding(onnx_model, same_as_onnxruntime, value):
    nodes = [
        helper.make_node("Pad", ["x", "p", "v"], ["a"]),
        helper.make_node("Conv", ["a", "w"], ["y"], strides=[2, 2]),
    ]
    weights = {"p": np.array([0, 0, 1, 2, 0, 0, 0, 1]), "v": value, "w": _weights(3, 2, 3, 3)}
    normalization = Normalization((0.5,), (0.25, -0.5), (2.0, 0.75))
    (layer,) = same_as_onnxruntime(onnx_model(nodes, (1, 2, 6, 6), weights), normalization).layers
    assert layer.pads == (1, 2, 0, 1)
    np.testing.assert_allclose(layer.pad_value, (value * np.array([2.0, 0.75]) + [0.25, -0.5]) / 0.5)


def test_computed_weights_are_refused(onnx_model):
    node = helper.make_node("Conv", ["w", "x"], ["y"], name="c1")
    path = onnx_model([node], (1, 2, 3, 3), {"w": _weights(1, 2, 6, 6)})
    with pytest.raises(HwgenError, match=r"node 'c1' \(Conv\): its input has shape|its weight must be a constant"):
        lower(load_model(path))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", ["w", "b"])
def test_weights_that_are_not_finite_are_refused(onnx_model, value, which):
    weights = {"w": _weights(3, 2, 3, 3), "b": _weights(3)}
    weights[which].flat[1] = value
    path = onnx_model([helper.make_node("Conv", ["x", "w", "b"], ["y"], name="c1")], (1, 2, 6, 6), weights)
    with pytest.raises(
        HwgenError, match=rf"node 'c1' \(Conv\): its (weight|bias) '{which}' has NaN or infinite values"
    ):
        lower(load_model(path))
