"""The Network: frozen integer data that the reference, the planner and the generator all walk.

A layer takes one or more integer tensors and makes another, which has the layer's name. Every tensor carries its
interval, its shape (channel-last) and the real value of one unit. Between accumulator and tensor stands a
:class:`Requant`, exact in integers::

    y = clip((acc * mul + add) >> shift, lo, hi)          >> is floor; add holds the bias and the rounding half

so rounding is half up, ``floor(v + 1/2)``, everywhere. ``mul`` is a sum of at most :data:`MAX_TERMS` signed powers of
two per output channel, hence shift-and-add in hardware too.

No behaviour beyond validation (``hwgen/validate.py``) lives here; ``store.py`` is the file format.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .codes import Codebook, signed_terms
from .floatnet import Layout, Normalization, OneSource, PoolKind, Shape
from .interval import Interval

__all__ = [
    "MANTISSAS",
    "MAX_TERMS",
    "RESCALE_TERMS",
    "Add",
    "Concat",
    "Conv",
    "Layer",
    "Network",
    "Pool",
    "Remap",
    "Requant",
    "Rescale",
    "Rewriting",
    "Table",
    "Tensor",
]

IntArray = npt.NDArray[np.int64]

MAX_TERMS = 2
"""Signed powers of two in a requantization factor, which differs from channel to channel and is a run-time value."""

MANTISSAS = (8, 9, 10, 12, 14, 15)
"""Every value in 8..15 that is a sum of at most two signed powers of two: one octave of requantization factors."""

RESCALE_TERMS = 4
"""Signed powers of two in a factor of a whole tensor. It is wired into the hardware, so more terms are cheap, and two
tensors that meet need their scales in a finer ratio than the grid of :data:`MANTISSAS` has."""


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


@dataclass(frozen=True)
class Rescale:
    """``clip((x * mul + add) >> shift, lo, hi)`` of every value of a tensor: its units become another tensor's."""

    mul: int
    add: int
    shift: int
    lo: int
    hi: int

    def __post_init__(self) -> None:
        if self.mul <= 0 or len(signed_terms(self.mul)) > RESCALE_TERMS:
            raise ValueError(f"mul must be a positive sum of at most {RESCALE_TERMS} powers of two, not {self.mul}")
        if self.shift < 0 or self.lo > self.hi:
            raise ValueError(f"shift must be >= 0 and lo <= hi, not {self.shift}, {self.lo}, {self.hi}")


@dataclass(frozen=True, eq=False)
class Conv(OneSource):
    """Convolution by coded weights: ``acc = sum(level(codes) * x)`` over the kernel, then ``requant``.

    codes: (O, kh, kw, I / groups) uint8, where output channel ``o`` reads the input channels of group
    ``o // (O / groups)``; weight_scale: (O,) float, real weight = weight_scale * level, for reports and the
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
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def kernel(self) -> tuple[int, int]:
        return self.codes.shape[1], self.codes.shape[2]

    @property
    def depthwise(self) -> bool:
        """Whether every output channel reads one input channel, and each input channel makes one output channel."""
        return self.groups == self.input_shape[2] == self.codes.shape[0] > 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one frame, zeros included."""
        return self.output.shape[0] * self.output.shape[1] * self.codes.size


@dataclass(frozen=True, eq=False)
class Pool(OneSource):
    """Maximum of a window (``requant`` is None), or its sum followed by ``requant``.

    Padding is the interval's lowest value for a maximum and 0 for a sum. divisors: as in ``FloatPool``. Without them
    ``requant`` has one value per channel, all alike; with them one value for every distinct divisor (the product of a
    row's and a column's), ascending.
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
    dilation: tuple[int, int] = (1, 1)
    divisors: tuple[tuple[int, ...], tuple[int, ...]] | None = None

    @property
    def distinct_divisors(self) -> tuple[int, ...]:
        """Every divisor that occurs, ascending; what ``requant`` is indexed by when there are ``divisors``."""
        if self.divisors is None:
            return (self.kernel[0] * self.kernel[1],)
        return tuple(sorted({a * b for a in set(self.divisors[0]) for b in set(self.divisors[1])}))


@dataclass(frozen=True, eq=False)
class Add:
    """``clip((sum(x * mul) + add) >> shift, lo, hi)`` of tensors of one shape.

    mul: one nonzero integer of either sign per source, of at most ``RESCALE_TERMS`` powers of two; add: (C,) int64.
    """

    name: str
    sources: tuple[str, ...]
    mul: tuple[int, ...]
    add: IntArray
    shift: int
    lo: int
    hi: int
    output: Tensor


@dataclass(frozen=True, eq=False)
class Concat:
    """The channels of several tensors after each other, each rescaled to the output's unit where it differs (None)."""

    name: str
    sources: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    rescale: tuple[Rescale | None, ...]
    output: Tensor


@dataclass(frozen=True, eq=False)
class Table(OneSource):
    """``values[channel or 0][x - lowest]`` of every value ``x``, where ``lowest`` is that of the source's interval.

    values: (1 or C, number of values in the source's interval) int64.
    """

    name: str
    source: str
    values: IntArray
    output: Tensor


@dataclass(frozen=True, eq=False)
class Remap(OneSource):
    """Values in another place, as ``FloatRemap`` says; ``fill`` is an integer. Interval and scale are the source's."""

    name: str
    source: str
    input_shape: Shape
    rows: IntArray
    row_offset: IntArray
    columns: IntArray
    channels: IntArray
    fill: int
    output: Tensor


Layer = Conv | Pool | Add | Concat | Table | Remap


@dataclass(frozen=True)
class Rewriting:
    """How the float model was rewritten before quantization, so that it can be again, to be compared with.

    methods: as in ``--method``, those that rewrite; code: the name or the levels of the code, or "own".
    """

    methods: str
    code: str


@dataclass(frozen=True, eq=False)
class Network:
    """Layers in topological order; ``outputs`` names the tensors that leave the network.

    Raises ``ValueError`` when sources, shapes, intervals or the number of channels do not fit together, or two tensors
    have one name.

    notes: sentences for the user. normalization: how raw data became model input (already inside the layers).
    layouts: how the raw data of each input lies; channel-first when not given. rewriting: None for the model as it was.
    """

    name: str
    inputs: tuple[Tensor, ...]
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]
    notes: tuple[str, ...] = ()
    normalization: Normalization = field(default_factory=Normalization)
    layouts: tuple[Layout, ...] = ()
    rewriting: Rewriting | None = None

    def __post_init__(self) -> None:
        from .validate import validate

        if not self.layouts:
            object.__setattr__(self, "layouts", (Layout.CHANNEL_FIRST,) * len(self.inputs))
        validate(self)

    @property
    def input(self) -> Tensor:
        """The only input. ``ValueError`` when there are several."""
        (only,) = self.inputs
        return only

    @property
    def output(self) -> Tensor:
        """The only output. ``ValueError`` when there are several."""
        (only,) = self.outputs
        return self.tensor(only)

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name, inputs first, in the order of the layers."""
        return {tensor.name: tensor for tensor in (*self.inputs, *(layer.output for layer in self.layers))}

    def tensor(self, name: str) -> Tensor:
        """The tensor called ``name``; ``KeyError`` if there is none."""
        return self.tensors[name]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one frame, zeros included."""
        return sum(layer.macs for layer in self.layers if isinstance(layer, Conv))
