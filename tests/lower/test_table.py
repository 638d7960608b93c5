"""Functions of one tensor compose into one table, whatever operators a model spells them with."""

import numpy as np
import pytest
from onnx import helper

from hwgen.errors import HwgenError
from hwgen.floatnet import FloatConv, FloatTable
from hwgen.importers import load_model
from hwgen.lower import lower

RNG = np.random.default_rng(12)
CONV = helper.make_node("Conv", ["x", "k"], ["c"])
KERNEL = RNG.normal(size=(4, 2, 1, 1))
SCALARS = {"three": 3.0, "six": 6.0, "half": 0.5, "one": 1.0, "root": np.sqrt(2), "zero": 0.0}


def _node(operator, source, target, *more, **attributes):
    return helper.make_node(operator, [source, *more], [target], **attributes)


SPELLINGS = {
    "silu": [_node("Sigmoid", "c", "s"), _node("Mul", "c", "y", "s")],
    "gelu": [
        _node("Div", "c", "d", "root"),
        _node("Erf", "d", "e"),
        _node("Add", "e", "a", "one"),
        _node("Mul", "c", "m", "a"),
        _node("Mul", "m", "y", "half"),
    ],
    "hard swish": [_node("HardSigmoid", "c", "s", alpha=1 / 6), _node("Mul", "c", "y", "s")],
    "hard swish of MobileNet": [
        _node("Add", "c", "a", "three"),
        _node("Clip", "a", "q", "zero", "six"),
        _node("Mul", "c", "m", "q"),
        _node("Div", "m", "y", "six"),
    ],
    "mish": [_node("Softplus", "c", "s"), _node("Tanh", "s", "t"), _node("Mul", "c", "y", "t")],
    "square": [_node("Mul", "c", "y", "c")],
    "absolute": [_node("Neg", "c", "n"), _node("Max", "c", "y", "n")],
    "leaky": [_node("Mul", "c", "m", "half"), _node("Max", "c", "y", "m")],
    "where": [_node("Less", "c", "l", "zero"), _node("Where", "l", "y", "zero", "c")],
    "reciprocal": [_node("Exp", "c", "e"), _node("Add", "e", "a", "one"), _node("Div", "one", "y", "a")],
    "leaky relu": [_node("LeakyRelu", "c", "y", alpha=0.2)],
    "prelu": [_node("PRelu", "c", "y", "slope")],
    "elu": [_node("Elu", "c", "y", alpha=0.7)],
    "sigmoid at the end": [_node("Sigmoid", "c", "y")],
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_one_table(onnx_model, same_as_onnxruntime, name):
    nodes = [CONV, *SPELLINGS[name]]
    used = {entry for node in nodes for entry in node.input}
    weights = {"k": KERNEL, "slope": RNG.normal(size=(4, 1, 1)), **SCALARS}
    path = onnx_model(nodes, (1, 2, 4, 5), {key: value for key, value in weights.items() if key in used})
    conv, table = same_as_onnxruntime(path).layers
    assert (type(conv), type(table)) == (FloatConv, FloatTable)


def test_a_table_is_made_once_for_all_its_readers(onnx_model, same_as_onnxruntime):
    nodes = [
        CONV,
        _node("Tanh", "c", "t"),
        _node("Conv", "t", "a", "k2"),
        _node("Conv", "t", "b", "k2"),
        _node("MaxPool", "t", "p", kernel_shape=[1, 1]),
        helper.make_node("Sum", ["a", "b", "p"], ["y"]),
    ]
    path = onnx_model(nodes, (1, 2, 4, 5), {"k": KERNEL, "k2": RNG.normal(size=(4, 4, 1, 1))})
    assert sum(isinstance(layer, FloatTable) for layer in same_as_onnxruntime(path).layers) == 1


def test_a_function_that_doubles_every_time_stays_small(onnx_model, same_as_onnxruntime):
    """Thirty times ``x * sigmoid(x)`` would be a tree of a billion nodes."""
    nodes = [CONV]
    for index in range(30):
        source, target = ("c" if index == 0 else f"t{index}"), ("y" if index == 29 else f"t{index + 1}")
        nodes += [_node("Sigmoid", source, f"s{index}"), _node("Mul", source, target, f"s{index}")]
    network = same_as_onnxruntime(onnx_model(nodes, (1, 2, 4, 5), {"k": KERNEL}))
    assert 2 < len(network.layers) < 30


def test_constants_that_differ_from_pixel_to_pixel_are_refused(onnx_model):
    nodes = [CONV, _node("Mul", "c", "m", "v", name="scale"), _node("Tanh", "m", "y", name="n")]
    with pytest.raises(HwgenError, match=r"node 'n' \(Tanh\) before it is not the same for every pixel"):
        lower(load_model(onnx_model(nodes, (1, 2, 4, 5), {"k": KERNEL, "v": RNG.normal(size=(4, 4, 5))})))


def test_functions_of_different_tensors_are_refused(onnx_model):
    nodes = [CONV, _node("Conv", "x", "d", "k2"), _node("Max", "c", "y", "d", name="n")]
    with pytest.raises(HwgenError, match=r"^node 'n' \(Max\): it joins different tensors, which only"):
        lower(load_model(onnx_model(nodes, (1, 2, 4, 5), {"k": KERNEL, "k2": KERNEL[::-1]})))
