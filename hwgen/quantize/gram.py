"""Second moments of a convolution's input rows (im2col), on a sample of output pixels.

They say all that a weight error does to the output, correlations between inputs included, so that the rows themselves
need not be kept. Mean values are taken out: they belong to the bias, see :mod:`hwgen.quantize.bias`.

With G groups, K = kh * kw * I / G inputs per output and P = O / G outputs per group, weights are matrices (G, K, P).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from ..floatnet import FloatConv
from ..reference.window import padded, positions

__all__ = ["Gram", "as_matrices", "as_weight", "measure", "sampled"]

Real = npt.NDArray[np.float64]

ROWS = 40_000
"""Output pixels that are looked at, at most."""

VALUES = 1 << 21
"""Numbers of a map, or of its sampled rows, that are spread out at a time, about: 16 MiB."""


@dataclass(frozen=True, eq=False)
class Gram:
    """Means over the sampled rows, with the mean row taken out of ``x`` and the mean output out of ``y``.

    hessian: of ``x x'``, (G, K, K); between: of ``x z'``, (G, K, K); cross: of ``x y'``, (G, K, P). ``x`` is what the
    quantized layer reads, in real units, ``z`` what the float layer reads, ``y`` what it makes of that, before bias and
    clip.
    """

    hessian: Real
    between: Real
    cross: Real

    def excess(self, weight: Real) -> Real:
        """Mean squared output error of ``weight`` (G, K, P), less what does not depend on it: (G, P), real units."""
        product: Real = np.einsum("gkp,gkp->gp", weight, self.hessian @ weight - 2 * self.cross)
        return product


def as_matrices(weight: npt.NDArray[np.generic], groups: int) -> Real:
    """``weight`` (O, kh, kw, I / G) as (G, K, P) float64."""
    return weight.astype(np.float64).reshape(groups, len(weight) // groups, -1).transpose(0, 2, 1)


def as_weight(matrices: npt.NDArray[np.int64], shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """The inverse of :func:`as_matrices`: (G, K, P) in the ``shape`` of a weight."""
    return matrices.transpose(0, 2, 1).reshape(shape)


def measure(
    layer: FloatConv,
    scale: float,
    integers: npt.NDArray[np.integer],
    pad_value: npt.NDArray[np.int64],
    floats: npt.NDArray[np.floating],
) -> Gram:
    """The moments of ``layer`` between quantized and float input.

    integers, floats: (N, H, W, I) on the same samples, the former in units of ``scale``, as is ``pad_value`` (I,).
    """
    frame, y, x = _pixels(layer, len(integers), ROWS)
    count = len(frame)
    matrices = as_matrices(layer.weight, layer.groups)

    groups, inputs, _ = matrices.shape
    sums = np.zeros((2, groups, 1, inputs))
    hessian, between = np.zeros((2, groups, inputs, inputs))
    # Counted from the first row: where no input moves, the moments are exactly zero, not what rounding leaves of them.
    origin = _rows(layer, integers[frame[0] :][:1], pad_value, (np.zeros(1, np.int64), y[:1], x[:1]))
    per_frame = max(prod(layer.input_shape), groups * inputs * count // len(integers))
    batch = max(1, VALUES // per_frame)
    for start in range(0, len(integers), batch):
        part = slice(*np.searchsorted(frame, (start, start + batch)).tolist())
        where = frame[part] - start, y[part], x[part]
        rows = scale * (_rows(layer, integers[start : start + batch], pad_value, where) - origin)
        real = _rows(layer, floats[start : start + batch], layer.pad_value, where)
        across = rows.transpose(0, 2, 1)
        hessian += across @ rows
        between += across @ real
        sums += rows.sum(axis=1, keepdims=True), real.sum(axis=1, keepdims=True)
    mean = sums[0].transpose(0, 2, 1) / count
    hessian = (hessian - mean @ sums[0]) / count
    between = (between - mean @ sums[1]) / count
    return Gram(hessian, between, between @ matrices)


def sampled(
    layer: FloatConv,
    scale: float,
    integers: npt.NDArray[np.integer],
    pad_value: npt.NDArray[np.int64],
    floats: npt.NDArray[np.floating],
    count: int,
) -> tuple[Real, Real]:
    """At most ``count`` input rows of ``layer`` without their mean, of the quantized and of the float network.

    (G, R, K) each; the other arguments are those of :func:`measure`.
    """
    frame, y, x = _pixels(layer, len(integers), count)
    frames, where = np.unique(frame, return_inverse=True)
    places = where, y, x
    rows = scale * _rows(layer, integers[frames], pad_value, places)
    real = _rows(layer, floats[frames], layer.pad_value, places)
    return rows - rows.mean(axis=1, keepdims=True), real - real.mean(axis=1, keepdims=True)


def _pixels(layer: FloatConv, frames: int, count: int) -> tuple[npt.NDArray[np.int64], ...]:
    """``count`` output pixels of ``frames`` frames, or all of them: frame, y and x of each, in order."""
    height, width, _ = layer.output_shape
    pixels = frames * height * width
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(pixels, min(count, pixels), replace=False, shuffle=False))
    return np.unravel_index(chosen, (frames, height, width))


def _rows(
    layer: FloatConv,
    x: npt.NDArray[np.generic],
    pad_value: npt.NDArray[np.generic],
    where: tuple[npt.NDArray[np.int64], ...],
) -> Real:
    """The inputs of the output pixels ``where`` (frame, y, x) of ``x`` (N, H, W, I): (G, R, K)."""
    maps = padded(x, layer.pads, pad_value, np.float64)
    taps = [pixel[where] for pixel in positions(maps, layer.kernel, layer.stride, layer.dilation)]
    rows, each = len(where[0]), maps.shape[3] // layer.groups
    split = np.stack(taps, axis=1).reshape(rows, len(taps), layer.groups, each)
    return np.moveaxis(split, 2, 0).reshape(layer.groups, rows, len(taps) * each)
