"""Random recipes: a network grows layer by layer, branches, and is joined again."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwgen.codes import CODES
from hwgen.interval import Interval
from hwgen.network import Network, Tensor

from .draws import Draws
from .recipe import RATE_FRAMES, Recipe, build, build_layer, input_tensor

__all__ = ["random_network", "random_recipe"]

CHANNELS = [1, 2, 3, 4, 6, 8]

LARGEST = 400
"""Values of a map: a few layers of it are simulated in about a second."""


def random_network(seed: int, depth: int = 6) -> Network:
    """The network of :func:`random_recipe`."""
    return build(random_recipe(seed, depth))


def random_recipe(seed: int, depth: int = 6, kinds: tuple[str, ...] | None = None) -> Recipe:
    """A recipe of 1..``depth`` steps of growth (a residual block is one step), and what joins the branches.

    kinds: names of steps of growth to choose from, by default all of :data:`STEPS`.
    """
    return _Growth(seed, depth, kinds or tuple(STEPS)).recipe()


class _Growth(Draws):
    def __init__(self, seed: int, depth: int, kinds: tuple[str, ...]) -> None:
        self._seed = seed
        super().__init__(np.random.default_rng([seed, 1]))
        self._inputs: list[dict[str, Any]] = []
        self._layers: list[dict[str, Any]] = []
        self._tensors: dict[str, Tensor] = {}
        self._unread: list[str] = []
        for index in range(self._pick([1] * 7 + [2] * 2 + [3])):
            interval = self._interval(narrow=True)
            shape = [self._int(1, 6), self._int(1, 6), self._pick([1, 2, 3, 4, 6])]
            self._inputs.append({"name": f"x{index}", "shape": shape, "interval": interval})
            self._know(input_tensor(self._inputs[-1]))
        weights = np.array([STEPS[kind] for kind in kinds], float)
        for _ in range(self._int(1, depth)):
            getattr(self, f"_{self._rng.choice(kinds, p=weights / weights.sum())}")(self._any())
        self._join_all()

    def recipe(self) -> Recipe:
        stalls = {"stall_in": self._pick([0.0, 0.3]), "stall_out": self._pick([0.0, 0.4, 0.8]), "seed": self._int(0, 9)}
        return {
            "seed": self._seed,
            "inputs": self._inputs,
            "layers": self._layers,
            "outputs": sorted(self._unread),
            "frames": 3 if stalls["stall_in"] or stalls["stall_out"] else RATE_FRAMES,
            "stalls": stalls,
        }

    def _interval(self, narrow: bool = False) -> list[int]:
        """2..8 bits of either sign mostly; else any ends; 9 bits now and then, unless ``narrow``."""
        if self._chance(0.7):
            interval = Interval.of_bits(self._int(2, 8), signed=self._chance(0.5))
            return [interval.lo, interval.hi]
        if self._chance(0.1) and not narrow:
            return [-self._int(1, 255), 255]
        lo = self._pick([0, -self._int(1, 128), self._int(1, 10)])
        return [lo, self._int(lo + 1, 255 if lo >= 0 else 127)]

    def _know(self, tensor: Tensor) -> Tensor:
        self._tensors[tensor.name] = tensor
        self._unread.append(tensor.name)
        return tensor

    def _any(self) -> Tensor:
        """A tensor to go on from: mostly one that nothing reads yet. Wide results are ends."""
        names = self._unread if self._chance(0.75) else list(self._tensors)
        return self._tensors[self._pick(names)]

    def _append(self, kind: str, *sources: Tensor, **parameters: Any) -> Tensor:
        entry = {"name": f"l{len(self._layers)}", "kind": kind, "sources": [source.name for source in sources]}
        entry |= parameters
        entry["fold"] = self._int(0, 999)
        entry["unroll"] = self._int(0, 999) if self._chance(0.5) else 0
        self._layers.append(entry)
        self._unread = [name for name in self._unread if name not in entry["sources"]]
        return self._know(build_layer(self._seed, entry, sources).output)

    def _window(self, source: Tensor, dilate: bool = True) -> dict[str, Any]:
        """Any window that fits the map, padded by less than it spans."""
        kernel, stride, dilation, before, after = [], [], [], [], []
        for size in source.shape[:2]:
            step = self._pick([1, 1, 1, 2, 3]) if dilate else 1
            taps = self._pick([1, 2, 3, 3, size])
            span = (taps - 1) * step + 1
            pads = [self._int(0, min(2, span - 1)) for _ in range(2)]
            missing = max(0, span - size - sum(pads))
            if missing > span - 1 - pads[1]:  # more padding would let windows see nothing of the map
                taps, pads, missing = 1, [0, 0], 0
            kernel.append(taps)
            dilation.append(step)
            stride.append(self._pick([1, 1, 2, 3]))
            before.append(pads[0])
            after.append(pads[1] + missing)
        return {"kernel": kernel, "stride": stride, "pads": before + after, "dilation": dilation}

    def _weights(self) -> dict[str, Any]:
        return {"book": self._pick(sorted(CODES)), "interval": self._interval(), "coarse": self._chance(0.5)}

    # Steps of growth; each reads a tensor and makes another.

    def _conv(self, source: Tensor) -> None:
        outputs = self._pick(CHANNELS)
        self._append("conv", source, outputs=outputs, groups=1, **self._window(source), **self._weights())

    def _grouped(self, source: Tensor) -> None:
        channels = source.shape[2]
        groups = self._pick([part for part in range(1, channels + 1) if channels % part == 0])
        outputs = groups * self._int(1, max(1, 8 // groups))
        self._append("conv", source, outputs=outputs, groups=groups, **self._window(source), **self._weights())

    def _depthwise(self, source: Tensor) -> None:
        self._append("conv", source, outputs=0, groups=0, **self._window(source), **self._weights())

    def _pool(self, source: Tensor) -> None:
        kind = self._pick(["max", "average"])
        output = {"interval": self._interval()} if kind == "average" else {}
        flags = {"count_inside": self._chance(0.5), "coarse": self._chance(0.5)}
        self._append("pool", source, pool=kind, **self._window(source), **flags, **output)

    def _table(self, source: Tensor) -> None:
        self._append("table", source, per_channel=self._chance(0.3), interval=self._interval())

    def _remap(self, source: Tensor) -> None:
        height, width, channels = source.shape
        kind = self._pick(["crop", "upsample", "depth_to_space", "shuffle", "remap"])
        if kind == "depth_to_space" or (kind == "upsample" and height * width * channels * 4 <= LARGEST):
            self._append(kind, source, factor=2)
        elif kind == "shuffle":
            self._append(kind, source)
        elif kind == "remap":
            self._append(kind, source, outputs=[self._int(1, 6), self._int(1, 6), self._pick(CHANNELS)])
        else:
            ranges = {
                axis: [self._int(-1, size // 2), self._int(size // 2 + 1, size + 1), self._pick([1, 1, 2])]
                for axis, size in zip("yx", (height, width), strict=True)
            }
            kept = self._pick([[None, None, 1], [None, None, -1], [0, max(1, channels // 2), 1], [None, None, 2]])
            self._append("crop", source, **ranges, channels=kept)

    def _residual(self, source: Tensor) -> None:
        """One or two convolutions that keep the shape, and what they began with added to their result."""
        branch = source
        for _ in range(self._int(1, 2)):
            size = self._pick([1, 3])
            window = {"kernel": [size] * 2, "stride": [1, 1], "pads": [size // 2] * 4, "dilation": [1, 1]}
            groups = self._pick([0, 1, 1])
            branch = self._append("conv", branch, outputs=source.shape[2], groups=groups, **window, **self._weights())
        order = [branch, source] if self._chance(0.5) else [source, branch]
        self._append("add", *order, interval=self._interval(), coarse=self._chance(0.5))

    def _join(self, source: Tensor) -> None:
        """Add or concatenate with any tensors that fit, ``source`` itself included."""
        like = [t for t in self._tensors.values() if t.shape == source.shape]
        beside = [t for t in self._tensors.values() if t.shape[:2] == source.shape[:2] and t.shape[2] <= 8]
        if self._chance(0.5):
            others = [self._pick(like) for _ in range(self._pick([1, 1, 2]))]
            self._append("add", source, *others, interval=self._interval(), coarse=self._chance(0.5))
        else:
            others = [self._pick(beside or like) for _ in range(self._pick([1, 1, 2]))]
            if sum(t.shape[2] for t in (source, *others)) <= 16:
                self._concat(source, *others)

    def _concat(self, *sources: Tensor) -> None:
        same_unit = len({t.scale for t in sources}) == 1
        output = {} if same_unit and self._chance(0.5) else {"interval": self._interval()}
        self._append("concat", *sources, coarse=self._chance(0.5), **output)

    def _dense(self, source: Tensor, outputs: int, interval: list[int] | None = None) -> Tensor:
        """A convolution whose kernel covers the map."""
        window = {"kernel": list(source.shape[:2]), "stride": [1, 1], "pads": [0] * 4, "dilation": [1, 1]}
        weights = self._weights() | ({} if interval is None else {"interval": interval})
        return self._append("conv", source, outputs=outputs, groups=1, **window, **weights)

    def _join_all(self) -> None:
        """Join the loose ends to one output, or now and then a few. An input is no output."""
        ends = self._pick([1, 1, 1, 2, 3])
        for name in [name for name in self._unread if name.startswith("x")]:
            self._conv(self._tensors[name])
        while len(self._unread) > ends:
            first, second = (self._tensors[name] for name in self._unread[:2])
            if first.shape[:2] != second.shape[:2]:
                outputs = self._pick([1, 2, 3])
                first, second = (self._dense(tensor, outputs) for tensor in (first, second))
            if first.shape == second.shape and self._chance(0.7):
                self._append("add", first, second, interval=self._interval(), coarse=self._chance(0.5))
            else:
                self._concat(first, second)
        if self._chance(0.3):
            self._dense(self._tensors[self._unread[0]], self._pick([1, 3, 10]), [-(1 << 19), (1 << 19) - 1])


STEPS = {
    "conv": 4,
    "grouped": 2,
    "depthwise": 2,
    "pool": 3,
    "table": 2,
    "remap": 3,
    "residual": 3,
    "join": 2,
}
"""Steps of growth and how often each is chosen."""
