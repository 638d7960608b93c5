"""Pooling equals ONNX Runtime; where ONNX and one fixed divisor differ it is refused."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from onnx import helper

from hwgen.errors import HwgenError
from hwgen.floatnet import PoolKind
from hwgen.importers import load_model
from hwgen.lower import lower


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    operator=st.sampled_from(["MaxPool", "AveragePool"]),
    size=st.tuples(st.integers(4, 9), st.integers(4, 9)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.tuples(*[st.integers(0, 3)] * 4),
)
def test_any_window(onnx_model, same_as_onnxruntime, operator, size, kernel, stride, pads):
    assume(max(pads[0], pads[2]) < kernel[0] and max(pads[1], pads[3]) < kernel[1])
    extra = {"count_include_pad": 1} if operator == "AveragePool" else {}
    node = helper.make_node(operator, ["x"], ["y"], kernel_shape=kernel, strides=stride, pads=pads, **extra)
    (layer,) = same_as_onnxruntime(onnx_model([node], ("N", 3, *size))).layers
    assert layer.kind is (PoolKind.MAX if operator == "MaxPool" else PoolKind.AVERAGE)


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("opset", [7, 9, 11, 13, 18, 21, 22])
def test_every_operator_set(onnx_model, same_as_onnxruntime, operator, opset):
    node = helper.make_node(operator, ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2])
    same_as_onnxruntime(onnx_model([node], (1, 2, 6, 4), opset=opset))


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
def test_auto_pad(onnx_model, same_as_onnxruntime, mode):
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3, 2], strides=[2, 1], auto_pad=mode)
    (layer,) = same_as_onnxruntime(onnx_model([node], (1, 2, 6, 5))).layers
    assert layer.pads == ((0, 0, 1, 1) if mode == "SAME_UPPER" else (1, 1, 0, 0))


@pytest.mark.parametrize("operator", ["GlobalMaxPool", "GlobalAveragePool"])
def test_global_pools(onnx_model, same_as_onnxruntime, operator):
    (layer,) = same_as_onnxruntime(onnx_model([helper.make_node(operator, ["x"], ["y"])], ("N", 3, 4, 6))).layers
    assert layer.kernel == (4, 6)


def test_ceil_mode_that_changes_nothing(onnx_model, same_as_onnxruntime):
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    same_as_onnxruntime(onnx_model([node], (1, 2, 7, 5)))


@pytest.mark.parametrize(
    ("operator", "attributes", "reason"),
    [
        ("MaxPool", {"pads": [3, 0, 0, 0]}, "pads (3, 0, 0, 0) must be smaller than the kernel (3, 3)"),
    ],
)
def test_refused_attributes(onnx_model, operator, attributes, reason):
    node = helper.make_node(operator, ["x"], ["y"], name="p", kernel_shape=[3, 3], **attributes)
    with pytest.raises(HwgenError) as error:
        lower(load_model(onnx_model([node], (1, 2, 6, 6))))
    assert str(error.value).startswith(f"node 'p' ({operator}): {reason}")


def test_the_indices_of_a_maximum_are_refused(onnx_model):
    nodes = [
        helper.make_node("MaxPool", ["x"], ["m", "i"], kernel_shape=[2, 2]),
        helper.make_node("Cast", ["i"], ["y"], to=1),
    ]
    with pytest.raises(HwgenError, match="MaxPool node of 'm': its second output, the indices, is not supported"):
        lower(load_model(onnx_model(nodes, (1, 2, 6, 6))))


def test_the_average_is_exact(onnx_model):
    path = onnx_model([helper.make_node("GlobalAveragePool", ["x"], ["y"])], (1, 1, 2, 2))
    from hwgen.lower import evaluate

    assert evaluate(lower(load_model(path)), np.array([1.0, 2, 3, 6]).reshape(1, 2, 2, 1)).item() == 3.0


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("ceil_mode", [0, 1])
@pytest.mark.parametrize("include", [0, 1])
@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 0, 1, 2]])
@pytest.mark.parametrize("dilations", [[1, 1], [2, 1]])
def test_pads_ceil_mode_and_dilations(onnx_model, same_as_onnxruntime, operator, ceil_mode, include, pads, dilations):
    attributes = {"count_include_pad": include} if operator == "AveragePool" else {}
    attributes |= {"pads": pads, "ceil_mode": ceil_mode, "dilations": dilations, "strides": [2, 3]}
    node = helper.make_node(operator, ["x"], ["y"], kernel_shape=[2, 3], **attributes)
    (layer,) = same_as_onnxruntime(onnx_model([node], (1, 2, 8, 9), opset=22)).layers
    if operator == "MaxPool" or not (any(pads) and not include):
        assert operator == "MaxPool" or ceil_mode or layer.divisors is None
    else:
        assert layer.divisors is not None


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
def test_a_pad_before_a_pool(onnx_model, same_as_onnxruntime, operator):
    """Zeros never win against what a Relu leaves; in an average they count."""
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Pad", ["r", "p"], ["a"]),
        helper.make_node(operator, ["a"], ["y"], kernel_shape=[3, 3], strides=[2, 2]),
    ]
    weights = {"k": np.random.default_rng(1).normal(size=(2, 2, 1, 1)), "p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}
    _, layer = same_as_onnxruntime(onnx_model(nodes, (1, 2, 6, 6), weights)).layers
    assert (layer.pads, layer.divisors) == ((1, 1, 1, 1), None)


def test_a_last_window_in_the_padding_is_refused_where_operator_sets_disagree(onnx_model):
    attributes = {"kernel_shape": [2, 3], "strides": [2, 3], "pads": [1, 0, 1, 2], "ceil_mode": 1}
    path = onnx_model([helper.make_node("MaxPool", ["x"], ["y"], **attributes)], (1, 2, 8, 9), opset=19)
    with pytest.raises(HwgenError, match="ceil_mode=1 puts its last window into the padding"):
        lower(load_model(path))
