"""Requantization: accumulators to the next tensor's integers, exact.

``y = clip((acc * mul + add) >> shift, lo, hi)`` in 64-bit integers. ``>>`` is an arithmetic shift, that is a floor, and
``add`` holds the rounding half, so a tie rounds up (towards plus infinity) for either sign: -2.5 becomes -2, 2.5
becomes 3. The hardware does the same with a shifter and two comparisons.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..network import Requant, Rescale

__all__ = ["requantize", "shift_and_clip"]


def requantize(acc: npt.NDArray[Any], requant: Requant | Rescale) -> npt.NDArray[np.int32]:
    """Apply ``requant`` to ``acc`` (..., O), whole numbers of any dtype. Returns int32 of the same shape.

    ``acc`` is left as it is. The caller guarantees ``abs(acc * mul + add) < 2**63`` and 32-bit clip limits; the
    quantizer checks a far tighter bound.
    """
    wide = acc.astype(np.int64)
    wide *= requant.mul
    wide += requant.add
    return shift_and_clip(wide, requant.shift, requant.lo, requant.hi)


def shift_and_clip(wide: npt.NDArray[np.int64], shift: int, lo: int, hi: int) -> npt.NDArray[np.int32]:
    """``clip(wide >> shift, lo, hi)`` as int32; ``wide`` is overwritten."""
    wide >>= shift
    return np.clip(wide, lo, hi, out=wide).astype(np.int32)
