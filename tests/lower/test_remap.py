"""Flatten, Reshape, Transpose and their like cost nothing where the weights can follow, and are refused elsewhere."""

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from hwgen.errors import HwgenError
from hwgen.floatnet import FloatConcat, FloatConv, FloatPool, FloatRemap, Layout, Normalization
from hwgen.importers import load_model
from hwgen.lower import lower

RNG = np.random.default_rng(5)
KERNEL = RNG.normal(size=(3, 2, 2, 2))
DENSE = RNG.normal(size=(3 * 3 * 4, 5))
CONV = helper.make_node("Conv", ["x", "k"], ["c"])
TALL = helper.make_node("Conv", ["x", "k"], ["c"], pads=[7, 0, 7, 0])
MATMUL = helper.make_node("MatMul", ["f", "w"], ["y"])
SHAPE = ("N", 2, 4, 5)


@pytest.mark.parametrize(("opset", "axis"), [(7, 1), (9, 1), (11, -3), (13, -3), (21, 1)])
def test_flatten(onnx_model, same_as_onnxruntime, opset, axis):
    nodes = [CONV, helper.make_node("Flatten", ["c"], ["f"], axis=axis), MATMUL]
    same_as_onnxruntime(onnx_model(nodes, SHAPE, {"k": KERNEL, "w": DENSE}, opset=opset))


@pytest.mark.parametrize("opset", [7, 13, 14, 19, 21])
@pytest.mark.parametrize("target", [[-1, 36], [1, -1], [0, -1]])
def test_reshape(onnx_model, same_as_onnxruntime, opset, target):
    nodes = [CONV, helper.make_node("Reshape", ["c", "s"], ["f"]), MATMUL]
    same_as_onnxruntime(
        onnx_model(nodes, SHAPE, {"k": KERNEL, "w": DENSE, "s": np.array(target, np.int64)}, opset=opset)
    )


