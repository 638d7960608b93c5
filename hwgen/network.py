"""The Network: frozen integer data that the reference, the planner and the generator all walk.

A layer takes one integer tensor and makes another. Every tensor carries its interval, its shape (channel-last) and the
real value of one unit. Between accumulator and tensor stands a :class:`Requant`, exact in integers::

    y = clip((acc * mul + add) >> shift, lo, hi)          >> is floor; add holds the bias and the rounding half

so rounding is half up, ``floor(v + 1/2)``, everywhere. ``mul`` is a sum of at most :data:`MAX_TERMS` signed powers of
two per output channel, hence shift-and-add in hardware too.

No behaviour beyond validation lives here; ``store.py`` is the file format.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .codes import Codebook, signed_terms
from .floatnet import Normalization, PoolKind, Shape, window_shape
from .interval import Interval

__all__ = ["MANTISSAS", "MAX_TERMS", "Conv", "Layer", "Network", "Pool", "Requant", "Tensor"]

IntArray = npt.NDArray[np.int64]

MAX_TERMS = 2
"""Signed powers of two in a requantization factor."""

MANTISSAS = (8, 9, 10, 12, 14, 15)
"""Every value in 8..15 that is a sum of at most two signed powers of two: one octave of requantization factors."""


@dataclass(frozen=True)
class Tensor:
    """An integer tensor between two layers: real value = ``scale`` * integer."""

    name: str
    shape: Shape
    interval: Interval
    scale: float


@dataclass(frozen=True, eq=False)
class Requant:
    """``clip((acc * mul + add) >> shift, lo, hi)`` per channel; mul, add: (O,) int64. See the module's text."""

    mul: IntArray
    add: IntArray
    shift: int
    lo: int
    hi: int

    def __post_init__(self) -> None:
        if self.mul.shape != self.add.shape or self.mul.ndim != 1:
            raise ValueError(f"mul and add must be one value per channel, not {self.mul.shape} and {self.add.shape}")
        if any(value <= 0 or len(signed_terms(value)) > MAX_TERMS for value in self.mul.tolist()):
            raise ValueError(f"mul must be positive sums of at most {MAX_TERMS} signed powers of two, not {self.mul}")
        if self.shift < 0 or self.lo > self.hi:
            raise ValueError(f"shift must be >= 0 and lo <= hi, not {self.shift}, {self.lo}, {self.hi}")


@dataclass(frozen=True, eq=False)
class Conv:
    """Convolution by coded weights: ``acc = sum(level(codes) * x)`` over the kernel, then ``requant``.

    codes: (O, kh, kw, I) uint8; weight_scale: (O,) float, real weight = weight_scale * level, for reports and the
    float twin only. pad_value: (I,) integers that stand for the model's zero outside the map.
    """

    name: str
    source: str
    input_shape: Shape
    codes: npt.NDArray[np.uint8]
    codebook: Codebook
    weight_scale: npt.NDArray[np.float64]
    pad_value: IntArray
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]
    requant: Requant
    output: Tensor

    @property
    def kernel(self) -> tuple[int, int]:
        return self.codes.shape[1], self.codes.shape[2]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one frame, zeros included."""
        return self.output.shape[0] * self.output.shape[1] * self.codes.size


@dataclass(frozen=True, eq=False)
class Pool:
    """Maximum of a window (``requant`` is None), or its sum followed by ``requant`` (one factor, given per channel).

    Padding is the interval's lowest value for a maximum and 0 for a sum.
    """

    name: str
    source: str
    input_shape: Shape
    kind: PoolKind
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]
    requant: Requant | None
    output: Tensor


Layer = Conv | Pool


@dataclass(frozen=True, eq=False)
class Network:
    """Layers in topological order; the last one's output is the network's.

    Raises ``ValueError`` when sources, shapes, intervals or the number of channels do not fit together, or two tensors
    have one name.

    notes: sentences for the user. normalization: how raw data became model input (already inside the layers).
    """

    name: str
    input: Tensor
    layers: tuple[Layer, ...]
    notes: tuple[str, ...] = ()
    normalization: Normalization = field(default_factory=Normalization)

    def __post_init__(self) -> None:
        known = {self.input.name: self.input}
        for layer in self.layers:
            source = known.get(layer.source)
            if source is None:
                raise ValueError(f"{layer.name}: its source {layer.source!r} must be the input or an earlier layer")
            if layer.input_shape != source.shape:
                raise ValueError(f"{layer.name}: input shape must be {source.shape}, not {layer.input_shape}")
            channels = layer.codes.shape[0] if isinstance(layer, Conv) else source.shape[2]
            shape = window_shape(source.shape, layer.kernel, layer.stride, layer.pads, channels)
            if layer.output.shape != shape:
                raise ValueError(f"{layer.name}: output shape must be {shape}, not {layer.output.shape}")
            if layer.requant is not None and layer.requant.mul.shape != (channels,):
                raise ValueError(f"{layer.name}: requantization must have {channels} channels")
            rule = layer.requant
            interval = source.interval if rule is None else Interval(rule.lo, rule.hi)
            if layer.output.interval != interval:
                raise ValueError(f"{layer.name}: output interval must be {interval}, not {layer.output.interval}")
            if layer.output.name in known:
                raise ValueError(f"{layer.name}: tensor name {layer.output.name!r} must not be in use before")
            known[layer.output.name] = layer.output
        if not self.layers:
            raise ValueError("a network must have at least one layer")

    @property
    def output(self) -> Tensor:
        return self.layers[-1].output

    def tensor(self, name: str) -> Tensor:
        """The tensor called ``name``; ``KeyError`` if there is none."""
        for tensor in (self.input, *(layer.output for layer in self.layers)):
            if tensor.name == name:
                return tensor
        raise KeyError(name)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one frame, zeros included."""
        return sum(layer.macs for layer in self.layers if isinstance(layer, Conv))
