"""Constants that a counter picks: biases, offsets, flags."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import *
from amaranth.lib.memory import Memory

from ..interval import Interval
from .storage import block_attributes
from .stream import shape_of

__all__ = ["constants", "flag"]


def constants(m: Module, name: str, values: Sequence[int], index, *, lut_words: int = 32):
    """``values[index]`` one cycle later; a plain constant when all are alike.

    lut_words: a table of up to so many words stays in LUTs, a longer one may go to block RAM. Regular contents, such
    as the addresses of columns, deserve more words in LUTs than random ones, such as biases.
    """
    values = [int(value) for value in values]
    shape = shape_of(Interval.hull(values))
    if len(set(values)) == 1:
        return Const(values[0], shape)
    logic = len(values) <= lut_words
    attributes = {"rom_style": "logic"} if logic else block_attributes(shape.width, len(values), rom=True)
    m.submodules[name] = rom = Memory(shape=shape, depth=len(values), init=values, attrs=attributes)
    read = rom.read_port()
    value = Signal(shape, name=f"{name}_value")
    m.d.comb += [read.addr.eq(index), value.eq(read.data)]
    return value


def flag(m: Module, name: str, values: Sequence[bool], index, advance):
    """``values[index]`` from a register, where ``index`` counts 0, 1, ..., len - 1, 0, ... with ``advance``.

    The table is read one entry ahead, so that control logic hangs on a register and not on a table.
    """
    if len(set(values)) == 1:
        return Const(int(values[0]), 1)
    ahead = [*values[1:], values[0]]
    bits = Const(sum(int(value) << place for place, value in enumerate(ahead)), len(ahead))
    register = Signal(name=name, init=int(values[0]))
    with m.If(advance):
        m.d.sync += register.eq(bits.bit_select(index, 1))
    return register
