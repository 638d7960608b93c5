"""The float network: what a trained model computes, in the few layers and the one layout that hwgen maps to hardware.

Everything is channel-last. Batch normalisation, biases, input normalisation and activations are folded into the
layers (``hwgen.lower`` does it); a dense layer is a convolution whose kernel covers its whole input. Layers form a
directed acyclic graph: each names the tensors that it reads, an input's or an earlier layer's. Plain frozen data:
the quantizer walks it, ``hwgen.lower.evaluate`` runs it.

Every layer has ``name`` (also the name of the tensor that it makes), ``sources``, ``output_shape`` and ``fixed``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from math import inf

import numpy as np
import numpy.typing as npt

from .expression import Expression
from .interval import Interval

__all__ = [
    "Coded",
    "Fixed",
    "FloatAdd",
    "FloatConcat",
    "FloatConv",
    "FloatInput",
    "FloatLayer",
    "FloatNetwork",
    "FloatPool",
    "FloatRemap",
    "FloatTable",
    "Layout",
    "Normalization",
    "OneSource",
    "PoolKind",
    "Shape",
    "window_shape",
]

Shape = tuple[int, int, int]
"""Height, width, channels."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class PoolKind(Enum):
    """What a pool makes of a window."""

    MAX = "max"
    AVERAGE = "average"


class Layout(Enum):
    """The order of the axes of raw data, after the batch axis."""

    CHANNEL_FIRST = "channel-first"
    CHANNEL_LAST = "channel-last"


def window_shape(
    shape: Shape,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pads: tuple[int, int, int, int],
    channels: int,
    dilation: tuple[int, int] = (1, 1),
) -> Shape:
    """Output shape of a sliding window (floor mode); ``pads`` is top, left, bottom, right."""
    height = (shape[0] + pads[0] + pads[2] - dilation[0] * (kernel[0] - 1) - 1) // stride[0] + 1
    width = (shape[1] + pads[1] + pads[3] - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
    return height, width, channels


@dataclass(frozen=True)
class Fixed:
    """A number format that the model itself prescribes for a tensor: ``scale`` times an integer of ``interval``.

    The float value is ``scale * clip(round(y / scale), interval)``, rounding half to even as the formats define it.
    The quantizer takes such a tensor as it is instead of calibrating it.
    """

    scale: float
    interval: Interval


@dataclass(frozen=True, eq=False)
class Coded:
    """Weights that the model holds quantized: ``weight == scale * levels``, exactly up to the rounding of a float.

    levels: int64 of the weight's shape; scale: (O,), positive.
    """

    levels: IntArray
    scale: FloatArray


@dataclass(frozen=True)
class FloatInput:
    """A network input. shape: channel-last; layout: that of the raw data, as the model has it."""

    name: str
    shape: Shape
    layout: Layout = Layout.CHANNEL_FIRST
    fixed: Fixed | None = None

    @property
    def output_shape(self) -> Shape:
        return self.shape


class OneSource:
    """A layer that reads one tensor."""

    source: str

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)


@dataclass(frozen=True, eq=False)
class FloatConv(OneSource):
    """``y = clip(conv(x, weight) + bias, *clip)``.

    weight: (O, kh, kw, I / groups) float64; bias: (O,); stride and dilation: (y, x); pads: top, left, bottom, right.
    groups: output channel o reads the input channels of group ``o // (O / groups)``; as many groups as input channels
    is a depthwise convolution. pad_value: (I,), the input value that means zero to the model (raw units, not zero
    after a folded normalisation). coded: the weights as codes where the model holds them so.
    """

    name: str
    source: str
    weight: FloatArray
    bias: FloatArray
    input_shape: Shape
    pad_value: FloatArray
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    clip: tuple[float, float] = (-inf, inf)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    coded: Coded | None = None
    fixed: Fixed | None = None

    @property
    def kernel(self) -> tuple[int, int]:
        return self.weight.shape[1], self.weight.shape[2]

    @property
    def output_shape(self) -> Shape:
        return window_shape(self.input_shape, self.kernel, self.stride, self.pads, self.weight.shape[0], self.dilation)


