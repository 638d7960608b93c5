"""A float addition to an integer one."""

from __future__ import annotations

from collections.abc import Sequence

from ..floatnet import FloatAdd
from ..interval import Interval
from ..network import Add, Tensor
from .factors import common_shift, wired
from .formats import Format
from .requant import add_of, check_bits, clip_limits

__all__ = ["quantize_add"]


def quantize_add(layer: FloatAdd, sources: Sequence[Tensor], target: Format) -> Add:
    """The integer addition of ``layer``, reading ``sources``, with an output inside ``target``.

    Each source's factor is ``factor * s_in / s_out`` over a shift common to all. Raises :class:`HwgenError` when a bias
    is so far beyond the output that the sum gets too wide.
    """
    ratios = [factor * tensor.scale / target.scale for factor, tensor in zip(layer.factors, sources, strict=True)]
    shift = common_shift([ratio for ratio in ratios if ratio])
    mul = tuple(wired(ratio * 2.0**shift) for ratio in ratios)
    add = add_of(layer.bias, target.scale, shift)
    lo, hi = clip_limits(layer.clip, target.scale, target.interval)
    reach = sum(
        abs(factor) * max(abs(tensor.interval.lo), abs(tensor.interval.hi))
        for factor, tensor in zip(mul, sources, strict=True)
    )
    check_bits(layer.name, reach + int(abs(add).max()))
    output = Tensor(layer.name, layer.output_shape, Interval(lo, hi), target.scale)
    return Add(layer.name, layer.sources, mul, add, shift, lo, hi, output)
