"""Random graphs of branches: whatever lowering folds, moves and merges, it computes what ONNX Runtime computes."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from hwgen.floatnet import Normalization

UNARY = ("Relu", "Clip", "Sigmoid", "LeakyRelu", "HardSwish", "Neg", "Abs", "Identity")
CHOICES = ("conv", "depthwise", "transposed", "unary", "affine", "pool", "add", "concat", "silu", "shuffle", "shortcut")


class _Graph:
    """Grows a model node by node; ``tensors`` are the maps so far, by name, with their channels; all of one size."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list = []
        self.weights: dict[str, np.ndarray] = {}
        self.tensors = {"x": 2}
        self.unread: set[str] = set()

    def node(self, operator: str, inputs: list[str], channels: int, **attributes: object) -> str:
        made = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [made], **attributes))
        self.tensors[made] = channels
        self.unread.difference_update(inputs)
        self.unread.add(made)
        return made

    def weight(self, *shape: int, lo: float = -1.0) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = self.rng.uniform(lo, 1, shape)
        return name

    def constant(self, *values: int) -> str:
        name = f"i{len(self.weights)}"
        self.weights[name] = np.array(values, np.int64)
        return name

    def pick(self, channels: int | None = None) -> str:
        fitting = [name for name, count in self.tensors.items() if channels in (None, count)]
        fresh = [name for name in fitting if name in self.unread]
        return str(self.rng.choice(fresh if fresh and self.rng.random() < 0.7 else fitting))

    def grow(self) -> None:
        source = self.pick()
        channels = self.tensors[source]
        match self.rng.choice(CHOICES):
            case "conv":
                outputs = int(self.rng.integers(1, 5))
                self.node("Conv", [source, self.weight(outputs, channels, 3, 3)], outputs, pads=[1, 1, 1, 1])
            case "depthwise":
                weight = self.weight(channels, 1, 3, 3)
                self.node("Conv", [source, weight], channels, pads=[2] * 4, dilations=[2, 2], group=channels)
            case "transposed":
                up = self.node("ConvTranspose", [source, self.weight(channels, 3, 2, 2)], 3, strides=[2, 2])
                del self.tensors[up]
                self.node("MaxPool", [up], 3, kernel_shape=[2, 2], strides=[2, 2])
            case "unary":
                operator = str(self.rng.choice(UNARY))
                more = [self.weight(lo=-1.0), self.weight(lo=1.0)] if operator == "Clip" else []
                if more:
                    self.weights[more[1]] = self.weights[more[0]] + 1
                self.node(operator, [source, *more], channels)
            case "affine":
                made = self.node("Mul", [source, self.weight(channels, 1, 1)], channels)
                self.node("Add", [made, self.weight(channels, 1, 1)], channels)
            case "pool":
                operator = str(self.rng.choice(("MaxPool", "AveragePool")))
                self.node(operator, [source], channels, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
            case "add":
                self.node(str(self.rng.choice(("Add", "Sub"))), [source, self.pick(channels)], channels)
            case "concat":
                other = self.pick()
                self.node("Concat", [source, other], channels + self.tensors[other], axis=1)
            case "silu":
                self.node("Mul", [source, self.node("Sigmoid", [source], channels)], channels)
            case "shuffle":
                order = self.constant(*self.rng.permutation(channels).tolist())
                self.node("Gather", [source, order], channels, axis=1)
            case "shortcut":
                pads = self.constant(0, 1, 0, 0, 0, 0, 0, 0)
                self.node("Pad", [source, pads], channels + 1)

    def finish(self) -> None:
        """One tensor that depends on all the others."""
        pooled = []
        for name in sorted({*self.unread, "x"}):
            weight = self.weight(4, self.tensors[name], 1, 1)
            pooled.append(self.node("Conv", [name, weight], 4))
        total = pooled[0] if len(pooled) == 1 else self.node("Sum", pooled, 4)
        self.nodes.append(helper.make_node("Identity", [total], ["y"]))


@pytest.mark.parametrize("seed", range(60))
def test_equals_onnxruntime(onnx_model, same_as_onnxruntime, seed):
    graph = _Graph(seed)
    for _ in range(4 + seed % 12):
        graph.grow()
    graph.finish()
    used = {name for node in graph.nodes for name in node.input}
    weights = {name: value for name, value in graph.weights.items() if name in used}
    normalization = Normalization((0.5,), (0.25, -0.5), (2.0, 0.75)) if seed % 2 else None
    same_as_onnxruntime(onnx_model(graph.nodes, (1, 2, 6, 8), weights, opset=14), normalization, tolerance=2e-4)