@dataclass(frozen=True, eq=False)
class FloatPool(OneSource):
    """Maximum (padding never wins) or average over each window, then ``clip``.

    divisors: None when an average divides by the kernel's area (padding counts as zero); else how many rows of each
    output row's window count and how many columns of each output column's, ``((OH,), (OW,))``: the sum is divided by
    their product.
    """

    name: str
    source: str
    kind: PoolKind
    kernel: tuple[int, int]
    input_shape: Shape
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    clip: tuple[float, float] = (-inf, inf)
    dilation: tuple[int, int] = (1, 1)
    divisors: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    fixed: Fixed | None = None

    @property
    def output_shape(self) -> Shape:
        return window_shape(self.input_shape, self.kernel, self.stride, self.pads, self.input_shape[2], self.dilation)


@dataclass(frozen=True, eq=False)
class FloatAdd:
    """``clip(sum(factor * x) + bias)`` of two or more tensors of one shape. factors: one per source; bias: (C,)."""

    name: str
    sources: tuple[str, ...]
    factors: tuple[float, ...]
    bias: FloatArray
    output_shape: Shape
    clip: tuple[float, float] = (-inf, inf)
    fixed: Fixed | None = None


@dataclass(frozen=True, eq=False)
class FloatConcat:
    """The channels of several maps of one height and width after each other, then ``clip``."""

    name: str
    sources: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    clip: tuple[float, float] = (-inf, inf)
    fixed: Fixed | None = None

    @property
    def output_shape(self) -> Shape:
        height, width, _ = self.input_shapes[0]
        return height, width, sum(shape[2] for shape in self.input_shapes)


@dataclass(frozen=True, eq=False)
class FloatTable(OneSource):
    """``function`` of every element: any activation that is not a clip, or an affine that no layer can take."""

    name: str
    source: str
    output_shape: Shape
    function: Expression
    fixed: Fixed | None = None


@dataclass(frozen=True, eq=False)
class FloatRemap(OneSource):
    """Values in another place, none of them changed: Slice, Pad, nearest Resize, DepthToSpace, channel shuffles.

    Every output row comes out of one input row::

        y[r, x, c] = input[rows[r]].reshape(-1)[row_offset[r] + columns[x] + channels[c]]

    and is ``fill`` where ``rows[r]``, ``columns[x]`` or ``channels[c]`` is -1. rows, row_offset: (OH,), columns: (OW,),
    channels: (OC,), int64. rows do not decrease (apart from -1): the map streams through.
    """

    name: str
    source: str
    input_shape: Shape
    rows: IntArray
    row_offset: IntArray
    columns: IntArray
    channels: IntArray
    fill: float = 0.0
    fixed: Fixed | None = None

    @property
    def output_shape(self) -> Shape:
        return len(self.rows), len(self.columns), len(self.channels)


FloatLayer = FloatConv | FloatPool | FloatAdd | FloatConcat | FloatTable | FloatRemap


@dataclass(frozen=True)
class Normalization:
    """Raw input to model input: ``(x * scale - mean) / std``, each one value or one value per channel."""

    scale: tuple[float, ...] = (1.0,)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """Layers in an order in which they can run, from raw input values to logits.

    outputs: names of the tensors that leave the network, in the model's order.
    notes: sentences for the user about what was folded or dropped (a final Softmax, say).
    normalization: what turns raw input into model input, ``(x * scale - mean) / std``; already folded into the layers.
    Raises ``ValueError`` when two tensors have one name, or a source or an output is not known.
    """

    name: str
    inputs: tuple[FloatInput, ...]
    layers: tuple[FloatLayer, ...]
    outputs: tuple[str, ...]
    notes: tuple[str, ...] = ()
    normalization: Normalization = field(default_factory=Normalization)

    def __post_init__(self) -> None:
        known: set[str] = set()
        for tensor in (*self.inputs, *self.layers):
            sources = () if isinstance(tensor, FloatInput) else tensor.sources
            for source in sources:
                if source not in known:
                    raise ValueError(f"{tensor.name}: its source {source!r} must be an input or an earlier layer")
            if tensor.name in known:
                raise ValueError(f"tensor name {tensor.name!r} must not be in use before")
            known.add(tensor.name)
        for name in self.outputs:
            if name not in known:
                raise ValueError(f"output {name!r} must be an input or a layer")

    @property
    def input(self) -> FloatInput:
        """The only input. ``ValueError`` when there are several."""
        (only,) = self.inputs
        return only

    @property
    def input_shape(self) -> Shape:
        """Shape of the only input."""
        return self.input.shape

    def shape(self, name: str) -> Shape:
        """Shape of the tensor called ``name``; ``KeyError`` if there is none."""
        for tensor in (*self.inputs, *self.layers):
            if tensor.name == name:
                return tensor.output_shape
        raise KeyError(name)
