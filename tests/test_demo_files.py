"""The bundled model and images are what their documentation says."""

import hashlib

import numpy as np
import onnx
import onnxruntime
import pytest
from sklearn.datasets import load_digits

from hwgen import demo
from hwgen.floatnet import Normalization
from hwgen.importers import load_model
from hwgen.lower import evaluate, lower

FLOAT_CORRECT = 354


@pytest.fixture(scope="module")
def calibration():
    return np.load(demo.calibration_path())


@pytest.fixture(scope="module")
def held_out():
    return np.load(demo.test_path())


def test_images(calibration, held_out):
    for archive, samples in ((calibration, 256), (held_out, 360)):
        assert set(archive) == {"x", "y"}
        assert (archive["x"].dtype, archive["x"].shape) == (np.uint8, (samples, 1, 8, 8))
        assert (archive["y"].dtype, archive["y"].shape) == (np.int64, (samples,))
        assert (archive["x"].min(), archive["x"].max()) == (0, 16)
        assert np.bincount(archive["y"], minlength=10).min() >= samples // 20
    assert len(held_out["x"]) == demo.FRAMES


def test_images_are_scikit_learns(calibration, held_out):
    """Unchanged, correctly labelled, and no test image was used for calibration."""
    digits = load_digits()
    labels = {
        hashlib.sha256(image.astype(np.uint8)).digest(): y
        for image, y in zip(digits.images, digits.target, strict=True)
    }
    assert len(labels) == len(digits.images)
    hashes = {}
    for part, archive in (("calibration", calibration), ("test", held_out)):
        hashes[part] = [hashlib.sha256(image[0]).digest() for image in archive["x"]]
        assert [labels[h] for h in hashes[part]] == archive["y"].tolist()
    assert not set(hashes["calibration"]) & set(hashes["test"])


def test_model():
    model = onnx.load(demo.model_path())
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == [
        *("Conv", "BatchNormalization", "Relu", "MaxPool"),
        *("Conv", "BatchNormalization", "Relu", "MaxPool"),
        *("Flatten", "Gemm"),
    ]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    batch, *shape = model.graph.input[0].type.tensor_type.shape.dim
    assert (batch.dim_param, [axis.dim_value for axis in shape]) == ("batch", [1, 8, 8])
    trained = [t for t in model.graph.initializer if "running" not in t.name]
    assert sum(int(np.prod(t.dims)) for t in trained) == 1922


def test_accuracy_in_onnxruntime(held_out):
    """Independent of hwgen: the figure in the documentation."""
    session = onnxruntime.InferenceSession(demo.model_path(), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"image": held_out["x"].astype(np.float32) * np.float32(demo.SCALE)})
    assert (logits.argmax(1) == held_out["y"]).sum() == FLOAT_CORRECT


def test_accuracy_in_hwgen(held_out):
    network = lower(load_model(demo.model_path()), Normalization(scale=(demo.SCALE,)))
    logits = evaluate(network, held_out["x"].transpose(0, 2, 3, 1)).reshape(len(held_out["x"]), -1)
    assert (logits.argmax(1) == held_out["y"]).sum() == FLOAT_CORRECT


def test_files_are_small():
    for path in (demo.model_path(), demo.calibration_path(), demo.test_path()):
        assert path.stat().st_size < 20_000
