"""The bundled demonstration: a trained CNN for 8x8 digits, images to calibrate it and images to judge it by.

``examples/train_digits.py`` makes the three files again, byte for byte with the same versions of its tools. The images
are scikit-learn's copy of the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, UCI
Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49), CC BY 4.0; hwgen changed only the layout and the
number type. The model and everything else here are hwgen's own.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

__all__ = ["BOARD", "FRAMES", "MAX_LUTS", "SCALE", "calibration_path", "model_path", "test_path"]

SCALE = 1 / 16
"""Pixels are 0..16; the model was trained on ``x * SCALE``."""

BOARD = "icebreaker"
"""The smallest board that the model is meant for: an iCE40 UP5K with 5,280 LUTs."""

MAX_LUTS = 5_100
"""More than the planner would fill of such a device by itself; known to route, and twice as fast."""

FRAMES = 360
"""Frames that the demonstration simulates: all of the test images."""


def model_path() -> Path:
    """``digits.onnx``: two convolutions and a dense layer, batch normalisation unfolded, input (N, 1, 8, 8)."""
    return _path("digits.onnx")


def calibration_path() -> Path:
    """``digits_calib.npz``: 256 training images, ``x`` uint8 (256, 1, 8, 8) and ``y`` int64 (256,)."""
    return _path("digits_calib.npz")


def test_path() -> Path:
    """``digits_test.npz``: 360 images that training never saw, ``x`` uint8 (360, 1, 8, 8) and ``y`` int64 (360,)."""
    return _path("digits_test.npz")


def _path(name: str) -> Path:
    # pip always installs packages as plain files, so the resource is a real path and outlives this call.
    return Path(str(files(__name__) / name))
