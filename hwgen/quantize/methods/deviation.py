"""Clipping and pruning by the standard deviation (Ardakani et al. 2022, arXiv 2202.12422), after training.

Weights are clipped at ``clip * sigma``. Those below ``k * sigma`` become 0, a share ``erf(k / sqrt(2))`` of Gaussian
ones; all others become the nearest level other than 0. The paper's levels are uniform or powers of two, which is one
codebook among many here; it learns the clip, here it is the one with the least error on Gaussian weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...codes import Codebook
from ...errors import HwgenError
from ...floatnet import FloatNetwork
from ..scales import CodedWeights, with_levels
from .method import Method, choice, option
from .problem import Coder, Problem
from .saturation import DENSITIES, optimal_clip, scales_at

__all__ = ["Deviation", "default_clip", "prune_limits", "pruned", "sigma_of"]

Real = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Deviation(Method):
    """See the module's text.

    clip: in sigma, 0.01 to 100; by default the one with the least squared error on those Gaussian weights that are not
    pruned. prune: ``k`` in sigma, as in ``prune=0.5``, or the share of weights that become 0, as in ``prune=40%``,
    those of the least magnitude. By default each weight becomes the nearest level, 0 among them. per: "channel"
    (default) or "layer", what has a sigma, and a share, of its own.
    """

    name: ClassVar[str] = "deviation"

    clip: float | None = option(None, 0.01, 100)
    prune: str | None = None
    per: str = choice("channel", "layer")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.threshold()

    def threshold(self) -> tuple[float, bool]:
        """What ``prune`` says: a number, and whether it is a share; ``(0.0, True)`` where nothing is pruned."""
        text = "0%" if self.prune is None else self.prune.strip()
        share = text.endswith("%")
        try:
            value = float(text.removesuffix("%")) / (100 if share else 1)
        except ValueError:
            value = np.nan
        if not 0 <= value < (1 if share else np.inf):
            raise HwgenError(f"prune must be a number of standard deviations or a share below 100%, not {text!r}")
        return value, share

    def coder(self, network: FloatNetwork, codebook: Codebook) -> Coder:
        return self.code

    def code(self, problem: Problem) -> CodedWeights:
        weight, book = problem.weight, problem.codebook
        pruning = self.prune is not None
        if pruning and book.zero_free:
            raise HwgenError(f"weights cannot be pruned in {book.name}, a code without zero; choose another code")
        rows = weight.reshape(len(weight) if self.per == "channel" else 1, -1)
        value, share = self.threshold()
        limits = prune_limits(rows, value) if share else value * sigma_of(rows)
        clip = self.clip or default_clip(book, _gaussian_limit(value) if share else value, pruning)
        clips, limits = (per.repeat(len(weight) // len(rows)) for per in (clip * sigma_of(rows), limits))
        clips = clips * weight.reshape(len(weight), -1).any(axis=1)
        scale, mul, shift = scales_at(clips, book, problem.ratio)
        shape = (-1, 1, 1, 1)
        if pruning:
            levels = pruned(weight, scale.reshape(shape), limits.reshape(shape), book)
        else:
            levels = book.nearest(weight / scale.reshape(shape))
        return with_levels(levels, book, problem.ratio, mul, shift)


def sigma_of(rows: Real) -> Real:
    """The standard deviation of each of ``rows`` (R, N) about 0, the centre of the levels: (R,).

    Unlike the one about the mean it is that of a weight on its own, too.
    """
    return np.sqrt(np.square(rows).mean(axis=1))


def prune_limits(rows: Real, share: float) -> Real:
    """The magnitude (R,) that a ``share`` of the weights of each of ``rows`` (R, N) is below; never all of them."""
    magnitudes = np.sort(np.abs(rows), axis=1)
    return magnitudes[:, min(int(share * rows.shape[1] + 0.5), rows.shape[1] - 1)]


def pruned(weight: Real, scale: Real, limit: Real, codebook: Codebook) -> npt.NDArray[np.int64]:
    """Levels of ``weight``: 0 where ``abs(weight) < limit`` or the weight is 0, else the nearest other one.

    scale, limit: broadcast against ``weight``. ``pruned(c * w, c * s, c * l) == pruned(w, s, l)``.
    """
    levels = codebook.sorted_levels
    others = levels[levels != 0].astype(np.float64)
    nearest = others[np.searchsorted((others[1:] + others[:-1]) / 2, weight / scale)].astype(np.int64)
    return np.where((np.abs(weight) < limit) | (weight == 0), 0, nearest)


@lru_cache
def default_clip(codebook: Codebook, k: float = 0.0, pruning: bool = False) -> float:
    """The clip, in sigma, with the least squared error on Gaussian weights; on those from ``k`` on if ``pruning``."""
    levels = codebook.sorted_levels
    if not pruning:
        return optimal_clip(levels, DENSITIES["gauss"])[0]
    left = DENSITIES["gauss"].beyond(min(k, 4.0))  # beyond 4 sigma next to nothing is left to choose a clip for
    return optimal_clip(levels[levels != 0], left)[0]


def _gaussian_limit(share: float) -> float:
    """The magnitude below which ``share`` of Gaussian weights lie."""
    gauss = DENSITIES["gauss"]
    upper = gauss.values > 0
    return float(np.interp(share, 2 * np.cumsum(gauss.shares[upper]), gauss.values[upper]))
