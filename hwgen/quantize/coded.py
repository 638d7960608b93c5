"""Weights that the model itself holds as codes: taken as they are wherever the requantization grid allows it."""

from __future__ import annotations

from dataclasses import replace
from math import log2

import numpy as np
import numpy.typing as npt

from ..codes import CODES, Codebook, explicit
from ..floatnet import Coded, FloatConv, FloatNetwork
from ..network import MANTISSAS
from .requant import KMAX, exponent_grid, nearest_factor, place
from .scales import CodedWeights, with_levels

__all__ = [
    "DEFAULT",
    "GRID_TOLERANCE",
    "OWN",
    "book_of",
    "exact_codes",
    "exponent_in",
    "integers_of",
    "without_wide_codes",
]

GRID_TOLERANCE = 1e-3
"""Relative error of a channel's factor that still counts as taking its codes exactly."""

DEFAULT = "e2m1"
"""The code that is used when none is asked for."""

OWN = "own"
"""The code that keeps the model's own codes, however wide, and is the default one for all other weights."""

RECOGNIZED = ("e2m1", "pot3", "pot4", "pot5", "int4", "e3m1", "e2m2", "apot4", "ternary")
"""Named codebooks that a model's levels are looked for in; of those with as few bits the first one. None without zero:
a layer that happens to have no zero would have no code for one should its weights have to be rounded anew. None so
large that it holds a handful of levels by chance, which are better off alone."""

MAX_BITS = 8
"""Bits of a codebook. Models with finer weights are quantized like float ones."""


def without_wide_codes(network: FloatNetwork, bits: int) -> FloatNetwork:
    """``network`` in which only codes of at most ``bits`` bits count as such; wider ones are weights like any others.

    A model of 8-bit weights gets the small engine that was asked for; one that was trained for 4 bits keeps its codes.
    """

    def kept(coded: Coded | None) -> bool:
        return coded is not None and (book := book_of(coded.levels)) is not None and book.bits <= bits

    layers = [
        replace(layer, coded=None) if isinstance(layer, FloatConv) and not kept(layer.coded) else layer
        for layer in network.layers
    ]
    return replace(network, layers=tuple(layers))


def exponent_in(book: Codebook, levels: npt.NDArray[np.int64]) -> int | None:
    """``t``, nearest to 0, for which all ``levels`` times ``2**t`` are levels of ``book``; None if there is none."""
    distinct = np.unique(levels[levels != 0])
    held = set(book.levels)
    if book.zero_free and distinct.size < np.unique(levels).size:
        return None
    if not distinct.size:
        return 0
    even = int(np.bitwise_or.reduce(np.abs(distinct)))
    down = (even & -even).bit_length() - 1
    for t in sorted(range(-down, book.max_level.bit_length() + 1), key=lambda t: (abs(t), t)):
        scaled = distinct << t if t >= 0 else distinct >> -t
        if set(scaled.tolist()) <= held:
            return t
    return None


def book_of(levels: npt.NDArray[np.int64]) -> Codebook | None:
    """The codebook that holds ``levels``, up to a power of two, in the fewest bits; None when 8 do not do.

    A named one, or every integer from the lowest level to the highest. The levels alone only where no named one holds
    them: a small layer happens to have few of the levels of its code.
    """
    found = [book for name in RECOGNIZED if exponent_in(book := CODES[name], levels) is not None]
    others = [integers_of(levels)] if found else [integers_of(levels), _alone(levels)]
    found += [book for book in others if book is not None]
    return min(found, key=lambda book: book.bits, default=None)


def integers_of(levels: npt.NDArray[np.int64]) -> Codebook | None:
    """Every integer from the lowest of ``levels`` to the highest, made symmetric where that costs no bit.

    None for more than 8 bits, and for nothing but zeros.
    """
    if not levels.any():
        return None
    lo, hi = min(int(levels.min()), 0), max(int(levels.max()), 0)
    bits, symmetric = (hi - lo).bit_length(), max(-lo, hi).bit_length() + 1
    if symmetric <= bits:
        lo, hi = 1 - (1 << bits - 1), (1 << bits - 1) - 1
    return explicit(range(lo, hi + 1), name=f"int{bits}") if bits <= MAX_BITS else None


def _alone(levels: npt.NDArray[np.int64]) -> Codebook | None:
    distinct = {0, *np.unique(levels).tolist()}
    return explicit(distinct, name=f"levels{len(distinct)}") if len(distinct) <= 1 << MAX_BITS else None


def exact_codes(
    coded: Coded, book: Codebook, source_scale: float, wanted: float, *, keep: bool
) -> tuple[float, CodedWeights] | None:
    """An output scale as near ``wanted`` as the grid allows, and the codes of ``coded`` with their factors.

    The factor of a channel is ``source_scale * scale / s_out``; that of the channel with the largest scale is exact.
    keep: ``wanted`` itself comes first, even if all factors are only within :data:`GRID_TOLERANCE`. None when no output
    scale puts the factors of all channels on the grid within that.
    """
    t = exponent_in(book, coded.levels)
    if t is None:
        return None
    levels = coded.levels << t if t >= 0 else coded.levels >> -t
    alive = levels.reshape(len(levels), -1).any(axis=1)
    # A channel without weights goes along with the others.
    real = source_scale * coded.scale / 2.0**t
    real = np.where(alive, real, real[alive].max() if alive.any() else 1.0)
    largest = float(real.max())
    # A factor of KMAX bits more than a mantissa, over a shift of at least 1, bounds the output scale from below.
    wanted = max(wanted, largest / (MANTISSAS[0] * 2.0 ** (KMAX - 1)))
    octave = 2.0 ** np.round(log2(largest / wanted) - 3.5)
    grid = exponent_grid(-1, 1).ravel() * octave
    scales = sorted((largest / grid).tolist(), key=lambda scale: abs(log2(scale / wanted)))
    for scale in (wanted, *scales) if keep else scales:
        factors = _on_grid(real / scale)
        if factors is not None:
            mul, shift = factors
            ratio = scale / source_scale
            return scale, with_levels(levels, book, ratio, mul, shift)
    return None


def _on_grid(factors: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], int] | None:
    """``(mul, shift)`` of ``factors`` (O,), None where one is too far from the grid or they are too far apart."""
    points = [nearest_factor(factor) for factor in factors.tolist()]
    for (mantissa, exponent), factor in zip(points, factors.tolist(), strict=True):
        if abs(mantissa * 2.0**exponent / factor - 1) > GRID_TOLERANCE:
            return None
    exponents = [exponent for _, exponent in points]
    lowest = min(exponents)
    if max(exponents) - lowest > KMAX:
        return None
    try:
        k, shift = place(lowest, max(exponents) - lowest)
    except ValueError:
        return None
    return np.array([mantissa << k + exponent - lowest for mantissa, exponent in points], np.int64), shift
