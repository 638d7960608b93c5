"""BatchNormalization and constant arithmetic fold into the layers and change nothing."""

import numpy as np
import pytest
from onnx import helper

from hwgen.errors import HwgenError
from hwgen.importers import load_model
from hwgen.lower import lower

RNG = np.random.default_rng(3)
KERNEL = RNG.normal(size=(4, 2, 3, 3))
BN = {
    "scale": RNG.normal(size=4),
    "bias": RNG.normal(size=4),
    "mean": RNG.normal(size=4),
    "var": RNG.uniform(0.5, 2, size=4),
}
CONV = helper.make_node("Conv", ["x", "k"], ["c"], pads=[1, 1, 1, 1])


@pytest.mark.parametrize("opset", [7, 8, 9, 13, 14, 15, 21])
def test_batch_normalization_folds_into_the_convolution_before(onnx_model, same_as_onnxruntime, opset):
    node = helper.make_node("BatchNormalization", ["c", *BN], ["y"], epsilon=0.01)
    network = same_as_onnxruntime(onnx_model([CONV, node], (1, 2, 5, 5), {"k": KERNEL, **BN}, opset=opset))
    assert len(network.layers) == 1
    assert network.notes == ("1 BatchNormalization folded into the weights and biases of the layers.",)


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("shape", [(), (1,), (4, 1, 1), (1, 4, 1, 1)])
def test_constant_behind_the_data(onnx_model, same_as_onnxruntime, operator, shape):
    node = helper.make_node(operator, ["c", "v"], ["y"])
    value = np.resize([2.0, -3.0, 0.5, 5.0], shape)
    assert len(same_as_onnxruntime(onnx_model([CONV, node], (1, 2, 5, 5), {"k": KERNEL, "v": value})).layers) == 1


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul"])
def test_constant_before_the_data(onnx_model, same_as_onnxruntime, operator):
    node = helper.make_node(operator, ["v", "c"], ["y"])
    value = RNG.normal(size=(4, 1, 1))
    same_as_onnxruntime(onnx_model([CONV, node], (1, 2, 5, 5), {"k": KERNEL, "v": value}))


def test_a_factor_of_zero_folds_backward(onnx_model, same_as_onnxruntime):
    value = np.array([0.0, 1, -1, 2]).reshape(4, 1, 1)
    same_as_onnxruntime(
        onnx_model([CONV, helper.make_node("Mul", ["c", "v"], ["y"])], (1, 2, 5, 5), {"k": KERNEL, "v": value})
    )


@pytest.mark.parametrize(
    ("node", "change", "reason"),
    [
        (helper.make_node("Div", ["c", "v"], ["y"], name="n"), {"v": 0.0}, "its constant divides by zero"),
        (
            helper.make_node("Add", ["c", "v"], ["y"], name="n"),
            {"v": np.ones((2, 4, 5, 5))},
            "its result of shape (2, 4, 5, 5) has a batch of 2; keep the batch axis first",
        ),
        (helper.make_node("Mul", ["c", "v"], ["y"], name="n"), {"v": np.nan}, "its operand 'v' has NaN or infinite"),
        (
            helper.make_node("BatchNormalization", ["c", *BN], ["y"], name="n"),
            {"var": np.full(4, -1.0)},
            "its variance plus epsilon must be above zero",
        ),
        (
            helper.make_node("BatchNormalization", ["c", *BN], ["y", "m", "s"], name="n", training_mode=1),
            {},
            "training_mode=1 is not supported, only training_mode=0",
        ),
    ],
)
def test_refused(onnx_model, node, change, reason):
    weights = {"k": KERNEL, **BN, "v": np.ones(1), **change}
    used = {key: weights[key] for key in weights if key in (*CONV.input, *node.input)}
    path = onnx_model([CONV, node], (1, 2, 5, 5), used, opset=14 if "m" in node.output else 13)
    with pytest.raises(HwgenError) as error:
        lower(load_model(path))
    assert str(error.value).startswith(f"node 'n' ({node.op_type}): {reason}")


def test_a_parameter_of_the_wrong_length_is_refused(onnx_model):
    node = helper.make_node("BatchNormalization", ["c", *BN], ["y"], name="n")
    weights = {"k": KERNEL, **BN, "mean": np.zeros(3)}
    with pytest.raises(HwgenError, match=r"one value for each of 4 channels|shapes of the model do not fit"):
        lower(load_model(onnx_model([CONV, node], (1, 2, 5, 5), weights, output_shape=(1, 4, 5, 5))))
