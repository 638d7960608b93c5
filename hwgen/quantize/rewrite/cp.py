"""Canonical polyadic (CP) decomposition of a convolution's weights into factors that are codes.

::

    W[o, y, x, i] ~ sum over r of  outputs[o, r] * rows[r, y] * columns[r, x] * inputs[r, i]

Alternating least squares (ALS) finds real factors: with all but one fixed, the error is a linear least-squares problem
with the normal equations ``F G = M``, ``M = W_(n) K`` and ``G = K'K``, K being the Khatri-Rao product of the others.
To have factors on a grid, ADMM (Cherniuk et al. 2023, quantization-aware factorization) keeps a real factor F and one
on the grid, Q, pulled together by multipliers U::

    F <- (M + rho (Q - U)) (G + rho I)**-1        rho = tr(G) / R
    Q <- nearest on the grid to F + U
    U <- U + F - Q

where M and G come from the *quantized* other factors, so that each factor makes good what rounding did to the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log2, sqrt

import numpy as np
import numpy.typing as npt

from ...codes import Codebook
from ...floatnet import Coded
from ...network import MANTISSAS
from ..scales import on_grid

__all__ = ["CodedFactors", "Factors", "coded_factors", "cp_admm", "cp_als", "cp_bound", "on_codes", "relative_error"]

Real = npt.NDArray[np.float64]

Factors = tuple[Real, Real, Real, Real]
"""outputs (O, R), rows (R, kh), columns (R, kw), inputs (R, I)."""

ALS_SWEEPS = 60
"""Rounds of ALS at most; the error of a real kernel has long settled."""

ALS_SETTLED = 1e-4
"""ALS ends when a round lowers the relative error by less than this share of it."""

ADMM_SWEEPS = 60
"""Rounds of ADMM. It is no descent: the best factors of all rounds are kept."""

RIDGE = 1e-9
"""Added to the diagonal of G, relative to its mean: two columns of a factor may become parallel."""

NOTHING = 2.0**-30
"""The scale of a matrix of zeros, for codes that have no level 0."""

OCTAVES = 4
"""How far below the scale without clipping the search for a row's scale goes."""


@dataclass(frozen=True, eq=False)
class CodedFactors:
    """Factors as codes, one scale per output channel of the layer that each becomes.

    outputs: levels (O, R), scale (O,); rows: (R, kh), (R,); columns: (R, kw), (R,); inputs: (R, I), (R,).
    """

    outputs: Coded
    rows: Coded
    columns: Coded
    inputs: Coded

    @property
    def values(self) -> Factors:
        """The factors as real numbers, exactly levels times scale."""
        outputs, rows, columns, inputs = (
            coded.levels * coded.scale[:, None] for coded in (self.outputs, self.rows, self.columns, self.inputs)
        )
        return outputs, rows, columns, inputs


def kernel_of(factors: Factors) -> Real:
    """The weights (O, kh, kw, I) that ``factors`` stand for."""
    outputs, rows, columns, inputs = factors
    taps = (rows[:, :, None] * columns[:, None, :])[..., None] * inputs[:, None, None, :]
    return np.tensordot(outputs, taps, axes=1)


def relative_error(weight: Real, factors: Factors) -> float:
    """``norm(weight - kernel_of(factors)) / norm(weight)``; weight: (O, kh, kw, I), not all zero."""
    return float(np.linalg.norm(weight - kernel_of(factors)) / np.linalg.norm(weight))


def cp_bound(weight: Real, rank: int) -> float:
    """No CP of ``rank`` has a smaller relative error: no matrix of that rank comes nearer to an unfolding."""
    tails = []
    for axis in range(4):
        unfolded = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)
        energies = np.linalg.eigvalsh(unfolded @ unfolded.T)[::-1]
        tails.append(float(energies[rank:].sum()))
    return sqrt(max(0.0, *tails) / float(np.square(weight).sum()))


def cp_als(weight: Real, rank: int, seed: int = 0) -> Factors:
    """Real factors of ``weight`` (O, kh, kw, I), not all zero, from a random start; in each term, all of equal norm."""
    rng = np.random.default_rng(seed)
    factors = [rng.standard_normal((rank, length)) for length in weight.shape]
    last = 1.0
    for _ in range(ALS_SWEEPS):
        for axis in range(4):
            product, gram = _equations(weight, factors, axis)
            ridge = RIDGE * np.trace(gram) / rank * np.eye(rank)
            factors[axis] = np.linalg.solve(gram + ridge, product)
        factors = _balanced(factors)
        error = relative_error(weight, _as_factors(factors))
        if last - error < ALS_SETTLED * last:
            break
        last = error
    return _as_factors(factors)


