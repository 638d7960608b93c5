"""The feeder of an adder graph: a pixel stream in, all taps of every window out, a digit of each per cycle."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..interval import Interval
from ..sizing.raster import Raster
from .delay import delayed
from .delay_line import BlockDelayLine, DelayLine
from .stream import pipeline_signal, pixel_stream, shape_of

__all__ = ["Taps"]


class Taps(wiring.Component):
    """Walks the raster: every pixel, or the padding that stands for it, moves a window of delay lines on by one.

    A pixel comes in ``digit`` bits at a time and takes ``data`` cycles. One with which a window ends takes ``slot``;
    with ``extended`` the taps are sign- or zero-extended in what is left. Delay lines only move with data, so they hold
    a digit per step, and as padding moves them too no tap needs to know whether it lies outside the map.

    Throughput: a pixel per ``data`` or ``slot`` cycles without a gap, as long as pixels arrive and ``room`` is set
    when a slot begins. Latency: from the beginning of a slot to digit 0 of its taps 1 cycle, one more when taps
    are extended and another when rows are delayed in block RAM.

    Parameters
    ----------
    interval, taps : Interval
        Values of a pixel, and of a tap (of both pixel and padding).
    raster : Raster
    digit, data, slot : int
    extended : bool
        Whether taps matter in what is left of a slot.
    block_rows : bool
        Whether the delay lines by rows are block RAM.
    pad : sequence of int, one per channel

    Members
    -------
    i : In(pixel stream of all channels)
    room : In(1)     the result of one more window has a place
    claim : Out(1)   the slot of a window begins
    start : Out(1)   digit 0 of its taps comes in the next cycle
    taps : Out(one digit per tap)   in the order kernel row, kernel column, channel
    """

    def __init__(
        self,
        interval: Interval,
        taps: Interval,
        raster: Raster,
        *,
        digit: int,
        data: int,
        slot: int,
        extended: bool,
        block_rows: bool,
        pad: Sequence[int],
    ):
        self._interval, self._taps, self._raster = interval, taps, raster
        self._digit, self._data, self._slot = digit, data, slot
        self._pad = list(pad)
        self._channels = raster.geometry.shape[2]
        self._extended, self._block_rows = extended, block_rows
        rows, columns = raster.geometry.kernel
        super().__init__(
            {
                "i": In(pixel_stream(interval, self._channels)),
                "room": In(1),
                "claim": Out(1),
                "start": Out(1),
                "taps": Out(self._layout(rows * columns * self._channels)),
            }
        )

    def _layout(self, taps: int):
        return data.ArrayLayout(self._digit, taps)

    def elaborate(self, platform):
        m = Module()
        raster, (rows, columns) = self._raster, self._raster.geometry.kernel
        down, across = raster.geometry.dilation
        step, phase, padding = self._walk(m)
        width = self._channels * self._digit

        newest = Cat(self._digit_of(lane, phase, padding) for lane in range(self._channels))
        # The same column of every kernel row, the lowest row first, in registers.
        if self._block_rows:
            line = BlockDelayLine(width * (rows - 1), raster.columns * down * self._data)
            for stage in range(line.LATENCY):
                later = pipeline_signal(width, name=f"newest{stage}")
                m.d.sync += later.eq(newest)
                newest = later
            arrived = [newest, *(line.o.word_select(row, width) for row in range(rows - 1))]
            moves, start = delayed(m, step, line.LATENCY), delayed(m, self.claim, line.LATENCY - 1)
        else:
            arrived = [pipeline_signal(width, name=f"row{row}") for row in range(rows)]
            if rows > 1:
                line = DelayLine(width * (rows - 1), raster.columns * down * self._data)
                m.d.sync += Cat(arrived[1:]).eq(line.o)
            m.d.sync += arrived[0].eq(newest)
            moves, start = delayed(m, step, 1), self.claim
        if rows > 1:
            m.submodules.rows = line
            m.d.comb += [line.step.eq(step), line.i.eq(Cat(newest, line.o))]

        window = [[pixel] for pixel in arrived]  # the rightmost column first
        if columns > 1:
            span = width * (columns - 1)
            m.submodules.columns = line = DelayLine(span * rows, across * self._data)
            m.d.comb += line.step.eq(moves)
            for row, pixel in enumerate(arrived):
                old = line.o.word_select(row, span)
                m.d.comb += line.i.word_select(row, span).eq(Cat(pixel, old)[:span])
                window[row] += [old.word_select(column, width) for column in range(columns - 1)]
        taps = Cat(pixel for row in reversed(window) for pixel in reversed(row))
        if not self._extended:
            m.d.comb += [Value.cast(self.taps).eq(taps), self.start.eq(start)]
            return m
        m.d.sync += self.start.eq(start)
        held = pipeline_signal(self._layout(len(taps) // self._digit), name="held")
        for lane in range(len(taps) // self._digit):
            sign = held[lane][-1].replicate(self._digit) if self._taps.signed else Const(0, self._digit)
            m.d.sync += held[lane].eq(Mux(moves, taps.word_select(lane, self._digit), sign))
        m.d.comb += Value.cast(self.taps).eq(Value.cast(held))
        return m

    def _walk(self, m):
        """The counters: whether a digit moves in this cycle, which digit of the pixel, and whether it is padding."""
        raster, slot, digits = self._raster, self._slot, self._data
        height, width, _ = raster.geometry.shape
        first_row, first_column = raster.start
        row = Signal(range(max(raster.rows, 2)), init=first_row)
        column = Signal(range(max(raster.columns, 2)), init=first_column)
        begun = Signal(init=raster.start == (0, 0))  # after reset: the first frame has
        phase = Signal(range(max(slot, 2)))
        fresh = Signal(init=1)

        row_hits, column_hits = set(raster.row_hits), set(raster.column_hits)
        row_ends = column == raster.columns - 1
        frame_ends = row_ends & (row == raster.rows - 1)

        def of(index, size: int, truth) -> Value:
            """``truth(n)``, ``n`` being what ``index`` is."""
            return Const(sum(truth(n) << n for n in range(size)), size).bit_select(index, 1)

        def at(row_now: int, column_now: int, hit: bool) -> bool:
            return hit and row_now in row_hits and column_now in column_hits

        hit = Signal(init=at(first_row, first_column, raster.start == (0, 0)))
        padding = Signal(init=first_row >= height or first_column >= width)
        next_row_hits = Mux(
            row_ends,
            of(row, raster.rows, lambda n: (n + 1) % raster.rows in row_hits),
            of(row, raster.rows, lambda n: n in row_hits),
        )
        next_row_pads = Mux(
            row_ends,
            of(row, raster.rows, lambda n: height <= n + 1 < raster.rows),
            of(row, raster.rows, lambda n: n >= height),
        )
        next_column_hits = of(column, raster.columns, lambda n: (n + 1) % raster.columns in column_hits)
        next_column_pads = of(column, raster.columns, lambda n: width <= n + 1 < raster.columns)

        go, last = Signal(), Signal()
        m.d.comb += [
            go.eq(~fresh | ((padding | self.i.valid) & (~hit | self.room))),
            last.eq(Mux(hit, phase == slot - 1, phase == digits - 1)),
            self.claim.eq(go & fresh & hit),
        ]
        with m.If(go):
            m.d.sync += [phase.eq(Mux(last, 0, phase + 1)), fresh.eq(last)]
        with m.If(go & last):
            m.d.sync += [
                column.eq(Mux(row_ends, 0, column + 1)),
                begun.eq(begun | frame_ends),
                hit.eq((begun | frame_ends) & next_row_hits & next_column_hits),
                padding.eq(next_row_pads | next_column_pads),
            ]
            with m.If(row_ends):
                m.d.sync += row.eq(Mux(frame_ends, 0, row + 1))
        step = Signal()
        m.d.comb += [
            step.eq(go & (phase < digits)),
            self.i.ready.eq(go & (phase == digits - 1) & ~padding),
        ]
        return step, phase, padding

    def _digit_of(self, lane: int, phase, padding):
        """The digit ``phase`` of a channel's pixel."""
        shape = shape_of(self._taps)
        pixel = Mux(padding, Const(self._pad[lane], shape), self.i.payload[lane])
        whole = Cat(pixel, (pixel[-1] if self._taps.signed else Const(0, 1)).replicate(self._digit))
        places = range(max(self._data, 2))
        return whole[: self._data * self._digit].word_select(phase[: Signal(places).shape().width], self._digit)
