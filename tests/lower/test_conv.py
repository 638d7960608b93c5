"""Conv equals ONNX Runtime for every kernel, stride and padding, and refuses the rest by name."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from hwgen.errors import HwgenError
from hwgen.floatnet import FloatConv
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
        ({"group": 2}, "group=2 is not supported, only group=1"),
        ({"dilations": [2, 1]}, "dilations=[2, 1] is not supported, only dilations=[1, 1]"),
        ({"pads": [0, -1, 0, 0]}, "pads must not contain negative values"),
        ({"pads": [0, 1 << 28, 0, 0]}, "is too large: more than"),
    ],
)
def test_refused_attributes(onnx_model, attributes, reason):
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="c1", **attributes)
    inputs = 1 if "group" in attributes else 2
    path = onnx_model([node], (1, 2, 6, 6), {"w": _weights(4, inputs, 3, 3)}, output_shape=(1, 4, None, None))
    with pytest.raises(HwgenError) as error:
        lower(load_model(path))
    assert reason in str(error.value)
    assert "node 'c1' (Conv)" in str(error.value) or "tensor 'y'" in str(error.value)


def test_one_dimensional_convolution_is_refused(onnx_model):
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    path = onnx_model([node], (1, 2, 9), {"w": _weights(3, 2, 3)})
    with pytest.raises(HwgenError, match=r"Conv node of 'y': its input has shape \(1, 2, 9\), but only maps"):
        lower(load_model(path))


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
