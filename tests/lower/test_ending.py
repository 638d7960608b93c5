"""Softmax, LogSoftmax and ArgMax at the end are left away with a note, and refused elsewhere."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from hwgen.errors import HwgenError
from hwgen.importers import load_model
from hwgen.lower import evaluate, lower

WEIGHT = np.random.default_rng(6).normal(size=(12, 5))
MATMUL = helper.make_node("MatMul", ["x", "w"], ["g"])


@pytest.mark.parametrize("opset", [7, 11, 13, 21])
@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax", "ArgMax"])
def test_left_away(onnx_model, operator, opset):
    attributes = {"axis": 1} if operator == "ArgMax" else {}
    node = helper.make_node(operator, ["g"], ["y"], name="end", **attributes)
    kind = TensorProto.INT64 if operator == "ArgMax" else TensorProto.FLOAT
    path = onnx_model([MATMUL, node], ("N", 12), {"w": WEIGHT}, opset=opset, output_type=kind)
    network = lower(load_model(path))
    x = np.random.default_rng(0).normal(size=(20, 1, 1, 12))
    np.testing.assert_allclose(evaluate(network, x).reshape(20, 5), x.reshape(20, 12) @ WEIGHT.astype(np.float32))
    (note,) = network.notes
    assert note.startswith(f"Node 'end' ({operator}) at the end is left away: the largest logit stays the largest")


def test_refused_in_the_middle(onnx_model):
    nodes = [
        MATMUL,
        helper.make_node("Softmax", ["g"], ["s"], name="mid"),
        helper.make_node("Relu", ["s"], ["y"], name="after"),
    ]
    with pytest.raises(
        HwgenError, match=r"^node 'mid' \(Softmax\): supported only at the end of the model, but node 'after'"
    ):
        lower(load_model(onnx_model(nodes, ("N", 12), {"w": WEIGHT})))


def test_refused_over_the_batch(onnx_model):
    nodes = [MATMUL, helper.make_node("Softmax", ["g"], ["y"], name="end", axis=0)]
    with pytest.raises(HwgenError, match=r"^node 'end' \(Softmax\): axis=0 is the batch and is not supported"):
        lower(load_model(onnx_model(nodes, ("N", 12), {"w": WEIGHT})))
