"""Transposed convolutions become phases: never a multiplication by an inserted zero, and equal to ONNX Runtime."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from onnx import helper

from hwgen.floatnet import FloatConv, FloatRemap, Normalization

RNG = np.random.default_rng(14)


def test_an_upsampling_layer(onnx_model, same_as_onnxruntime):
    """The usual kernel 4, stride 2: a 2x2 convolution of four phases; bias, normalisation and Relu are its own."""
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w", "b"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["c", "f"], ["m"]),
        helper.make_node("Relu", ["m"], ["y"]),
    ]
    weights = {"w": RNG.normal(size=(3, 5, 4, 4)), "b": RNG.normal(size=5), "f": RNG.normal(size=(5, 1, 1))}
    normalization = Normalization((0.5,), (0.25, -0.5, 1.0), (2.0, 0.75, 1.5))
    conv, remap = same_as_onnxruntime(onnx_model(nodes, (1, 3, 4, 5), weights), normalization).layers
    assert (conv.weight.shape, conv.clip[0], remap.output_shape) == ((20, 2, 2, 3), 0.0, (8, 10, 5))
    assert (type(conv), type(remap)) == (FloatConv, FloatRemap)


def test_a_sequence(onnx_model, same_as_onnxruntime):
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[3], pads=[1, 0])
    same_as_onnxruntime(onnx_model([node], (1, 2, 7), {"w": RNG.normal(size=(2, 3, 4))}))


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_window(onnx_model, same_as_onnxruntime, data):
    def pair(lo, hi):
        return [data.draw(st.integers(lo, hi)) for _ in range(2)]

    kernel, stride, dilation = pair(1, 4), pair(1, 3), pair(1, 2)
    more = [data.draw(st.integers(0, s - 1)) for s in stride]
    pads = [data.draw(st.integers(0, (k - 1) * d)) for k, d in zip(kernel * 2, dilation * 2, strict=True)]
    full = [s * (n - 1) + (k - 1) * d for s, n, k, d in zip(stride, (5, 6), kernel, dilation, strict=True)]
    assume(all(f >= pads[axis] + pads[axis + 2] for axis, f in enumerate(full)))
    group = data.draw(st.sampled_from([1, 2]))
    node = helper.make_node(
        "ConvTranspose",
        ["x", "w"],
        ["y"],
        strides=stride,
        dilations=dilation,
        output_padding=more,
        pads=pads,
        group=group,
    )
    same_as_onnxruntime(onnx_model([node], (1, 4, 5, 6), {"w": RNG.normal(size=(4, 3, *kernel))}), tolerance=1e-4)


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_auto_pad(onnx_model, same_as_onnxruntime, mode):
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 3], auto_pad=mode)
    same_as_onnxruntime(onnx_model([node], (1, 2, 4, 5), {"w": RNG.normal(size=(2, 3, 3, 4))}))
