"""Which number format every tensor should have: chosen for the whole network before the first layer is quantized.

A format is wanted, not promised: requantization factors come from a grid, so an average or a convolution of given
codes may end up with a scale a few percent away. Whatever reads a tensor goes by the scale that it really got.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

import numpy as np

from ..errors import HwgenError
from ..expression import evaluate
from ..floatnet import FloatAdd, FloatConcat, FloatConv, FloatLayer, FloatNetwork, FloatPool, FloatTable
from ..interval import Interval
from ..network import Tensor
from .activations import FindScale, Samples, best_scale, calibrate
from .clips import clip_of, moves_only, readers
from .kl import kl_scale
from .mse import SortedValues
from .requant import clip_limits

__all__ = [
    "ACT_SCALES",
    "DEFAULT_ACT_SCALE",
    "LOGIT_BITS",
    "Format",
    "Sharing",
    "plan_formats",
    "scale_of",
    "wide_tensors",
]

LOGIT_BITS = 16
"""Bits of an output that no layer reads, signed. Its unit is twice the largest calibration value over 2**15: fine
enough for ``argmax`` to see every difference, with one octave of headroom before it saturates."""

SHARED_SCALE_TOLERANCE = 1.25
"""A concatenation takes over the scale of a source when that costs at most this factor of squared error: 1 dB for the
requantization, and its own rounding, of a whole tensor."""


@dataclass(frozen=True)
class Format:
    """Real value = ``scale`` * an integer of ``interval``."""

    interval: Interval
    scale: float

    @property
    def real(self) -> tuple[float, float]:
        """The smallest and the largest real value."""
        return self.interval.lo * self.scale, self.interval.hi * self.scale

    def clipped(self, clip: tuple[float, float]) -> Format:
        """The same unit, and only the integers that a clip leaves."""
        return Format(Interval(*clip_limits(clip, self.scale, self.interval)), self.scale)


def wide_tensors(network: FloatNetwork) -> set[str]:
    """Layers whose values leave the network without meeting arithmetic again: they keep :data:`LOGIT_BITS` bits."""
    wide: set[str] = set()
    for layer in reversed(network.layers):
        through = [reader for reader in network.layers if layer.name in reader.sources]
        if all(reader.name in wide and (moves_only(reader) or isinstance(reader, FloatConcat)) for reader in through):
            wide.add(layer.name)
    return wide


DEFAULT_ACT_SCALE = "mse"
"""How scales are chosen when nothing else is asked for."""

ACT_SCALES: dict[str, FindScale] = {"mse": best_scale, "kl": kl_scale}
"""Ways to choose the scale of an activation, by name."""


def scale_of(name: str) -> FindScale:
    """The way called ``name``; :class:`HwgenError` when there is none."""
    if name not in ACT_SCALES:
        raise HwgenError(f"activation scales are chosen by {' or '.join(ACT_SCALES)}, not by {name!r}")
    return ACT_SCALES[name]


class Sharing:
    """Which tensors of a network have a format of their own, and which take over another's."""

    def __init__(self, network: FloatNetwork) -> None:
        self._layers = {layer.name: layer for layer in network.layers}
        self._readers = readers(network)

    def free(self, name: str) -> bool:
        """Whether the only reader of the tensor ``name`` may choose its format."""
        layer = self._layers.get(name)
        if layer is None or self._readers[name] > 1 or layer.fixed is not None:
            return False
        if moves_only(layer):
            return self.free(layer.sources[0])
        # An average has few scales to choose from, and so have codes that come with scales of their own.
        return not isinstance(layer, FloatPool) and not (isinstance(layer, FloatConv) and layer.coded is not None)

    def leaders(self) -> dict[str, str]:
        """For every layer's output the tensor whose bits it has: its own, what it moves, or that of a Concat behind."""
        leader: dict[str, str] = {}
        for layer in self._layers.values():
            source = layer.sources[0]
            leader[layer.name] = leader.get(source, source) if moves_only(layer) else layer.name
            if isinstance(layer, FloatConcat):
                taken = {leader[name] for name in layer.sources if self.free(name)}
                leader |= {name: layer.name for name, lead in leader.items() if lead in taken}
        return leader


def plan_formats(
    network: FloatNetwork,
    inputs: Mapping[str, Tensor],
    samples: Mapping[str, Samples],
    bits: Mapping[str, int],
    find: FindScale = best_scale,
) -> dict[str, Format]:
    """The wanted format of every tensor by name; ``network`` is that of ``push_clips``.

    bits: of every layer's output, by name; find: chooses the scale of a tensor from samples of it.

    Signed where a negative value *can* occur, which follows from the layers, not from the samples. The layers that a
    concatenation alone reads are asked for its own format.
    """
    return _Planner(network, inputs, samples, bits, find).run()


