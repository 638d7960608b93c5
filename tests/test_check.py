"""``check``: what is in a model, what cannot be built, and where it would fit."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwgen import api, boards, demo
from hwgen.errors import HwgenError


def save(path, nodes, weights, input_shape, output_shape):
    """An ONNX file of ``nodes`` from tensor "x" to tensor "y"."""
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output_shape)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture(scope="module")
def demo_checked():
    return api.check(demo.model_path(), scale=demo.SCALE)


def test_demo_layers(demo_checked):
    assert demo_checked["supported"] is True
    assert demo_checked["reason"] is None
    assert demo_checked["input_shape"] == [1, 8, 8]
    # By hand: 8*8 pixels * 8 channels * 9 weights; 4*4 * 16 * 8*9; 64 * 10. Normalisation: a factor and a bias each.
    rows = [(r["operator"], r["shape"], r["macs"], r["parameters"]) for r in demo_checked["layers"]]
    assert rows == [
        ("Conv", [8, 8, 8], 4608, 72),
        ("BatchNormalization", [8, 8, 8], 0, 16),
        ("Relu", [8, 8, 8], 0, 0),
        ("MaxPool", [8, 4, 4], 0, 0),
        ("Conv", [16, 4, 4], 18432, 1152),
        ("BatchNormalization", [16, 4, 4], 0, 32),
        ("Relu", [16, 4, 4], 0, 0),
        ("MaxPool", [16, 2, 2], 0, 0),
        ("Flatten", [64], 0, 0),
        ("Gemm", [10], 640, 650),
    ]
    assert all(r["supported"] and r["reason"] is None for r in demo_checked["layers"])
    assert (demo_checked["macs"], demo_checked["parameters"]) == (23680, 1922)


def test_demo_boards(demo_checked):
    rows = {row["board"]: row for row in demo_checked["boards"]}
    assert tuple(rows) == boards.names()
    assert rows[demo.BOARD]["fits"] is True
    for name, row in rows.items():
        assert row["fits"] == (row["reason"] is None) == (row["lut"] is not None)
        if row["fits"]:
            assert 0 < row["lut"] <= boards.board(name).lut
            assert 0 <= row["bram"] <= boards.board(name).bram
            assert row["frames_per_second"] > 0


@pytest.mark.parametrize("transposed", [False, True])
def test_dense_layers(tmp_path, transposed):
    weight = np.ones((3, 5) if transposed else (5, 3), np.float32)
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], "dense", transB=int(transposed))
    path = save(tmp_path / "m.onnx", [node], {"w": weight, "b": np.zeros(3, np.float32)}, [1, 5], [1, 3])
    (row,) = api.check(path)["layers"]
    assert (row["macs"], row["parameters"], row["shape"]) == (15, 18, [3])


def test_unsupported_operators_are_named(tmp_path):
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], "fine"),
        helper.make_node("Einsum", ["a"], ["b"], "odd", equation="nchw->nchw"),
        helper.make_node("LpNormalization", ["b"], ["y"]),
    ]
    result = api.check(save(tmp_path / "m.onnx", nodes, {}, [1, 1, 4, 4], [1, 1, 4, 4]))
    assert result["supported"] is False
    assert result["reason"].startswith("node 'odd' (Einsum): operator Einsum is not supported")
    assert [(r["name"], r["supported"]) for r in result["layers"]] == [("fine", True), ("odd", False), ("y", False)]
    assert [r["reason"] for r in result["layers"]] == [
        None,
        "operator Einsum is not supported",
        "operator LpNormalization is not supported",
    ]
    assert result["boards"] == []


def test_model_that_fits_nowhere(tmp_path):
    """Four million weights: every board says which number is too large."""
    weight = np.random.default_rng(0).normal(size=(2048, 2048)).astype(np.float32)
    node = helper.make_node("Gemm", ["x", "w"], ["y"], "dense")
    result = api.check(save(tmp_path / "m.onnx", [node], {"w": weight}, [1, 2048], [1, 2048]))
    assert result["supported"] is True
    assert [row["fits"] for row in result["boards"]] == [False] * len(boards.names())
    assert all(row["reason"].startswith("its weights need 16,777 kbit, and all") for row in result["boards"])


def test_a_map_beyond_every_device_is_an_answer_in_no_time(tmp_path):
    """What a flipped bit can make of a dimension; nothing of that size is even quantized."""
    weights = {"w": np.ones((4, 3, 3, 3), np.float32)}
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])]
    path = save(tmp_path / "huge.onnx", nodes, weights, [1, 3, 36, 38940], None)
    checked = api.check(path)
    assert checked["supported"] is True
    assert not any(board["fits"] for board in checked["boards"])
    assert all("can be planned" in board["reason"] for board in checked["boards"])


def test_wrong_file(tmp_path):
    with pytest.raises(HwgenError, match="does not exist"):
        api.check(tmp_path / "absent.onnx")


def test_normalization_of_the_wrong_length():
    result = api.check(demo.model_path(), mean=(0.1, 0.2, 0.3))
    assert result["supported"] is False
    assert "mean" in result["reason"]
