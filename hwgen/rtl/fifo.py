"""The FIFO on a branch: holds the words of the shorter way until the longer one delivers."""

from __future__ import annotations

from amaranth.hdl import *
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .storage import block_attributes

__all__ = ["BranchFifo"]


class BranchFifo(wiring.Component):
    """A FIFO of exactly ``depth`` words: it refuses a word if and only if it holds so many.

    Exactly, because depths come from a schedule and their proof is that one entry less does not do. The memory's own
    output register is one of the places.

    Latency: ``sizing.pipeline.FIFO_LATENCY`` cycles. Throughput: one word per cycle from a depth of 3.

    Members: ``i``: In(stream of ``shape``), ``o``: Out(stream of ``shape``).
    """

    def __init__(self, shape, depth: int):
        if depth < 1:
            raise ValueError(f"depth must be at least 1, not {depth!r}")
        self._depth = depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        depth, bits = self._depth, Shape.cast(self.i.payload.shape()).width
        # A word is read a cycle or more after it was written, and overwritten only when it has left.
        attributes = block_attributes(bits, depth, rom=False) | {"no_rw_check": 1}
        m.submodules.memory = memory = Memory(shape=bits, depth=depth, init=[], attrs=attributes)
        write, read = memory.write_port(), memory.read_port()
        held = Signal(range(depth + 1))  # all words inside, the one at the output too
        full, stored = Signal(), Signal(range(depth + 1))
        push, pop, fetch = Signal(), Signal(), Signal()
        offered = Signal()
        m.d.comb += [
            self.i.ready.eq(~full),
            push.eq(self.i.valid & ~full),
            pop.eq(offered & self.o.ready),
            fetch.eq((stored != 0) & (~offered | self.o.ready)),
            write.data.eq(Value.cast(self.i.payload)),
            write.en.eq(push),
            read.en.eq(fetch),
            self.o.valid.eq(offered),
            Value.cast(self.o.payload).eq(read.data),
        ]
        m.d.sync += [
            held.eq(held + push - pop),
            full.eq(Mux(push, ~pop & (held == depth - 1), full & ~pop)),
            stored.eq(stored + push - fetch),
            offered.eq(fetch | (offered & ~self.o.ready)),
        ]
        for port, advance in ((write, push), (read, fetch)):
            if depth > 1:
                with m.If(advance):
                    m.d.sync += port.addr.eq(Mux(port.addr == depth - 1, 0, port.addr + 1))
        return m
