"""Nearest-neighbour resizing is a Remap, in every way in which ONNX lets a coordinate be rounded."""

import numpy as np
import pytest
from onnx import helper

from hwgen.errors import HwgenError
from hwgen.floatnet import FloatConv, FloatRemap
from hwgen.importers import load_model
from hwgen.lower import lower

KERNEL = np.random.default_rng(16).normal(size=(3, 2, 1, 1))
CONV = helper.make_node("Conv", ["x", "k"], ["c"])


@pytest.mark.parametrize("scales", [(2, 2), (1, 3), (0.5, 0.75), (1.5, 0.6)])
@pytest.mark.parametrize("place", ["asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel"])
@pytest.mark.parametrize("rounding", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
def test_nearest(onnx_model, same_as_onnxruntime, scales, place, rounding):
    attributes = {"coordinate_transformation_mode": place, "nearest_mode": rounding}
    nodes = [CONV, helper.make_node("Resize", ["c", "", "s"], ["y"], mode="nearest", **attributes)]
    weights = {"k": KERNEL, "s": np.array([1.0, 1.0, *scales])}
    layers = same_as_onnxruntime(onnx_model(nodes, (1, 2, 8, 10), weights)).layers
    assert [type(layer) for layer in layers] == [FloatConv, FloatRemap]


def test_upsample_of_old_models(onnx_model, same_as_onnxruntime):
    nodes = [
        CONV,
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Upsample", ["r", "s"], ["u"], mode="nearest"),
        helper.make_node("Conv", ["u", "k2"], ["y"], pads=[1, 1, 1, 1]),
    ]
    weights = {"k": KERNEL, "s": np.array([1.0, 1, 2, 2]), "k2": np.ones((1, 3, 3, 3))}
    _, remap, _ = same_as_onnxruntime(onnx_model(nodes, (1, 2, 3, 4), weights, opset=9)).layers
    assert remap.rows.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_size_that_stays_is_nothing(onnx_model, same_as_onnxruntime):
    nodes = [CONV, helper.make_node("Resize", ["c", "", "s"], ["y"], mode="linear")]
    weights = {"k": KERNEL, "s": np.ones(4)}
    assert len(same_as_onnxruntime(onnx_model(nodes, (1, 2, 3, 4), weights)).layers) == 1


def test_interpolation_is_refused(onnx_model):
    nodes = [CONV, helper.make_node("Resize", ["c", "", "s"], ["y"], mode="linear", name="n")]
    weights = {"k": KERNEL, "s": np.array([1.0, 1, 2, 2])}
    with pytest.raises(HwgenError, match=r"^node 'n' \(Resize\): mode=linear is not supported, only mode=nearest"):
        lower(load_model(onnx_model(nodes, (1, 2, 3, 4), weights)))
