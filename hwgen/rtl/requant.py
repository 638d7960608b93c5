"""From accumulator to activation, by shifts and additions: ``y = clip((acc * mul + add) >> shift, lo, hi)``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from amaranth.hdl import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..codes import signed_terms
from ..interval import Interval
from .storage import block_attributes
from .stream import lanes_of, pipeline_signal, shape_of

__all__ = ["Channel", "Requantizer"]

LUT_ROM_WORDS = 32
"""Constants of up to this many words stay in LUTs; more are worth a block RAM."""


@dataclass(frozen=True)
class Channel:
    """Constants of one channel; ``acc`` holds every value of its accumulator."""

    mul: int
    add: int
    acc: Interval


@dataclass(frozen=True)
class _Factor:
    """``mul = (2**high + sign * 2**low) << shift``; sign 0 for a single power of two."""

    high: int
    sign: int
    low: int
    shift: int

    @staticmethod
    def of(mul: int) -> _Factor:
        """``mul`` with its leading term at 2**3 or 2**4, so that few multiplexer inputs serve every channel."""
        terms = signed_terms(mul)
        if mul <= 0 or len(terms) > 2:
            raise ValueError(f"mul must be a positive sum of at most two signed powers of two, not {mul!r}")
        if len(terms) == 1:
            return _Factor(3, 0, 0, terms[0].shift - 3)
        high, low = terms
        top = max(4 if low.sign < 0 else 3, high.shift - low.shift)
        return _Factor(top, low.sign, low.shift - high.shift + top, high.shift - top)

    @property
    def mantissa(self) -> int:
        return (1 << self.high) + self.sign * (1 << self.low)


class Requantizer(wiring.Component):
    """Requantizes ``lanes`` accumulators per cycle; channels come in order, word after word, and start over.

    With ``chosen`` the words come in any order: ``index`` says which word of ``channels`` this cycle's is.

    A pipeline that never stalls: constants, two-term product, shift, bias, clip. Latency: 7 cycles. Throughput: one
    word per cycle. ``>>`` is an arithmetic shift, so with the rounding half inside ``add`` rounding is half up.

    Parameters
    ----------
    channels : sequence of Channel
        For every channel in order; their number is a multiple of ``lanes``.
    shift : int
    lo, hi : int
        The clip; also the interval of the output.
    lanes : int
    chosen : bool

    Members
    -------
    valid : In(1)
    index : In(number of words; only with ``chosen``)
    acc : In(lanes of the hull of the accumulators)
    o_valid : Out(1)
    o : Out(lanes of lo..hi)
    """

    LATENCY = 7

    def __init__(
        self, channels: Sequence[Channel], shift: int, lo: int, hi: int, *, lanes: int = 1, chosen: bool = False
    ):
        if not channels or len(channels) % lanes:
            raise ValueError(f"lanes must divide the {len(channels)} channels, not {lanes!r}")
        factors = [_Factor.of(channel.mul) for channel in channels]
        # A factor below 8 has its leading term moved up to 2**3: give every channel the same extra fraction bits.
        spare = max(0, -min(factor.shift for factor in factors))
        self._factors = [replace(factor, shift=factor.shift + spare) for factor in factors]
        # A small term that is subtracted is added as its ones' complement; the missing one joins the bias.
        self._adds = [
            (channel.add << spare) + ((1 << factor.shift) if factor.sign < 0 else 0)
            for channel, factor in zip(channels, self._factors, strict=True)
        ]
        self._shift = shift + spare
        self._accs = [channel.acc for channel in channels]
        self._clip = lo, hi
        self._lanes = lanes
        self._words = len(channels) // lanes
        self._chosen = chosen
        self._acc = Interval.hull(self._accs)
        self.interval = Interval(lo, hi)
        super().__init__(
            {
                "valid": In(1),
                "acc": In(lanes_of(self._acc, lanes)),
                "o_valid": Out(1),
                "o": Out(lanes_of(self.interval, lanes)),
            }
            | ({"index": In(range(max(self._words, 2)))} if chosen else {})
        )

    def elaborate(self, platform):
        m = Module()
        valid = self.valid
        for stage in range(self.LATENCY):
            delayed = Signal(name=f"valid{stage + 1}")
            m.d.sync += delayed.eq(valid)
            valid = delayed
        m.d.comb += self.o_valid.eq(valid)

        index = self.index if self._chosen else self._count(m)
        for lane in range(self._lanes):
            self._lane(m, lane, index, self._words)
        return m

    def _count(self, m):
        """The number of this cycle's word."""
        words = self._words
        index = Signal(range(max(words, 2)))
        if words > 1:
            with m.If(self.valid):
                m.d.sync += index.eq(Mux(index == words - 1, 0, index + 1))
        return index

    def _lane(self, m, lane: int, index, words: int):
        factors = self._factors[lane :: self._lanes]
        adds = self._adds[lane :: self._lanes]
        accs = self._accs[lane :: self._lanes]
        pairs = sorted({(f.high, f.sign, f.low) for f in factors})
        shifts = sorted({f.shift for f in factors})
        low_shift = shifts[0]
        fields = data.StructLayout(
            {
                "pair": range(max(len(pairs), 2)),
                "shift": range(max(shifts[-1] - low_shift + 1, 2)),
                "add": shape_of(Interval.hull(adds)),
            }
        )
        rows = [
            {"pair": pairs.index((f.high, f.sign, f.low)), "shift": f.shift - low_shift, "add": add}
            for f, add in zip(factors, adds, strict=True)
        ]
        constants = self._constants(m, lane, fields, rows, index, words)

        # Stages 1 and 2 wait for the constants, from a memory and its output register; stage 3 chooses the two terms,
        # stage 4 adds them.
        acc = self.acc[lane]
        for stage in (1, 2):
            later = pipeline_signal(acc.shape(), name=f"acc_{lane}_{stage}")
            m.d.sync += later.eq(acc)
            acc = later
        larges = [interval * (1 << f.high) for interval, f in zip(accs, factors, strict=True)]
        smalls = [_small(interval, f) for interval, f in zip(accs, factors, strict=True)]
        products = [large + small for large, small in zip(larges, smalls, strict=True)]
        large = pipeline_signal(shape_of(Interval.hull(larges)), name=f"large_{lane}")
        small = pipeline_signal(shape_of(Interval.hull(smalls)), name=f"small_{lane}")
        product = pipeline_signal(shape_of(Interval.hull(products)), name=f"product_{lane}")
        with m.Switch(constants.pair if len(pairs) > 1 else Const(0)):
            for number, (high, sign, low) in enumerate(pairs):
                with m.Case(number):
                    term = acc.shift_left(low)
                    m.d.sync += large.eq(acc.shift_left(high))
                    m.d.sync += small.eq(-1 - term if sign < 0 else term if sign else 0)
        m.d.sync += product.eq(large + small)
        later = constants
        for stage in (3, 4):
            held = pipeline_signal(fields, name=f"constants_{lane}_{stage}")
            m.d.sync += held.eq(later)
            later = held

        # Stage 5: one octave per step.
        shifted_values = [p * (1 << f.shift) for p, f in zip(products, factors, strict=True)]
        shifted = pipeline_signal(shape_of(Interval.hull(shifted_values)), name=f"shifted_{lane}")
        with m.Switch(later.shift):
            for shift in shifts:
                with m.Case(shift - low_shift):
                    m.d.sync += shifted.eq(product.shift_left(shift))
        add = pipeline_signal(later.add.shape(), name=f"add_{lane}")
        m.d.sync += add.eq(later.add)

        # Stage 6: bias and rounding half. Stage 7: drop the fraction, clip.
        sums = [value + offset for value, offset in zip(shifted_values, adds, strict=True)]
        total = pipeline_signal(shape_of(Interval.hull(sums)), name=f"total_{lane}")
        m.d.sync += total.eq(shifted + add)
        lo, hi = self._clip
        floor = Signal(shape_of(Interval.hull(sums) >> self._shift), name=f"floor_{lane}")
        m.d.comb += floor.eq(total >> self._shift)
        clipped = pipeline_signal(self.o[lane].shape(), name=f"clipped_{lane}")
        m.d.comb += self.o[lane].eq(clipped)
        m.d.sync += clipped.eq(Mux(floor < lo, lo, Mux(floor > hi, hi, floor)))

    @staticmethod
    def _constants(m, lane, fields, rows, index, words):
        """The row of ``index``, two cycles later."""
        if words == 1:
            return Const(rows[0], fields)
        row = pipeline_signal(fields, name=f"constants_{lane}")
        attributes = (
            {"rom_style": "logic"} if words <= LUT_ROM_WORDS else block_attributes(fields.size, words, rom=True)
        )
        rom = Memory(shape=fields, depth=words, init=rows, attrs=attributes)
        m.submodules[f"constants_{lane}"] = rom
        read = rom.read_port()
        m.d.comb += read.addr.eq(index)
        m.d.sync += row.eq(read.data)
        return row


def _small(acc: Interval, factor: _Factor) -> Interval:
    """Values of the second term of a product, a ones' complement where it is subtracted."""
    term = acc * (1 << factor.low) if factor.sign else Interval(0, 0)
    return Interval(-1 - term.hi, -1 - term.lo) if factor.sign < 0 else term