def test_reshape_to_a_computed_shape(onnx_model, same_as_onnxruntime):
    """What PyTorch writes for ``x.view(x.size(0), -1)``."""
    nodes = [
        CONV,
        helper.make_node("Shape", ["c"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Unsqueeze", ["n", "axes"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["t"], axis=0),
        helper.make_node("Reshape", ["c", "t"], ["f"]),
        MATMUL,
    ]
    index = {"zero": np.int64(0), "axes": np.array([0], np.int64), "rest": np.array([-1], np.int64)}
    same_as_onnxruntime(onnx_model(nodes, SHAPE, {"k": KERNEL, "w": DENSE, **index}, output_shape=("N", 5)))


@pytest.mark.parametrize("opset", [7, 11, 13, 21])
def test_squeeze_and_unsqueeze(onnx_model, same_as_onnxruntime, opset):
    axes = {"axes": [2, 3]} if opset < 13 else {}
    extra = {} if opset < 13 else {"a": np.array([2, 3], np.int64)}
    more = [] if opset < 13 else ["a"]
    nodes = [
        CONV,
        helper.make_node("GlobalAveragePool", ["c"], ["g"]),
        helper.make_node("Squeeze", ["g", *more], ["q"], **axes),
        helper.make_node("Unsqueeze", ["q", *more], ["u"], **axes),
        helper.make_node("Conv", ["u", "k2"], ["y"]),
    ]
    weights = {"k": KERNEL, "k2": RNG.normal(size=(4, 3, 1, 1)), **extra}
    assert len(same_as_onnxruntime(onnx_model(nodes, SHAPE, weights, opset=opset)).layers) == 3


def test_a_dense_layer_takes_any_order(onnx_model, same_as_onnxruntime):
    """TensorFlow flattens channel-last; the weights follow."""
    nodes = [
        CONV,
        helper.make_node("Transpose", ["c"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Flatten", ["t"], ["f"]),
        MATMUL,
    ]
    same_as_onnxruntime(onnx_model(nodes, SHAPE, {"k": KERNEL, "w": DENSE}))


def test_a_transpose_that_moves_nothing(onnx_model, same_as_onnxruntime):
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "k1"], ["y"]),
    ]
    network = same_as_onnxruntime(onnx_model(nodes, ("N", 6, 5, 1), {"k1": KERNEL[:, :1]}))
    assert network.input_shape == (6, 5, 1)


def test_identity_dropout_and_cast(onnx_model, same_as_onnxruntime):
    nodes = [
        helper.make_node("Cast", ["x"], ["x2"], to=TensorProto.FLOAT),
        helper.make_node("Identity", ["x2"], ["x3"]),
        helper.make_node("Dropout", ["x3"], ["x4"], ratio=0.7),
        helper.make_node("Conv", ["x4", "k"], ["y"]),
    ]
    assert len(same_as_onnxruntime(onnx_model(nodes, SHAPE, {"k": KERNEL}, opset=11)).layers) == 1


@pytest.mark.parametrize(
    ("nodes", "extra", "reason"),
    [
        (
            [
                CONV,
                helper.make_node("Transpose", ["c"], ["t"]),
                helper.make_node("MaxPool", ["t"], ["y"], name="n", kernel_shape=[1, 1]),
            ],
            {},
            "node 'n' (MaxPool): its input has shape (4, 3, 3, 1), a batch of 4",
        ),
        (
            [
                CONV,
                helper.make_node("Transpose", ["c"], ["t"], perm=[0, 1, 3, 2]),
                helper.make_node("MaxPool", ["t"], ["y"], name="n", kernel_shape=[1, 1]),
            ],
            {},
            "node 'n' (MaxPool): its input is a map with its values in another order",
        ),
        (
            # Rows that are read backwards, also where another reading of the input's axes would hide it.
            [
                helper.make_node("Pad", ["x", "pads"], ["p"], mode="reflect"),
                helper.make_node("MaxPool", ["p"], ["y"], name="n", kernel_shape=[2, 2]),
            ],
            {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
            "node 'n' (MaxPool): its input is a map with its values in another order",
        ),
        (
            # One row of pixels out of 17 rows.
            [
                TALL,
                helper.make_node("Reshape", ["c", "row"], ["r"]),
                helper.make_node("MaxPool", ["r"], ["y"], name="n", kernel_shape=[1, 1]),
            ],
            {"row": np.array([1, 3, 1, -1])},
            "node 'n' (MaxPool): its input is a map with its values in another order",
        ),
        (
            [CONV, helper.make_node("Cast", ["c"], ["y"], name="n", to=TensorProto.INT32)],
            {},
            "node 'n' (Cast): to=INT32 is not supported, only casts to a float type",
        ),
        (
            [CONV, helper.make_node("Dropout", ["c", "", "on"], ["y"], name="n")],
            {"on": np.int64(1)},
            "node 'n' (Dropout): training_mode=1 is not supported; export the model for inference",
        ),
        (
            [TALL, helper.make_node("Flatten", ["c"], ["y"], name="n")],
            {},
            "node 'n' (Flatten): the output is a rearranged map; end the model with the map itself or a dense layer",
        ),
    ],
)
def test_refused(onnx_model, nodes, extra, reason):
    used = {"k": KERNEL} if nodes[0] in (CONV, TALL) else {}
    kind = TensorProto.INT32 if "INT32" in reason else TensorProto.FLOAT
    if "on" in extra:
        # The flag must be a bool, which comes from a Cast of a constant.
        nodes = [helper.make_node("Cast", ["flag"], ["on"], to=TensorProto.BOOL), *nodes]
        extra = {"flag": extra["on"]}
    path = onnx_model(nodes, (1, 2, 4, 5), {**used, **extra}, output_type=kind)
    with pytest.raises(HwgenError) as error:
        lower(load_model(path))
    assert str(error.value).startswith(reason)


def test_channel_last_models(onnx_model, same_as_onnxruntime):
    """What TensorFlow exports: raw data, pools and activations channel-last, convolutions between Transposes."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "k"], ["c"]),
        helper.make_node("Transpose", ["c"], ["l"], perm=[0, 2, 3, 1]),
        helper.make_node("Add", ["l", "b"], ["s"]),
        helper.make_node("Relu", ["s"], ["r"]),
        helper.make_node("ReduceMean", ["r"], ["m"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["m", "w"], ["y"]),
    ]
    weights = {"k": KERNEL, "b": RNG.normal(size=3), "w": RNG.normal(size=(3, 5))}
    normalization = Normalization((0.5,), (0.25, -0.5), (2.0, 0.75))
    network = same_as_onnxruntime(onnx_model(nodes, ("N", 4, 5, 2), weights), normalization)
    assert (network.input_shape, network.input.layout) == ((4, 5, 2), Layout.CHANNEL_LAST)
    assert [type(layer) for layer in network.layers] == [FloatConv, FloatPool, FloatConv]


def _quarters() -> list[NodeProto]:
    """Every second row and column of ``f``, from each of the four beginnings, as ``q0`` to ``q3``."""
    return [helper.make_node("Slice", ["f", f"from{i}", "end", "axes", "twos"], [f"q{i}"]) for i in range(4)]


QUARTERS = {f"from{i}": np.array([i % 2, i // 2]) for i in range(4)} | {
    "end": np.array([2**31, 2**31]),
    "twos": np.array([2, 2]),
}


@pytest.mark.parametrize("behind_a_layer", [False, True])
def test_a_row_out_of_several(onnx_model, same_as_onnxruntime, behind_a_layer):
    """YOLO's Focus: every second row in a Remap, joined by a Concat, and the channels in the model's order."""
    first = helper.make_node("LeakyRelu" if behind_a_layer else "Identity", ["x"], ["f"])
    nodes = [
        first,
        *_quarters(),
        helper.make_node("Concat", ["q0", "q1", "q2", "q3"], ["j"], axis=1),
        helper.make_node("Conv", ["j", "k"], ["y"]),
    ]
    weights = QUARTERS | {"axes": np.array([2, 3]), "k": RNG.normal(size=(3, 8, 2, 2))}
    layers = same_as_onnxruntime(onnx_model(nodes, (1, 2, 6, 4), weights)).layers[behind_a_layer:]
    assert [type(layer) for layer in layers] == [FloatRemap, FloatRemap, FloatConcat, FloatRemap, FloatConv]
    assert [layer.rows.tolist() for layer in layers[:2]] == [[0, 2, 4], [1, 3, 5]]


def test_a_row_out_of_several_channel_last(onnx_model, same_as_onnxruntime):
    """Swin's patch merging, a negative scaling in front of it."""
    nodes = [
        helper.make_node("Conv", ["x", "k0"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Mul", ["r", "m"], ["s"]),
        helper.make_node("Transpose", ["s"], ["f"], perm=[0, 2, 3, 1]),
        *_quarters(),
        helper.make_node("Concat", ["q0", "q1", "q2", "q3"], ["j"], axis=3),
        helper.make_node("MatMul", ["j", "k1"], ["y"]),
    ]
    weights = QUARTERS | {"axes": np.array([1, 2]), "m": np.array([[[[-0.5]]]])}
    weights |= {"k0": RNG.normal(size=(3, 2, 1, 1)), "k1": RNG.normal(size=(12, 5))}
    layers = same_as_onnxruntime(onnx_model(nodes, (1, 2, 4, 6), weights), channel_last=True).layers
    assert sum(isinstance(layer, FloatConcat) for layer in layers) == 1


@pytest.mark.parametrize("block", [2, 4])
def test_space_to_depth_spelt_out(onnx_model, same_as_onnxruntime, block):
    """PyTorch's PixelUnshuffle, a sum with what PixelShuffle makes of it again."""
    nodes = [
        helper.make_node("Reshape", ["x", "six"], ["a"]),
        helper.make_node("Transpose", ["a"], ["b"], perm=[0, 1, 3, 5, 2, 4]),
        helper.make_node("Reshape", ["b", "four"], ["c"]),
        helper.make_node("Tanh", ["c"], ["t"]),
        helper.make_node("Conv", ["t", "k"], ["d"]),
        helper.make_node("DepthToSpace", ["d"], ["e"], blocksize=block, mode="CRD"),
        helper.make_node("Add", ["e", "x"], ["y"]),
    ]
    channels = 2 * block**2
    weights = {
        "six": np.array([1, 2, 8 // block, block, 8 // block, block]),
        "four": np.array([1, channels, 8 // block, 8 // block]),
        "k": RNG.normal(size=(channels, channels, 1, 1)),
    }
    layers = same_as_onnxruntime(onnx_model(nodes, (1, 2, 8, 8), weights)).layers
    assert sum(isinstance(layer, FloatConcat) for layer in layers) == 1


def test_a_vector_out_of_a_few_rows(onnx_model, same_as_onnxruntime):
    """A small map, flattened, beside its own averages: as many Remaps as rows."""
    nodes = [
        CONV,
        helper.make_node("Flatten", ["c"], ["f"]),
        helper.make_node("ReduceMean", ["c"], ["m"], axes=[2, 3], keepdims=0),
        helper.make_node("Concat", ["f", "m"], ["j"], axis=1),
        helper.make_node("MatMul", ["j", "w"], ["y"]),
    ]
    weights = {"k": KERNEL, "w": RNG.normal(size=(3 * 3 * 4 + 3, 5))}
    layers = same_as_onnxruntime(onnx_model(nodes, (1, 2, 4, 5), weights)).layers
    assert sum(isinstance(layer, FloatRemap) and len(layer.channels) == 12 for layer in layers) == 3