def cp_admm(
    weight: Real, rank: int, codebook: Codebook, seed: int = 0, *, start: Factors | None = None
) -> CodedFactors:
    """Factors of ``weight`` (O, kh, kw, I), not all zero, on the grid of ``codebook`` times a legal scale per channel.

    start: real factors of that rank, by default those of :func:`cp_als`. Never worse than rounding ``start``.
    """
    real = start or cp_als(weight, rank, seed)
    coded = coded_factors(real, codebook)
    best, least = coded, relative_error(weight, coded.values)
    parts = [coded.outputs, coded.rows, coded.columns, coded.inputs]
    held = _as_rows(coded.values)
    multipliers = [wanted - found for wanted, found in zip(_as_rows(real), held, strict=True)]
    for _ in range(ADMM_SWEEPS):
        for axis in (3, 1, 2, 0):
            product, gram = _equations(weight, held, axis)
            rho = float(np.trace(gram)) / rank
            if rho == 0:
                continue  # the other factors have been rounded to nothing
            pulled = product + rho * (held[axis] - multipliers[axis])
            free = np.linalg.solve(gram + rho * np.eye(rank), pulled)
            wanted = free + multipliers[axis]
            parts[axis] = on_codes(wanted.T if axis == 0 else wanted, codebook)
            rounded = parts[axis].levels * parts[axis].scale[:, None]
            held[axis] = rounded.T if axis == 0 else rounded
            multipliers[axis] = wanted - held[axis]
        error = relative_error(weight, _as_factors(held))
        if error < least:
            best, least = CodedFactors(*parts), error
    return best


def coded_factors(factors: Factors, codebook: Codebook) -> CodedFactors:
    """Each of ``factors`` rounded on its own."""
    outputs, rows, columns, inputs = (on_codes(factor, codebook) for factor in factors)
    return CodedFactors(outputs, rows, columns, inputs)


def on_codes(matrix: Real, codebook: Codebook) -> Coded:
    """``matrix`` (N, M) rounded to levels of ``codebook`` times a scale for each row, the one of least squared error.

    The scales come from the grid of requantization factors, so that a layer with these weights keeps them exactly.
    """
    peak = np.abs(matrix).max(axis=1)
    if not peak.any():
        return Coded(codebook.nearest(matrix), np.full(len(matrix), NOTHING))
    top = np.where(peak > 0, peak, peak.max()) / codebook.max_level
    exponent = np.floor(np.log2(top))
    grid = 2.0 ** np.arange(-OCTAVES, 1)[:, None] * (np.array(MANTISSAS) / MANTISSAS[0] * 2)
    scales = 2.0 ** exponent[:, None] * grid.ravel()
    found = codebook.nearest(matrix[:, None] / scales[..., None]) * scales[..., None]
    errors = np.square(matrix[:, None] - found).sum(axis=2)
    wanted = np.take_along_axis(scales, errors.argmin(axis=1)[:, None], axis=1)[:, 0]
    ratio = 2.0 ** floor(log2(float(wanted.max())))  # a power of two: scales are exact in a few bits
    mul, shift = on_grid(np.where(peak > 0, wanted, 0.0), ratio)
    scale = (ratio * mul / 2.0**shift).astype(np.float64)
    return Coded(codebook.nearest(matrix / scale[:, None]), scale)


def _as_rows(factors: Factors) -> list[Real]:
    """All four as (R, length of the axis), in the order of the weights' axes."""
    outputs, rows, columns, inputs = factors
    return [outputs.T, rows, columns, inputs]


def _as_factors(rows: list[Real]) -> Factors:
    return rows[0].T, rows[1], rows[2], rows[3]


def _equations(weight: Real, factors: list[Real], axis: int) -> tuple[Real, Real]:
    """``M`` transposed, (R, length), and ``G``, (R, R), of the factor of ``axis``; factors: as :func:`_as_rows`."""
    others = [factor for other, factor in enumerate(factors) if other != axis]
    gram = np.prod([factor @ factor.T for factor in others], axis=0)
    # The largest of the other axes goes first, as one matrix product; what is left is small.
    order = sorted((other for other in range(4) if other != axis), key=lambda other: -weight.shape[other])
    rest = np.moveaxis(weight, (axis, order[1], order[2], order[0]), (0, 1, 2, 3)) @ factors[order[0]].T
    rest = np.einsum("abcr,rb->acr", rest, factors[order[1]])
    return np.einsum("acr,rc->ra", rest, factors[order[2]]), gram


def _balanced(factors: list[Real]) -> list[Real]:
    """The same terms with the norm of each spread evenly over its four vectors."""
    norms = np.array([np.linalg.norm(factor, axis=1) for factor in factors])
    norms = np.where(norms > 0, norms, 1.0)
    mean = np.exp(np.log(norms).mean(axis=0))
    return [factor * (mean / norm)[:, None] for factor, norm in zip(factors, norms, strict=True)]
