"""A float network and calibration data to an integer network: the plain baseline.

1. Every tensor gets one scale, the one with the least squared error on the calibration data.
2. Every weight gets the nearest level, at the per-channel scale with the least output noise on the exact grid.
3. Every bias is corrected, layer by layer, on what the quantized layers before really put out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..codes import Codebook
from ..codes import codebook as find_codebook
from ..errors import HwgenError
from ..floatnet import FloatConv, FloatLayer, FloatNetwork
from ..interval import Interval
from ..lower import evaluate
from ..network import Layer, Network, Tensor
from ..reference.network import input_integers
from ..reference.pool import pool
from .activations import Samples, calibrate, collect, frames_per_batch, input_range
from .bias import correct_bias
from .clips import push_clips
from .conv import quantize_conv
from .pool import quantize_pool

__all__ = ["LOGIT_BITS", "Progress", "quantize"]

Progress = Callable[[int, int, str], None]
"""Called with the steps done, the steps in all, and what is being done."""

LOGIT_BITS = 16
"""Bits of the last layer's output, signed. Its unit is twice the largest calibration value over 2**15: fine enough for
``argmax`` to see every difference, with one octave of headroom before it saturates."""

MAX_LEVEL = 1 << 16
"""The largest level of a code: four times that of PoT5. With larger ones the requantization runs out of shift."""

CORRECTION_FRAMES = 256
"""Calibration frames that bias correction runs on, at most; their activations are kept in memory."""


def _output_range(layer: FloatLayer, source: Tensor, samples: Samples, bits: int, last: bool) -> tuple[Interval, float]:
    """Interval and wanted scale of the layer's output; a maximum pool ignores them."""
    if last:
        peak = max(abs(samples.lo), abs(samples.hi))
        return Interval.of_bits(LOGIT_BITS, signed=True), 2 * peak / 2.0 ** (LOGIT_BITS - 1) if peak else 1.0
    signed = layer.clip[0] < 0 and (isinstance(layer, FloatConv) or source.interval.signed)
    return calibrate(samples, bits, signed=signed)


def _checked(network: FloatNetwork, x: npt.ArrayLike) -> npt.NDArray[np.generic]:
    data = np.asarray(x)
    if data.ndim != 4 or data.shape[1:] != network.input_shape or len(data) == 0:
        shape = ", ".join(map(str, network.input_shape))
        raise HwgenError(f"calibration data must have shape (N, {shape}) with N >= 1, not {data.shape}")
    if data.dtype.kind not in "iufb" or not np.isfinite(data).all():
        raise HwgenError("calibration data must be finite numbers; it holds NaN, infinity or something else")
    return data


def _activations(network: FloatNetwork, x: npt.NDArray[np.generic]) -> dict[str, npt.NDArray[np.float32]]:
    """Every layer's float output on ``x``, single precision to halve the memory."""
    batch = frames_per_batch(network)
    parts = [evaluate(network, x[start : start + batch], every=True) for start in range(0, len(x), batch)]
    return {name: np.concatenate([part[name].astype(np.float32) for part in parts]) for name in parts[0]}


def quantize(
    network: FloatNetwork,
    x: npt.ArrayLike,
    *,
    code: str | Codebook = "e2m1",
    act_bits: int = 8,
    progress: Progress | None = None,
) -> Network:
    """Quantize ``network`` to weights in ``code`` and activations of ``act_bits`` (2..8) bits.

    x: calibration data (N, H, W, C), raw values, any numeric dtype; a few hundred typical samples. The result does not
    depend on anything else: the same arguments give the same network, bit for bit. Raises :class:`HwgenError` for
    data, a code or a bit width that cannot be used, and for a layer whose accumulator would get too wide.
    """
    book = code if isinstance(code, Codebook) else find_codebook(code)
    if book.max_level > MAX_LEVEL:
        raise HwgenError(f"levels of a code must be at most {MAX_LEVEL}, not {book.max_level}; use smaller levels")
    if not 2 <= act_bits <= 8:
        raise HwgenError(f"activation bits must be 2 to 8, not {act_bits}")
    data = _checked(network, x)
    total = len(data) + len(network.layers)
    report = progress or (lambda done, total, text: None)

    interval, scale = input_range(data)
    network = push_clips(network, interval, scale)
    samples = collect(network, data, lambda done: report(done, total, "calibrating"))
    chosen = np.sort(np.random.default_rng(0).permutation(len(data))[:CORRECTION_FRAMES])
    frames = data[chosen]
    floats = _activations(network, frames)

    name, taken = "input", {layer.name for layer in network.layers}
    while name in taken:
        name = f"network_{name}"
    tensor = Tensor(name, network.input_shape, interval, scale)
    integers, real = input_integers(tensor, frames), frames.astype(np.float32)
    source, layers = tensor, list[Layer]()
    batch = frames_per_batch(network)
    for index, model in enumerate(network.layers):
        report(len(data) + index, total, f"quantizing {model.name}")
        last = index == len(network.layers) - 1
        wanted = _output_range(model, source, samples[model.name], act_bits, last)
        layer: Layer
        if isinstance(model, FloatConv):
            layer = quantize_conv(model, source, book, *wanted, integers)
            layer, integers = correct_bias(layer, model, source, integers, real, floats[model.name], batch)
        else:
            layer = quantize_pool(model, source, *wanted)
            integers = pool(layer, source.interval, integers)
        layers.append(layer)
        source, real = layer.output, floats[model.name]
    report(total, total, "quantized")
    return Network(network.name, tensor, tuple(layers), network.notes, network.normalization)
