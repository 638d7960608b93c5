"""Random recipes of ONNX models."""

from __future__ import annotations

from typing import Any

import numpy as np

from .draws import Draws
from .models import Model, Recipe
from .operators import ACTIVATIONS

__all__ = ["MAP_STEPS", "random_model"]

MAP_STEPS = {
    "conv": 6,
    "conv_transpose": 1,
    "max_pool": 1,
    "average_pool": 1,
    "global_pool": 0.3,
    "batch_norm": 2,
    "activation": 4,
    "scale": 1,
    "add": 2,
    "concat": 1.5,
    "pad": 1,
    "slice": 1,
    "resize": 0.7,
    "depth_to_space": 0.5,
    "shuffle": 0.5,
    "dense": 0.7,
    "flatten": 0.2,
    "nhwc": 0.5,
    "identity": 0.5,
}
"""Steps of growth from a map and how often each is chosen."""

VECTOR_STEPS = {"dense": 3, "activation": 2, "scale": 1, "add": 1, "unflatten": 1}
"""The same from a vector."""


def random_model(seed: int, depth: int = 10) -> Recipe:
    """A recipe of 2..``depth`` entries, and what joins the branches."""
    return _Growth(seed, depth).recipe()


class _Growth(Draws):
    def __init__(self, seed: int, depth: int) -> None:
        self._seed = seed
        super().__init__(np.random.default_rng([seed, 2]))
        self._inputs: list[dict[str, Any]] = []
        self._layers: list[dict[str, Any]] = []
        self._model = Model(seed)
        self._unread: list[str] = []
        for index in range(self._pick([1] * 7 + [2])):
            entry = {"name": f"x{index}", "shape": [self._int(1, 6), self._int(2, 9), self._int(2, 9)]}
            self._inputs.append(entry)
            self._model.add_input(entry)
            self._unread.append(entry["name"])
        for _ in range(self._int(2, depth)):
            names = self._unread if self._chance(0.8) else list(self._model.shapes)
            self._step(self._pick(names))
        for name in [name for name in self._unread if name.startswith("x")]:
            self._grow("conv", name)
        ends = self._pick([1, 1, 1, 2])
        while len(self._unread) > ends:
            first, second = (self._dense(name, 4) for name in self._unread[:2])
            self._append("add", first, second, how=self._pick(["Add", "Sub"]))

    def recipe(self) -> Recipe:
        return {
            "seed": self._seed,
            "inputs": self._inputs,
            "layers": self._layers,
            "outputs": sorted(self._unread),
            "frames": 4,
        }

    def _append(self, kind: str, *sources: str, **parameters: Any) -> str:
        """An entry, unless it does not fit; returns the tensor to go on from."""
        entry = {"name": f"n{len(self._layers)}", "kind": kind, "sources": list(sources)} | parameters
        try:
            self._model.append(entry)
        except ValueError:
            return sources[0]
        self._layers.append(entry)
        self._unread = [*(name for name in self._unread if name not in sources), entry["name"]]
        return entry["name"]

    def _step(self, name: str) -> None:
        steps = MAP_STEPS if len(self._model.shapes[name]) == 4 else VECTOR_STEPS
        weights = np.array(list(steps.values()))
        self._grow(str(self._rng.choice(list(steps), p=weights / weights.sum())), name)

    def _window(self, name: str) -> dict[str, Any]:
        """Any window that fits the map, padded by less than it spans."""
        sizes = self._model.shapes[name][2:]
        kernel = [self._pick([1, 2, 3, 3, 5]) for _ in sizes]
        dilation = [self._pick([1, 1, 1, 2]) for _ in sizes]
        pads = [self._int(0, min(2, (kernel[axis % 2] - 1) * dilation[axis % 2])) for axis in range(4)]
        return {"kernel": kernel, "dilation": dilation, "pads": pads, "stride": [self._pick([1, 1, 2]) for _ in sizes]}

    def _dense(self, name: str, outputs: int) -> str:
        how, flatten = self._pick(["Gemm", "MatMul"]), self._pick(["Flatten", "Reshape"])
        return self._append("dense", name, outputs=outputs, how=how, flatten=flatten)

    def _grow(self, kind: str, name: str) -> None:
        shape = self._model.shapes[name]
        channels = shape[1]
        others = [other for other, its in self._model.shapes.items() if its == shape]
        beside = [other for other, its in self._model.shapes.items() if len(its) == 4 and its[2:] == shape[2:]]
        chosen: dict[str, Any] = {}
        sources = [name]
        match kind:
            case "conv":
                divisors = [part for part in range(1, channels + 1) if channels % part == 0]
                groups = self._pick([1, 1, 0, self._pick(divisors)])
                chosen = self._window(name) | {"groups": groups, "outputs": max(groups, 1) * self._int(1, 4)}
                chosen["bias"] = self._chance(0.7)
                if self._chance(0.3):
                    chosen["auto_pad"] = self._pick(["SAME_UPPER", "SAME_LOWER", "VALID"])
                    chosen["dilation"] = [1, 1]
                if self._chance(0.4) and not chosen.get("auto_pad"):  # keeps the shape, so that residuals occur
                    size = self._pick([1, 3])
                    chosen |= {"kernel": [size] * 2, "pads": [size // 2] * 4, "stride": [1, 1], "dilation": [1, 1]}
                    chosen["outputs"] = channels
            case "conv_transpose":
                chosen = {"kernel": [self._int(1, 4) for _ in range(2)], "stride": [self._int(1, 3) for _ in range(2)]}
                chosen |= {"pads": [self._int(0, 1) for _ in range(4)], "extra": [self._int(0, 1) for _ in range(2)]}
                chosen |= {"outputs": self._int(1, 4), "groups": 1, "bias": self._chance(0.5)}
            case "max_pool" | "average_pool":
                chosen = self._window(name) | {"ceil": self._int(0, 1)}
                if kind == "average_pool":
                    chosen["count_padding"] = self._int(0, 1)
            case "global_pool":
                chosen = {"how": self._pick(["GlobalAveragePool", "ReduceMean", "GlobalMaxPool"])}
            case "activation":
                chosen = {"how": self._pick([*ACTIVATIONS, "relu", "relu", "relu6", "prelu"])}
            case "scale":
                chosen = {"how": self._pick(["Add", "Sub", "Mul", "Div"]), "per_channel": self._chance(0.5)}
                chosen["swap"] = self._chance(0.5)
            case "add":
                sources += [self._pick(others) for _ in range(self._pick([1, 1, 1, 2]))]
                chosen = {"how": self._pick(["Add", "Add", "Sub"])}
            case "concat":
                sources += [self._pick(beside) for _ in range(self._pick([1, 1, 2]))]
            case "pad":
                chosen = {"pads": [self._int(0, 2) for _ in range(4)], "value": self._pick([0.0, 0.0, 0.5])}
            case "slice":
                axis = self._int(1, 3)
                size = shape[axis]
                chosen = {"axis": axis, "range": [self._int(0, size // 2), self._int(size // 2 + 1, size), 1]}
                chosen["range"][2] = self._pick([1, 2])
            case "resize":
                chosen = {"factor": [self._int(1, 3), self._int(1, 3)]}
            case "depth_to_space":
                chosen = {"how": self._pick(["DCR", "CRD"])}
            case "shuffle":
                chosen = {"groups": self._pick([2, 3])}
            case "dense":
                self._dense(name, self._int(1, 8))
                return
            case "identity":
                chosen = {"how": self._pick(["Identity", "Dropout"])}
        self._append(kind, *sources, **chosen)
