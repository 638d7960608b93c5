"""The elastic end of a pipeline that cannot stall."""

from __future__ import annotations

from amaranth.hdl import *
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from ..sizing.pipeline import queue_depth

__all__ = ["Queue", "result_queue"]


class Queue(wiring.Component):
    """A FIFO whose room is claimed before the data is made.

    Every datapath here is a fixed-latency pipeline without back-pressure: no clock enable fans out over it, which is
    what limits the clock of a wide array. The feeder may issue the last beat of a reduction only while ``room`` is
    set, and pulses ``claim`` when it does; the ``words`` words of the result then arrive on ``push`` later, and the
    FIFO cannot overflow.

    Latency: 2 cycles from ``push`` to ``o``. Throughput: one word per cycle.

    Parameters
    ----------
    shape
        Shape of a word.
    words
        Words per claim.
    depth
        Words of storage, at least ``words`` and 3: the FIFO inside keeps one word in its output register, and with a
        single place behind it would refuse a second word while the first moves there.

    Members
    -------
    room : Out(1)        ``words`` more words fit
    claim : In(1)        those words are taken from the room
    push : In(1)         ``data`` is stored
    data : In(shape)
    o : Out(stream.Signature(shape))
    """

    def __init__(self, shape, *, words: int, depth: int):
        if not 1 <= words <= depth or depth < 3:
            raise ValueError(f"depth must be at least 3 and words ({words}), not {depth!r}")
        self._words = words
        self._depth = depth
        super().__init__(
            {"room": Out(1), "claim": In(1), "push": In(1), "data": In(shape), "o": Out(stream.Signature(shape))}
        )

    def elaborate(self, platform):
        m = Module()
        width = Shape.cast(self.data.shape()).width
        m.submodules.fifo = store = fifo.SyncFIFOBuffered(width=width, depth=self._depth)
        m.d.comb += [store.w_data.eq(Value.cast(self.data)), store.w_en.eq(self.push)]
        m.d.comb += [self.o.valid.eq(store.r_rdy), Value.cast(self.o.payload).eq(store.r_data)]
        m.d.comb += store.r_en.eq(self.o.ready)

        free = Signal(range(self._depth + 1), init=self._depth)
        popped = Signal()
        m.d.comb += popped.eq(self.o.valid & self.o.ready)
        m.d.sync += free.eq(free + popped - Mux(self.claim, self._words, 0))
        m.d.comb += self.room.eq(free >= self._words)
        return m


def result_queue(m: Module, o, latency: int) -> Queue:
    """A :class:`Queue`, as submodule ``queue`` in front of ``o``, for a pipeline of ``latency`` cycles.

    The pipeline makes at most one word per cycle; the queue is deep enough never to limit that.
    """
    m.submodules.queue = queue = Queue(
        o.payload.shape(), words=1, depth=queue_depth(words=1, period=1, latency=latency)
    )
    wiring.connect(m, queue.o, o)
    return queue
