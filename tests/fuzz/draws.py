"""Random choices as Python values, so that a recipe is plain JSON."""

from __future__ import annotations

import numpy as np

__all__ = ["Draws"]


class Draws:
    """Draws from ``rng``, for what grows a recipe."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def _int(self, low: int, high: int) -> int:
        """``low`` to ``high``, both included."""
        return int(self._rng.integers(low, high + 1))

    def _pick(self, options):
        return options[int(self._rng.integers(len(options)))]

    def _chance(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)
