"""A flag's delay line."""

from __future__ import annotations

from amaranth.hdl import *

__all__ = ["delayed"]


def delayed(m: Module, flag, cycles: int):
    """``flag`` (1 bit, reset to 0) ``cycles`` cycles later, so that it travels beside data in a pipeline."""
    name = flag.name
    for stage in range(cycles):
        later = Signal(name=f"{name}_d{stage + 1}")
        m.d.sync += later.eq(flag)
        flag = later
    return flag
