"""Additions of several tensors become one layer; of one tensor's functions they compose."""

from math import inf

import numpy as np
import pytest
from onnx import helper

from hwgen.errors import HwgenError
from hwgen.floatnet import FloatAdd, FloatConv, FloatRemap, FloatTable
from hwgen.importers import load_model
from hwgen.lower import lower

RNG = np.random.default_rng(11)
WEIGHTS = {f"k{i}": RNG.normal(size=(3, 2, 1, 1)) for i in range(3)}
CONVS = [helper.make_node("Conv", ["x", f"k{i}"], [f"c{i}"]) for i in range(3)]
SHAPE = (1, 2, 4, 5)


def _lowered(onnx_model, same_as_onnxruntime, nodes, **more):
    used = {name for node in nodes for name in node.input}
    weights = {key: value for key, value in (WEIGHTS | more).items() if key in used}
    return same_as_onnxruntime(onnx_model(nodes, SHAPE, weights)).layers


def test_a_residual_block(onnx_model, same_as_onnxruntime):
    nodes = [
        CONVS[0],
        helper.make_node("Relu", ["c0"], ["r"]),
        helper.make_node("Conv", ["r", "k"], ["c"]),
        helper.make_node("Add", ["c", "r"], ["s"]),
        helper.make_node("Relu", ["s"], ["y"]),
    ]
    first, second, total = _lowered(onnx_model, same_as_onnxruntime, nodes, k=RNG.normal(size=(3, 3, 1, 1)))
    assert (first.clip, second.clip, total.clip) == ((0.0, inf), (-inf, inf), (0.0, inf))
    assert (total.sources, total.factors) == (("c", first.name), (1.0, 1.0))


@pytest.mark.parametrize(("operator", "factors"), [("Add", (1, 1)), ("Sub", (1, -1)), ("Mean", (0.5, 0.5))])
def test_factors(onnx_model, same_as_onnxruntime, operator, factors):
    nodes = [*CONVS[:2], helper.make_node(operator, ["c0", "c1"], ["y"])]
    assert _lowered(onnx_model, same_as_onnxruntime, nodes)[-1].factors == factors


def test_additions_of_additions_are_one_layer(onnx_model, same_as_onnxruntime):
    nodes = [
        *CONVS,
        helper.make_node("Sub", ["c0", "c1"], ["s"]),
        helper.make_node("Mul", ["s", "half"], ["h"]),
        helper.make_node("Sum", ["c2", "h", "c0"], ["y"]),
    ]
    layers = _lowered(onnx_model, same_as_onnxruntime, nodes, half=np.array(0.5))
    assert [type(layer) for layer in layers] == [FloatConv] * 3 + [FloatAdd]
    assert dict(zip(layers[-1].sources, layers[-1].factors, strict=True)) == {"c2": 1, "c0": 1.5, "c1": -0.5}


def test_an_addition_that_is_read_twice_stays(onnx_model, same_as_onnxruntime):
    nodes = [
        *CONVS,
        helper.make_node("Add", ["c0", "c1"], ["s"]),
        helper.make_node("Add", ["s", "c2"], ["t"]),
        helper.make_node("Concat", ["s", "t"], ["y"], axis=1),
    ]
    layers = _lowered(onnx_model, same_as_onnxruntime, nodes)
    assert [len(layer.sources) for layer in layers if isinstance(layer, FloatAdd)] == [2, 2]


def test_scalings_before_and_behind_an_addition(onnx_model, same_as_onnxruntime):
    """One factor per tensor and any offsets go into the layer; factors per channel need a table."""
    nodes = [
        *CONVS[:2],
        helper.make_node("Relu", ["c0"], ["r"]),
        helper.make_node("Mul", ["r", "f"], ["m"]),
        helper.make_node("Add", ["m", "o"], ["a"]),
        helper.make_node("Add", ["a", "c1"], ["s"]),
        helper.make_node("Mul", ["s", "three"], ["t"]),
        helper.make_node("Sub", ["t", "o"], ["u"]),
        helper.make_node("Relu", ["u"], ["y"]),
    ]
    constants = {"o": RNG.normal(size=(3, 1, 1)), "three": np.array(3.0)}
    layers = _lowered(onnx_model, same_as_onnxruntime, nodes, f=np.array(-2.0), **constants)
    assert (len(layers), layers[-1].factors, layers[-1].clip) == (3, (-6, 3), (0.0, inf))
    layers = _lowered(onnx_model, same_as_onnxruntime, nodes, f=RNG.normal(size=(3, 1, 1)), **constants)
    assert sum(isinstance(layer, FloatTable) for layer in layers) == 1


def test_a_tensor_and_its_own_function_need_no_addition(onnx_model, same_as_onnxruntime):
    nodes = [CONVS[0], helper.make_node("Relu", ["c0"], ["r"]), helper.make_node("Add", ["c0", "r"], ["y"])]
    assert [type(layer) for layer in _lowered(onnx_model, same_as_onnxruntime, nodes)] == [FloatConv, FloatTable]
    nodes = [CONVS[0], helper.make_node("Add", ["c0", "c0"], ["s"]), helper.make_node("Conv", ["s", "k"], ["y"])]
    layers = _lowered(onnx_model, same_as_onnxruntime, nodes, k=RNG.normal(size=(2, 3, 1, 1)))
    assert [type(layer) for layer in layers] == [FloatConv, FloatConv]


