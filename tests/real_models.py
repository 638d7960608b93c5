"""The networks of the shared data, with inputs that are real where there are any: for tests and benchmarks.

Calibration samples are never test samples, and come without labels.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DIGITS", "MODELS", "RealModel", "Samples"]

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class Samples:
    """calibration, test: (N, ...) in the model's layout; labels: (N,) of the test samples, or None."""

    calibration: Array
    test: Array
    labels: Array | None = None


@dataclass(frozen=True)
class RealModel:
    """file: below the folder of data; normalization: what turns samples into model input; samples: reads them."""

    file: str
    samples: Callable[[Path], Samples]
    normalization: dict[str, Any] = field(default_factory=dict)


def _cifar(folder: Path) -> Samples:
    test = np.load(folder / "cifar10" / "cifar10_jpeg_test_first500perclass.npz")
    train = np.load(folder / "cifar10" / "cifar10_jpeg_train_first200perclass.npz")
    order = np.random.default_rng(0).permutation(len(test["x"]))
    return Samples(_first(train["x"][::2]), _first(test["x"][order]), test["y"][order])


def _first(images: Array) -> Array:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _speech(folder: Path) -> Samples:
    file = np.load(folder / "mlperf-tiny" / "kws_gsc_mfcc_even500.npz")
    x = ((file["x_int8"] - file["offset"]) * file["scale"]).astype(np.float32)[..., None]
    order = np.random.default_rng(0).permutation(len(x))
    return Samples(x[order[:100]], x[order[100:]], file["y"][order[100:]])


def _digits(folder: Path) -> Samples:
    """There are no training images here: the first 1,000 test images calibrate, without labels, the others judge."""

    def read(name: str, header: int) -> Array:
        return np.frombuffer(gzip.decompress((folder / "mnist" / name).read_bytes()), np.uint8, offset=header)

    images = read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    labels = read("t10k-labels-idx1-ubyte.gz", 8).astype(np.int64)
    return Samples(images[:1000], images[1000:], labels[1000:])


def _people(folder: Path) -> Samples:
    """No images of that set are here: photographs of other things, enlarged to its 96 x 96 pixels."""
    small = _cifar(folder)
    grow = [np.kron(x[:300], np.ones((1, 1, 3, 3), x.dtype)) for x in (small.calibration, small.test)]
    return Samples(grow[0], grow[1])


def _machines(folder: Path) -> Samples:
    """No recordings are here: five frames of 128 bands, smooth in both directions, in the range of log-mel energies."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (800, 5, 128)).cumsum(axis=2) * 0.6
    level = rng.normal(-20, 6, (800, 1, 1))
    x = (level + noise - noise.mean(axis=2, keepdims=True)).reshape(800, 640).astype(np.float32)
    return Samples(x[:400], x[400:])


MODELS = {
    "resnet8": RealModel("mlperf-tiny/resnet8.onnx", _cifar),
    "kws": RealModel("mlperf-tiny/kws.onnx", _speech),
    "vww": RealModel("mlperf-tiny/vww.onnx", _people, {"scale": 1 / 255}),
    "ad01": RealModel("mlperf-tiny/ad01.onnx", _machines),
    "resnet20": RealModel(
        "resnet20/resnet20-12fca82f.onnx",
        _cifar,
        {"scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
    ),
}

DIGITS = {
    "mnist8": RealModel("mnist/mnist8_cntk.onnx", _digits),
    "burn_mnist": RealModel("mnist/burn_mnist.onnx", _digits, {"scale": 1 / 255, "mean": 0.1307, "std": 0.3081}),
}
"""The two MNIST networks, likewise."""
