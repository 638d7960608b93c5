"""The float model beside a network file."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from hwgen import demo
from hwgen.errors import HwgenError
from hwgen.floatmodel import companion, keep_model, kept_model
from hwgen.floatnet import Normalization
from hwgen.importers import load_model
from hwgen.lower import evaluate, lower
from hwgen.quantize import quantize


@pytest.fixture(scope="module")
def images():
    return np.load(demo.test_path())["x"].transpose(0, 2, 3, 1)[:8]


@pytest.fixture(scope="module")
def float_network():
    return lower(load_model(demo.model_path()), Normalization(scale=(demo.SCALE,)))


@pytest.fixture(scope="module")
def network(float_network, images):
    return quantize(float_network, images)


def test_round_trip(tmp_path, network, float_network, images):
    """Same function, normalisation included, through the file."""
    file = tmp_path / "net.npz"
    keep_model(network, demo.model_path(), file)
    assert [path.name for path in tmp_path.iterdir()] == ["net.float.onnx"]
    assert np.array_equal(evaluate(kept_model(network, file), images), evaluate(float_network, images))
    onnx.checker.check_model(companion(file))


def test_weights_in_another_file_come_along(tmp_path, network, float_network, images):
    folder = tmp_path / "model"
    folder.mkdir()
    model = onnx.load(demo.model_path())
    onnx.save(model, folder / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    keep_model(network, folder / "m.onnx", tmp_path / "net.npz")
    (folder / "weights.bin").unlink()
    found = evaluate(kept_model(network, tmp_path / "net.npz"), images)
    assert np.array_equal(found, evaluate(float_network, images))


def test_missing(tmp_path, network):
    with pytest.raises(HwgenError, match=r"net\.float\.onnx is missing, the float model of net\.npz; quantize again"):
        kept_model(network, tmp_path / "net.npz")


def test_of_another_network(tmp_path, network):
    keep_model(network, demo.model_path(), tmp_path / "net.npz")
    other = replace(network, notes=("another",))
    with pytest.raises(HwgenError, match=r"is not the float model that net\.npz was made from; quantize again"):
        kept_model(other, tmp_path / "net.npz")
    # Quantizing from the companion itself marks it anew.
    keep_model(other, companion(tmp_path / "net.npz"), tmp_path / "other.npz")
    assert kept_model(other, tmp_path / "other.npz").input_shape == (8, 8, 1)


def test_model_without_mark(tmp_path, network):
    companion(tmp_path / "net.npz").write_bytes(demo.model_path().read_bytes())
    with pytest.raises(HwgenError, match="quantize again"):
        kept_model(network, tmp_path / "net.npz")


def test_damaged(tmp_path, network):
    content = demo.model_path().read_bytes()
    companion(tmp_path / "net.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(HwgenError, match="truncated"):
        kept_model(network, tmp_path / "net.npz")
