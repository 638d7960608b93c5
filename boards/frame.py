"""A frame buffer for bytes that cannot be refused: only complete, undamaged frames come out."""

from __future__ import annotations

from amaranth.hdl import *
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["FrameBuffer", "buffer_depth"]

_BLOCK_BYTES = 512
"""The smallest block RAM among the boards (iCE40, 4 kbit): asking for less saves nothing."""


def buffer_depth(frame_bytes: int) -> int:
    """Bytes of memory for one frame: a power of two, for pointers that wrap by themselves, and a whole block RAM."""
    return max(_BLOCK_BYTES, 1 << (frame_bytes - 1).bit_length())


class FrameBuffer(wiring.Component):
    """Stores bytes and hands a frame on once its last byte is there; until then the frame can be dropped.

    A whole frame is stored, so that a line error never reaches the consumer, and so that a consumer that is slower
    than the line still gets every frame whose sender waits for the answer before it sends the next one. What a sender
    may send ahead is what the depth leaves.

    Throughput: a byte per cycle in, a byte every two cycles out.

    Members
    -------
    push : In(1)          strobe: ``data`` is the next byte of the frame
    data : In(8)
    drop : In(1)          strobe: forget the frame that is not complete
    partial : Out(1)      a frame has begun and is not complete
    complete : Out(1)     strobe: with this ``push`` the frame is complete
    overrun : Out(1)      strobe: there is no room for this ``push``; the byte is lost and the frame must be dropped
    o : Out(stream of 8 bits)
    """

    def __init__(self, frame_bytes: int):
        if frame_bytes < 1:
            raise ValueError(f"frame_bytes must be positive, not {frame_bytes!r}")
        self._frame_bytes = frame_bytes
        self.depth = buffer_depth(frame_bytes)
        super().__init__(
            {
                "push": In(1),
                "data": In(8),
                "drop": In(1),
                "partial": Out(1),
                "complete": Out(1),
                "overrun": Out(1),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = Memory(shape=8, depth=self.depth, init=[])
        write_port = store.write_port()
        read_port = store.read_port()

        # One bit more than an address, to tell full from empty. first: of the frame that is not complete.
        write, first, read = (Signal(range(2 * self.depth), name=name) for name in ("write", "first", "read"))
        position = Signal(range(self._frame_bytes))
        full = Signal()
        last = Signal()
        m.d.comb += [
            full.eq(write == (read ^ self.depth)),
            last.eq(position == self._frame_bytes - 1),
            self.partial.eq(position != 0),
            self.overrun.eq(self.push & full),
            self.complete.eq(self.push & ~full & last),
            write_port.addr.eq(write),
            write_port.data.eq(self.data),
            write_port.en.eq(self.push & ~full),
        ]
        with m.If(self.drop):
            m.d.sync += [write.eq(first), position.eq(0)]
        with m.Elif(self.push & ~full):
            m.d.sync += [write.eq(write + 1), position.eq(position + 1)]
            with m.If(last):
                m.d.sync += [first.eq(write + 1), position.eq(0)]

        # The memory answers a cycle after the address: fetch, then hold the byte until it is taken.
        held = Signal()
        m.d.comb += [
            read_port.addr.eq(read),
            read_port.en.eq(~held),
            self.o.payload.eq(read_port.data),
            self.o.valid.eq(held),
        ]
        with m.If(~held):
            m.d.sync += held.eq(read != first)
        with m.Elif(self.o.ready):
            m.d.sync += [held.eq(0), read.eq(read + 1)]
        return m
