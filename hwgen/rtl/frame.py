"""The two ends of a core: AXI4-Stream frames in, AXI4-Stream frames out."""

from __future__ import annotations

from amaranth.hdl import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..interval import Interval
from .stream import pixel_stream

__all__ = ["RESULT_BITS", "Egress", "Ingress", "byte_lanes", "result_shape"]

RESULT_BITS = 32
"""Of a value of ``m_axis_tdata``: an int32."""


def byte_lanes(lanes: int) -> int:
    """Bits of ``s_axis_tdata``: one byte per lane."""
    return 8 * lanes


def result_shape(lanes: int) -> Shape:
    """Shape of ``m_axis_tdata``: an int32, of several lanes their bits."""
    return signed(RESULT_BITS) if lanes == 1 else unsigned(RESULT_BITS * lanes)


class Ingress(wiring.Component):
    """Turns a byte stream with ``tlast`` into frames of exactly ``beats`` words.

    A frame whose ``tlast`` comes early is filled up with zero words, one that goes on too long is cut and the rest
    discarded up to its ``tlast``; either way the layers behind always see whole frames, ``error`` is set for that
    frame, and the next frame starts where it should.

    Latency 0, one beat per cycle.

    Members
    -------
    tdata, tvalid, tready, tlast : AXI4-Stream slave
    o : Out(pixel stream)
    done : Out(1)         the last word of a frame passes ``o`` in this cycle
    error : Out(1)        with ``done``: the frame was short or long
    done_ready : In(1)    ``done`` may happen
    """

    def __init__(self, interval: Interval, lanes: int, beats: int):
        self._lanes = lanes
        self._beats = beats
        super().__init__(
            {
                "tdata": In(byte_lanes(lanes)),
                "tvalid": In(1),
                "tready": Out(1),
                "tlast": In(1),
                "o": Out(pixel_stream(interval, lanes)),
                "done": Out(1),
                "error": Out(1),
                "done_ready": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        index = Signal(range(max(self._beats, 2)))
        final = Signal(init=self._beats == 1)
        filling, discarding = Signal(), Signal()

        width = self.o.payload[0].shape().width
        for lane in range(self._lanes):
            byte = self.tdata[8 * lane : 8 * lane + width]
            m.d.comb += self.o.payload[lane].eq(Mux(filling, 0, byte))
        granted = Signal()  # a word that was offered once stays offered, whatever becomes of the room
        allowed = self.done_ready | granted | ~final
        m.d.comb += [
            self.o.valid.eq((filling | (self.tvalid & ~discarding)) & allowed),
            self.tready.eq(discarding | (~filling & self.o.ready & allowed)),
            self.done.eq(self.o.valid & self.o.ready & final),
            self.error.eq(filling | ~self.tlast),
        ]
        m.d.sync += granted.eq(self.o.valid & final & ~self.o.ready)
        with m.If(self.o.valid & self.o.ready):
            if self._beats > 1:
                m.d.sync += [index.eq(Mux(final, 0, index + 1)), final.eq(~final & (index == self._beats - 2))]
            with m.If(final):
                m.d.sync += [filling.eq(0), discarding.eq(~filling & ~self.tlast)]
            with m.Elif(~filling):
                m.d.sync += filling.eq(self.tlast)
        with m.If(discarding & self.tvalid & self.tlast):
            m.d.sync += discarding.eq(0)
        return m


class Egress(wiring.Component):
    """Sends a stream as beats of an int32 per lane, marks the last of every frame with ``tlast`` and its error flag.

    The lowest lane is in the low bits. A frame is ``beats`` beats. ``flag`` is a stream of one error bit per frame, in
    order; the last beat of a frame waits for it.

    Latency 0, one beat per cycle.

    Members
    -------
    i : In(pixel stream of ``lanes`` lanes)
    flag : In(stream of 1 bit)
    tdata, tvalid, tready, tlast, tuser : AXI4-Stream master; tuser is valid with tlast
    """

    def __init__(self, interval: Interval, lanes: int, beats: int):
        self._lanes = lanes
        self._beats = beats
        super().__init__(
            {
                "i": In(pixel_stream(interval, lanes)),
                "flag": In(stream.Signature(1)),
                "tdata": Out(result_shape(lanes)),
                "tvalid": Out(1),
                "tready": In(1),
                "tlast": Out(1),
                "tuser": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        index = Signal(range(max(self._beats, 2)))
        final = Signal(init=self._beats == 1)
        allowed = self.flag.valid | ~final
        for lane in range(self._lanes):
            m.d.comb += self.tdata[RESULT_BITS * lane : RESULT_BITS * (lane + 1)].eq(self.i.payload[lane])
        m.d.comb += [
            self.tvalid.eq(self.i.valid & allowed),
            self.tlast.eq(final),
            self.tuser.eq(final & self.flag.payload),
            self.i.ready.eq(self.tready & allowed),
            self.flag.ready.eq(final & self.i.valid & self.tready),
        ]
        if self._beats > 1:
            with m.If(self.tvalid & self.tready):
                m.d.sync += [index.eq(Mux(final, 0, index + 1)), final.eq(~final & (index == self._beats - 2))]
        return m
