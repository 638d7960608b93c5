"""From a row of accumulators to a stream: capture, serialise, requantize, queue."""

from __future__ import annotations

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..interval import Interval
from ..sizing.pipeline import queue_depth
from .queue import Queue
from .requant import Requantizer
from .stream import lanes_of, pipeline_signal, pixel_stream

__all__ = ["Results"]


class Results(wiring.Component):
    """Takes ``rows`` accumulators at once and streams them out, ``lanes`` at a time.

    ``room``/``claim`` go to the feeder: a reduction may end only when its results have a place in the queue, and not
    before the previous ones have left the shift register (``rows / lanes`` cycles).

    Throughput: one result word per cycle, one row of accumulators per ``rows / lanes`` cycles.
    Latency: 1 (0 with ``rows == lanes``) + 7 (0 without requantizer) + 2 cycles to the first word.

    Parameters
    ----------
    acc : Interval
    rows, lanes : int
        ``lanes`` divides ``rows``.
    requantizer : Requantizer or None
        None passes the accumulators on as they are (a maximum).
    period : int
        Least cycles between two rows of accumulators, and ``latency``, cycles from ``claim`` to ``push``: they size
        the queue so that it never limits the rate.

    Members
    -------
    room : Out(1), claim : In(1)
    push : In(1), accs : In(rows lanes of acc)
    o : Out(pixel stream)
    depth : int      words of queue
    """

    def __init__(
        self, acc: Interval, rows: int, lanes: int, requantizer: Requantizer | None, *, period: int, latency: int
    ):
        if rows % lanes:
            raise ValueError(f"lanes must divide the {rows} rows, not {lanes!r}")
        self._acc = acc
        self._rows = rows
        self._lanes = lanes
        self._requantizer = requantizer
        self.interval = requantizer.interval if requantizer else acc
        self._words = rows // lanes
        latency += (self._words > 1) + (Requantizer.LATENCY if requantizer else 0)
        self.depth = queue_depth(self._words, max(period, self._words), latency)
        super().__init__(
            {
                "room": Out(1),
                "claim": In(1),
                "push": In(1),
                "accs": In(lanes_of(acc, rows)),
                "o": Out(pixel_stream(self.interval, lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = Queue(self.o.payload.shape(), words=self._words, depth=self.depth)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        m.d.comb += queue.claim.eq(self.claim)

        if self._words == 1:
            m.d.comb += self.room.eq(queue.room)
            valid, word = self.push, Value.cast(self.accs)
        else:
            pace = Signal(range(self._words))  # cycles until the shift register may be loaded again
            m.d.comb += self.room.eq(queue.room & (pace == 0))
            with m.If(self.claim):
                m.d.sync += pace.eq(self._words - 1)
            with m.Elif(pace != 0):
                m.d.sync += pace.eq(pace - 1)
            valid, word = self._serialise(m)

        if self._requantizer is None:
            m.d.comb += [queue.push.eq(valid), Value.cast(queue.data).eq(word)]
        else:
            m.submodules.requant = requant = self._requantizer
            m.d.comb += [requant.valid.eq(valid), queue.push.eq(requant.o_valid), queue.data.eq(requant.o)]
            for lane, acc in enumerate(self._split(word)):
                m.d.comb += requant.acc[lane].eq(acc)
        return m

    def _serialise(self, m):
        """A shift register that is loaded in parallel and emptied ``lanes`` at a time."""
        width = self._lanes * self._acc.bits
        held = pipeline_signal(self._rows * self._acc.bits, name="held")
        left = Signal(range(self._words + 1))
        with m.If(self.push):
            m.d.sync += [held.eq(Value.cast(self.accs)), left.eq(self._words)]
        with m.Else():
            m.d.sync += held.eq(held >> width)
            with m.If(left != 0):
                m.d.sync += left.eq(left - 1)
        return left != 0, held[:width]

    def _split(self, word):
        for lane in range(self._lanes):
            acc = word[lane * self._acc.bits : (lane + 1) * self._acc.bits]
            yield acc.as_signed() if self._acc.signed else acc
