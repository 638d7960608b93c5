"""Train the model that ``hwgen demo`` ships: a small CNN on the 8x8 digits of scikit-learn.

Run it in an environment of its own, because hwgen itself needs neither PyTorch nor scikit-learn::

    python3 -m venv /tmp/train && /tmp/train/bin/pip install torch numpy onnx scikit-learn
    /tmp/train/bin/python examples/train_digits.py --output hwgen/demo

It writes ``digits.onnx`` (batch normalisation left unfolded, dynamic batch, opset 17), ``digits_calib.npz`` and
``digits_test.npz`` (``x`` uint8 (N, 1, 8, 8) with pixels 0..16, ``y`` int64 labels). The split and the seed are fixed.
The model wants ``x / 16``; the divisor is written into ``hwgen/demo/__init__.py`` by hand, as SCALE.

The digits are the test part of "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, UCI Machine
Learning Repository, 1998, https://doi.org/10.24432/C50P49, CC BY 4.0.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

SEED = 1
TEST_SAMPLES = 360
CALIBRATION_SAMPLES = 256
EPOCHS = 150
PEAK_PIXEL = 16


class Digits(nn.Module):
    """Two convolutions and one dense layer: 1,922 parameters, 23,680 multiply-accumulates per image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(16)
        self.dense = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, 10) of images (N, 1, 8, 8) in 0..1."""
        x = nn.functional.max_pool2d(self.norm1(self.conv1(x)).relu(), 2)
        x = nn.functional.max_pool2d(self.norm2(self.conv2(x)).relu(), 2)
        return self.dense(x.flatten(1))


def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images, their labels, test images, their labels; images uint8 (N, 1, 8, 8)."""
    digits = load_digits()
    x = digits.images.astype(np.uint8)[:, None]
    y = digits.target.astype(np.int64)
    order = np.random.default_rng(SEED).permutation(len(x))
    train, test = order[TEST_SAMPLES:], order[:TEST_SAMPLES]
    return x[train], y[train], x[test], y[test]


def shifted(x: torch.Tensor) -> torch.Tensor:
    """Every image moved by -1, 0 or 1 pixels each way: 1,437 training images are too few to learn the edges."""
    rows, columns = torch.randint(0, 3, (2, len(x))).tolist()
    padded = nn.functional.pad(x, (1, 1, 1, 1))
    return torch.stack([image[:, r : r + 8, c : c + 8] for image, r, c in zip(padded, rows, columns, strict=True)])


def train(x: torch.Tensor, y: torch.Tensor) -> Digits:
    """A trained model in evaluation mode. x: float (N, 1, 8, 8) in 0..1."""
    model = Digits()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-2)
    batches = range(0, len(x), 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=EPOCHS * len(batches))
    for _ in range(EPOCHS):
        order = torch.randperm(len(x))
        for start in batches:
            batch = order[start : start + 64]
            loss = nn.functional.cross_entropy(model(shifted(x[batch])), y[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def export(model: Digits, path: Path) -> None:
    """Write ONNX as most users have it: BatchNormalization still a node of its own, the batch size dynamic."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # the tracing exporter is old, and writes the plainest graph
        torch.onnx.export(
            model,
            (torch.zeros(1, 1, 8, 8),),
            str(path),
            dynamo=False,
            opset_version=17,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("hwgen/demo"), help="folder of the three files")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # the order of additions, and with it the last bits, depends on the thread count

    train_x, train_y, test_x, test_y = split()
    model = train(torch.from_numpy(train_x) / PEAK_PIXEL, torch.from_numpy(train_y))
    with torch.no_grad():
        correct = (model(torch.from_numpy(test_x) / PEAK_PIXEL).argmax(1).numpy() == test_y).mean()
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {correct:.2%} of {len(test_y)} test images")

    export(model, folder / "digits.onnx")
    calibration = slice(0, CALIBRATION_SAMPLES)
    np.savez_compressed(folder / "digits_calib.npz", x=train_x[calibration], y=train_y[calibration])
    np.savez_compressed(folder / "digits_test.npz", x=test_x, y=test_y)


if __name__ == "__main__":
    main()
