"""A float element-wise function to a lookup table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..expression import evaluate
from ..floatnet import FloatTable
from ..interval import Interval
from ..network import Table, Tensor
from .formats import Format
from .requant import round_half_up

__all__ = ["quantize_table"]


def quantize_table(layer: FloatTable, source: Tensor, target: Format) -> Table:
    """The table of ``layer`` over every value of ``source``: ``floor(function(s_in * x) / s_out + 1/2)``, clipped.

    One row where the function is the same for all channels. Infinity is clipped like any large value; a value for which
    the function is not defined gets the result of the nearest one for which it is, or 0 where there is none. The
    output's interval is that of the table's values.
    """
    integers = np.arange(source.interval.lo, source.interval.hi + 1)
    x = np.broadcast_to(source.scale * integers[:, None], (len(integers), source.shape[2]))
    real = evaluate(layer.function, x).T / target.scale
    if (real == real[:1]).all() or np.array_equal(real, np.broadcast_to(real[:1], real.shape), equal_nan=True):
        real = real[:1]
    limits = target.interval
    values = round_half_up(np.clip(np.stack([_defined(row) for row in real]), limits.lo - 1, limits.hi + 1))
    values = np.clip(values, limits.lo, limits.hi)
    output = Tensor(layer.name, layer.output_shape, Interval(int(values.min()), int(values.max())), target.scale)
    return Table(layer.name, source.name, values, output)


def _defined(row: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """``row`` with each NaN replaced by the nearest other value; by the lower one where two are equally near."""
    good = np.flatnonzero(~np.isnan(row))
    if not good.size:
        return np.zeros_like(row)
    index = np.arange(row.size)
    after = np.clip(np.searchsorted(good, index), 0, good.size - 1)
    before = np.clip(after - 1, 0, None)
    nearest = np.where(index - good[before] <= np.abs(good[after] - index), good[before], good[after])
    return row[np.where(np.isnan(row), nearest, index)]
