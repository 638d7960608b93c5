"""Concatenations along the channels, wherever the model has them."""

import numpy as np
import pytest
from onnx import helper

from hwgen.errors import HwgenError
from hwgen.floatnet import FloatConcat, FloatConv, FloatRemap
from hwgen.importers import load_model
from hwgen.lower import lower

RNG = np.random.default_rng(13)
WEIGHTS = {"k0": RNG.normal(size=(3, 4, 1, 1)), "k1": RNG.normal(size=(5, 4, 1, 1))}
CONVS = [helper.make_node("Conv", ["x", f"k{i}"], [f"c{i}"]) for i in range(2)]
SHAPE = (1, 4, 4, 5)


def test_channels_of_two_tensors(onnx_model, same_as_onnxruntime):
    nodes = [*CONVS, helper.make_node("Concat", ["c0", "c1"], ["j"], axis=-3), helper.make_node("Relu", ["j"], ["y"])]
    last = same_as_onnxruntime(onnx_model(nodes, SHAPE, WEIGHTS)).layers[-1]
    assert (last.sources, last.output_shape, last.clip[0]) == (("c0", "c1"), (4, 5, 8), 0.0)


def test_channel_last(onnx_model, same_as_onnxruntime):
    nodes = [
        *CONVS,
        helper.make_node("Transpose", ["c0"], ["t0"], perm=[0, 2, 3, 1]),
        helper.make_node("Transpose", ["c1"], ["t1"], perm=[0, 2, 3, 1]),
        helper.make_node("Concat", ["t0", "t1"], ["y"], axis=3),
    ]
    layers = same_as_onnxruntime(onnx_model(nodes, SHAPE, WEIGHTS), channel_last=True).layers
    assert [type(layer) for layer in layers] == [FloatConv, FloatConv, FloatConcat]


def test_a_scaling_behind_it_reaches_the_next_layer(onnx_model, same_as_onnxruntime):
    nodes = [
        *CONVS,
        helper.make_node("Relu", ["c0"], ["r"]),
        helper.make_node("Mul", ["r", "f"], ["m"]),
        helper.make_node("Concat", ["m", "c1"], ["j"], axis=1),
        helper.make_node("Conv", ["j", "k2"], ["y"]),
    ]
    weights = WEIGHTS | {"f": np.array(2.5), "k2": RNG.normal(size=(2, 8, 1, 1))}
    assert len(same_as_onnxruntime(onnx_model(nodes, SHAPE, weights)).layers) == 4


def test_parts_of_one_tensor_are_only_a_view(onnx_model, same_as_onnxruntime):
    """ShuffleNet's channel shuffle, and the halves of a tensor swapped."""
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b"], axis=1),
        helper.make_node("Concat", ["b", "a"], ["j"], axis=1),
        helper.make_node("Reshape", ["j", "five"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Reshape", ["t", "four"], ["s"]),
        helper.make_node("MaxPool", ["s"], ["y"], kernel_shape=[2, 2]),
    ]
    weights = {"five": np.array([1, 2, 2, 4, 5]), "four": np.array([1, 4, 4, 5])}
    remap, _ = same_as_onnxruntime(onnx_model(nodes, SHAPE, weights)).layers
    assert isinstance(remap, FloatRemap)
    assert remap.channels.tolist() == [2, 0, 3, 1]


@pytest.mark.parametrize("axis", [2, 3])
def test_other_axes_are_refused(onnx_model, axis):
    nodes = [*CONVS, helper.make_node("Concat", ["c0", "c1"], ["y"], axis=axis, name="n")]
    weights = WEIGHTS | {"k1": RNG.normal(size=(3, 4, 1, 1))}
    with pytest.raises(HwgenError, match=rf"^node 'n' \(Concat\): axis={axis} of shape .* only the axis of channels"):
        lower(load_model(onnx_model(nodes, SHAPE, weights)))