class _Planner:
    def __init__(
        self,
        network: FloatNetwork,
        inputs: Mapping[str, Tensor],
        samples: Mapping[str, Samples],
        bits: Mapping[str, int],
        find: FindScale,
    ) -> None:
        self._samples, self._bits, self._find = samples, bits, find
        self._layers = {layer.name: layer for layer in network.layers}
        self._sharing, self._wide = Sharing(network), wide_tensors(network)
        self._formats = {name: Format(tensor.interval, tensor.scale) for name, tensor in inputs.items()}

    def run(self) -> dict[str, Format]:
        for layer in self._layers.values():
            self._formats[layer.name] = self._format(layer)
            if isinstance(layer, FloatConcat):
                self._spread(layer)
        return self._formats

    def _format(self, layer: FloatLayer) -> Format:
        if moves_only(layer):
            return self._formats[layer.sources[0]]
        clip = clip_of(layer)
        if layer.fixed is not None:
            return Format(layer.fixed.interval, layer.fixed.scale).clipped(clip)
        samples = self._samples[layer.name]
        if layer.name in self._wide:
            scale = 2 * samples.peak / 2.0 ** (LOGIT_BITS - 1) if samples.peak else 1.0
            return Format(Interval.of_bits(LOGIT_BITS, signed=True), scale).clipped(clip)
        signed = max(self._lowest(layer), clip[0]) < 0
        own = Format(*calibrate(samples, self._bits[layer.name], signed=signed, find=self._find))
        return (self._shared(layer, own, samples) if isinstance(layer, FloatConcat) else own).clipped(clip)

    def _lowest(self, layer: FloatLayer) -> float:
        """The smallest real value that can come before the clip."""
        ranges = [self._formats[name].real for name in layer.sources]
        match layer:
            case FloatPool():
                return min(0.0, ranges[0][0])  # padding counts as zero
            case FloatAdd():
                ends = zip(layer.factors, ranges, strict=True)
                return sum(min(factor * lo, factor * hi) for factor, (lo, hi) in ends) + float(layer.bias.min())
            case FloatConcat():
                return min(lo for lo, _ in ranges)
            case FloatTable():
                source = self._formats[layer.source]
                x = np.arange(source.interval.lo, source.interval.hi + 1)[:, None] * source.scale
                values = evaluate(layer.function, np.broadcast_to(x, (len(x), layer.output_shape[2])))
                return float(values[np.isfinite(values)].min(initial=inf))
        return -inf

    def _shared(self, layer: FloatConcat, own: Format, samples: Samples) -> Format:
        """``own``, or the scale of some source in its place that spares the most channels a change of unit."""
        bound = [(name, shape[2]) for name, shape in zip(layer.sources, layer.input_shapes, strict=True)]
        bound = [(name, channels) for name, channels in bound if not self._sharing.free(name)]
        scales = sorted({self._formats[name].scale for name, _ in bound})
        data, levels = SortedValues(samples.values), np.arange(own.interval.lo, own.interval.hi + 1)
        limit, *errors = data.squared_error(levels, [own.scale, *scales])
        kept = {
            scale: sum(channels for name, channels in bound if self._fits(name, Format(own.interval, scale)))
            for scale, error in zip(scales, errors, strict=True)
            if error <= SHARED_SCALE_TOLERANCE * limit
        }
        best = max(kept, key=lambda scale: kept[scale], default=own.scale)
        return Format(own.interval, best if kept.get(best) else own.scale)

    def _fits(self, name: str, target: Format) -> bool:
        interval = self._formats[name].interval
        inside = target.interval.lo <= interval.lo and interval.hi <= target.interval.hi
        return inside and self._formats[name].scale == target.scale

    def _spread(self, layer: FloatConcat) -> None:
        """Ask every source that is free for the format of ``layer``."""
        for name in layer.sources:
            if self._sharing.free(name):
                self._take(name, self._formats[layer.name])

    def _take(self, name: str, target: Format) -> None:
        layer = self._layers[name]
        if moves_only(layer):
            self._take(layer.sources[0], target)
            self._formats[name] = self._formats[layer.sources[0]]
            return
        self._formats[name] = target.clipped(clip_of(layer))
        if isinstance(layer, FloatConcat):
            self._spread(layer)
