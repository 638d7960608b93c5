"""Requantization: accumulators to the next tensor's integers, exact.

``y = clip((acc * mul + add) >> shift, lo, hi)`` in 64-bit integers. ``>>`` is an arithmetic shift, that is a floor, and
``add`` holds the rounding half, so a tie rounds up (towards plus infinity) for either sign: -2.5 becomes -2, 2.5
becomes 3. The hardware does the same with a shifter and two comparisons.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..network import Requant

__all__ = ["requantize"]


def requantize(acc: npt.NDArray[np.generic], requant: Requant) -> npt.NDArray[np.int32]:
    """Apply ``requant`` to ``acc`` (..., O), whole numbers of any dtype. Returns int32 of the same shape.

    ``acc`` is left as it is. The caller guarantees ``abs(acc * mul + add) < 2**63`` and 32-bit clip limits; the
    quantizer checks a far tighter bound.
    """
    wide = acc.astype(np.int64)
    wide *= requant.mul
    wide += requant.add
    wide >>= requant.shift
    return np.clip(wide, requant.lo, requant.hi, out=wide).astype(np.int32)