def test_terms_that_cancel_out_are_not_added(onnx_model, same_as_onnxruntime):
    nodes = [
        *CONVS,
        helper.make_node("Add", ["c0", "c1"], ["s"]),
        helper.make_node("Add", ["s", "c2"], ["t"]),
        helper.make_node("Sub", ["t", "c1"], ["y"]),
    ]
    *_, added = _lowered(onnx_model, same_as_onnxruntime, nodes)
    assert (added.sources, added.factors) == (("c0", "c2"), (1.0, 1.0))
    # One term is no addition: it is what is pending on that tensor.
    nodes = [
        *CONVS[:2],
        helper.make_node("Sub", ["c0", "c1"], ["s"]),
        helper.make_node("Add", ["s", "o"], ["t"]),
        helper.make_node("Add", ["t", "c1"], ["u"]),
        helper.make_node("Conv", ["u", "k"], ["y"]),
    ]
    more = {"o": RNG.normal(size=(3, 1, 1)), "k": RNG.normal(size=(2, 3, 1, 1))}
    assert [type(layer) for layer in _lowered(onnx_model, same_as_onnxruntime, nodes, **more)] == [FloatConv, FloatConv]


def test_an_addition_that_cancels_out_altogether_is_refused(onnx_model):
    nodes = [
        *CONVS[:2],
        helper.make_node("Sub", ["c0", "c1"], ["s"]),
        helper.make_node("Sub", ["c1", "c0"], ["t"]),
        helper.make_node("Add", ["s", "t"], ["d"], name="n"),
        helper.make_node("Conv", ["d", "k2"], ["y"]),
    ]
    weights = {**{key: WEIGHTS[key] for key in ("k0", "k1")}, "k2": RNG.normal(size=(2, 3, 1, 1))}
    with pytest.raises(HwgenError, match=r"^node 'n' \(Add\): what it adds cancels out and leaves a constant"):
        lower(load_model(onnx_model(nodes, SHAPE, weights)))


def test_maps_of_one_size_and_of_one_pixel(onnx_model, same_as_onnxruntime):
    """Broadcasting is a Remap that repeats a pixel."""
    nodes = [
        *CONVS[:2],
        helper.make_node("GlobalAveragePool", ["c0"], ["g"]),
        helper.make_node("Add", ["c1", "g"], ["y"]),
    ]
    assert sum(isinstance(layer, FloatRemap) for layer in _lowered(onnx_model, same_as_onnxruntime, nodes)) == 1


def test_option_a_shortcut_is_one_remap(onnx_model, same_as_onnxruntime):
    """ResNet's shortcut without weights: every other pixel, and channels of zeros around."""
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], strides=[2, 2]),
        helper.make_node("Slice", ["x", "zero", "end", "axes", "two"], ["s"]),
        helper.make_node("Pad", ["s", "pads"], ["p"]),
        helper.make_node("Add", ["c", "p"], ["y"]),
    ]
    constants = {
        "zero": np.array([0, 0]),
        "end": np.array([99, 99]),
        "axes": np.array([2, 3]),
        "two": np.array([2, 2]),
        "pads": np.array([0, 1, 0, 0, 0, 1, 0, 0]),
        "k": RNG.normal(size=(4, 2, 1, 1)),
    }
    conv, remap, _ = _lowered(onnx_model, same_as_onnxruntime, nodes, **constants)
    assert isinstance(conv, FloatConv)
    assert (remap.rows.tolist(), remap.columns.tolist(), remap.channels.tolist()) == ([0, 2], [0, 4, 8], [-1, 0, 1, -1])


def test_flattened_maps_are_added_as_they_lie(onnx_model, same_as_onnxruntime):
    nodes = [
        *CONVS[:2],
        helper.make_node("Flatten", ["c0"], ["f0"]),
        helper.make_node("Flatten", ["c1"], ["f1"]),
        helper.make_node("Add", ["f0", "f1"], ["s"]),
        helper.make_node("Relu", ["s"], ["r"]),
        helper.make_node("MatMul", ["r", "w"], ["y"]),
    ]
    layers = _lowered(onnx_model, same_as_onnxruntime, nodes, w=RNG.normal(size=(60, 3)))
    assert [type(layer) for layer in layers] == [FloatConv, FloatConv, FloatAdd, FloatConv]


@pytest.mark.parametrize(("operator", "reason"), [("Mul", "a product"), ("Div", "a quotient")])
def test_products_of_tensors_are_refused(onnx_model, operator, reason):
    nodes = [*CONVS[:2], helper.make_node(operator, ["c0", "c1"], ["y"], name="n")]
    with pytest.raises(HwgenError, match=rf"^node 'n' \({operator}\): {reason} of two tensors is not supported"):
        lower(load_model(onnx_model(nodes, SHAPE, {key: WEIGHTS[key] for key in ("k0", "k1")})))
