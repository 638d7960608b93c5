"""Fixtures for every stage: the real models and data, where this computer has them, and small ONNX models on demand."""

from __future__ import annotations

import gzip
import os

# Two test workers with two BLAS threads each would fight for two cores; one thread is as fast on matrices this small.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


@pytest.fixture(autouse=True)
def no_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parallel test runs set the width of a terminal; tables are as wide as in a pipe."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real models and data: ``HWGEN_DATA``, else ``../shared/data`` beside the repository."""
    given = os.environ.get("HWGEN_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real models and data are not in {folder}; set HWGEN_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def mnist(real_data: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The MNIST test set: images (10000, 1, 28, 28) and labels (10000,), both uint8."""
    images = gzip.decompress((real_data / "mnist" / "t10k-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((real_data / "mnist" / "t10k-labels-idx1-ubyte.gz").read_bytes())
    # The idx format: a header of 16 or 8 bytes, then the values.
    return np.frombuffer(images, np.uint8, offset=16).reshape(-1, 1, 28, 28), np.frombuffer(labels, np.uint8, offset=8)


@pytest.fixture
def onnx_model(tmp_path: Path) -> Callable[..., Path]:
    """Writes an ONNX model of ``nodes`` from input ``x`` to output ``y`` and returns its path."""

    def build(
        nodes: Sequence[onnx.NodeProto],
        input_shape: Sequence[int | str | None],
        weights: dict[str, npt.ArrayLike] | None = None,
        *,
        opset: int = 13,
        output_type: int = TensorProto.FLOAT,
        output_shape: Sequence[int | str | None] | None = None,
        name: str = "model.onnx",
    ) -> Path:
        tensors = [
            numpy_helper.from_array(np.asarray(value, None if np.asarray(value).dtype.kind == "i" else np.float32), key)
            for key, value in (weights or {}).items()
        ]
        graph = helper.make_graph(
            list(nodes),
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape)],
            [helper.make_tensor_value_info("y", output_type, output_shape)],
            tensors,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        if output_shape is None:
            model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        path = tmp_path / name
        path.write_bytes(model.SerializeToString())
        return path

    return build
