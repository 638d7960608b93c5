"""What surrounds a core on a board: bytes from a serial line in, answers out.

The protocol (8N1, 115200 baud unless chosen otherwise):

* host to board: the raw bytes of one frame, ``core.lanes * core.input_beats`` of them, channel-last, nothing else;
* board to host: ``core.output_words`` signed 32-bit integers, low byte first.

A host that waits for the answer before it sends the next frame is always safe. It may send ahead as long as the frame
buffer has room (see ``frame.py``). There are no commands and no checksums: a host resynchronises by a pause. When the
line rests for longer than ``timeout_s`` inside a frame, the frame is dropped and not answered. After a framing error
or an overrun, the frame is dropped and everything ignored until such a pause, because where the next frame would begin
is not known. Frames that were complete before are answered all the same.

The default pause of 50 ms is longer than a busy host's gaps between two writes to a USB serial port, which are a few
milliseconds, and is only ever waited for after an error.
"""

from __future__ import annotations

from amaranth.hdl import *
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from hwgen.rtl.uart import Receiver, Transmitter, baud_divisor

from .frame import FrameBuffer

__all__ = ["TIMEOUT_S", "BoardDesign", "BoardTop"]

TIMEOUT_S = 0.05
"""Seconds of rest after which a frame that is not complete is dropped."""


class BoardTop(wiring.Component):
    """A core with its serial port, as plain pins.

    core: a component with AXI4-Stream ports ``s_axis_*`` (bytes in, ``lanes`` per beat, low byte first) and
    ``m_axis_*`` (one 32-bit word per beat), and attributes ``lanes``, ``input_beats``, ``output_words``.

    Members
    -------
    rx : In(1)       the pin, not synchronised
    tx : Out(1)
    active : Out(1)  from the first byte of a frame to the last byte of its answer, for a lamp
    error : Out(1)   the last frame was dropped; cleared by the next complete one
    """

    def __init__(self, core, *, clock_hz: float, baud: int = 115200, timeout_s: float = TIMEOUT_S):
        self._core = core
        self._divisor = baud_divisor(clock_hz, baud)
        self._timeout = round(timeout_s * clock_hz)
        if self._timeout < 20 * self._divisor:
            raise ValueError(f"timeout_s must be at least two characters, not {timeout_s!r}")
        super().__init__({"rx": In(1, init=1), "tx": Out(1), "active": Out(1), "error": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = self._core
        m.submodules.receiver = receiver = Receiver(self._divisor)
        m.submodules.frames = frames = FrameBuffer(self._core.lanes * self._core.input_beats)
        m.submodules.transmitter = transmitter = Transmitter(self._divisor)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx), frames.data.eq(receiver.data)]

        skipping = Signal()  # until the line pauses
        rest = Signal(range(self._timeout + 1))
        pause = Signal()
        failure = Signal()
        m.d.comb += [
            pause.eq(rest == self._timeout),
            failure.eq((receiver.error & ~skipping) | frames.overrun),
            frames.push.eq(receiver.valid & ~skipping),
            frames.drop.eq(failure | (pause & frames.partial)),
        ]
        with m.If(~receiver.idle | receiver.valid):
            m.d.sync += rest.eq(0)
        with m.Elif(~pause):
            m.d.sync += rest.eq(rest + 1)
        with m.If(failure):
            m.d.sync += skipping.eq(1)
        with m.Elif(pause):
            m.d.sync += skipping.eq(0)

        self._feed(m, frames.o)
        answered = self._answer(m, transmitter.i)

        with m.If(frames.drop):
            m.d.sync += [self.active.eq(0), self.error.eq(1)]
        with m.Elif(frames.push):
            m.d.sync += self.active.eq(1)
            with m.If(frames.complete):
                m.d.sync += self.error.eq(0)
        with m.Elif(answered):
            m.d.sync += self.active.eq(0)
        return m

    def _feed(self, m, octets):
        """Bytes into beats, low byte first, and ``tlast`` by counting."""
        core = self._core
        beat = Signal(8 * core.lanes)
        lane = Signal(range(core.lanes))
        index = Signal(range(core.input_beats))
        last = Signal()
        valid = Signal()
        m.d.comb += [
            octets.ready.eq(~valid),
            last.eq(index == core.input_beats - 1),
            core.s_axis_tdata.eq(beat),
            core.s_axis_tvalid.eq(valid),
            core.s_axis_tlast.eq(last),
        ]
        with m.If(valid & core.s_axis_tready):
            m.d.sync += [valid.eq(0), index.eq(Mux(last, 0, index + 1))]
        with m.If(octets.valid & octets.ready):
            m.d.sync += [beat.eq(Cat(beat, octets.payload)[8:]), lane.eq(lane + 1)]
            with m.If(lane == core.lanes - 1):
                m.d.sync += [lane.eq(0), valid.eq(1)]

    def _answer(self, m, octets):
        """Words into bytes, low byte first; the result is a strobe with the last byte of a frame."""
        core = self._core
        word = Signal(32)
        left = Signal(range(5))
        last = Signal()
        m.d.comb += [
            core.m_axis_tready.eq(left == 0),
            octets.valid.eq(left != 0),
            octets.payload.eq(word[:8]),
        ]
        with m.If(core.m_axis_tvalid & core.m_axis_tready):
            m.d.sync += [word.eq(core.m_axis_tdata), last.eq(core.m_axis_tlast), left.eq(4)]
        with m.If(octets.valid & octets.ready):
            m.d.sync += [word.eq(word >> 8), left.eq(left - 1)]
        return last & octets.valid & octets.ready & (left == 1)


class BoardDesign(Elaboratable):
    """:class:`BoardTop` on the pins of an amaranth-boards platform: ``uart`` 0, and ``led`` 0 and 1 as lamps."""

    def __init__(self, top: BoardTop):
        self._top = top

    def elaborate(self, platform):
        m = Module()
        m.submodules.board = top = self._top
        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx_buffer = rx = io.Buffer("i", uart.rx)
        m.submodules.tx_buffer = tx = io.Buffer("o", uart.tx)
        m.d.comb += [top.rx.eq(rx.i), tx.o.eq(top.tx)]
        for number, source in enumerate((top.active, top.error)):
            m.submodules[f"led_buffer{number}"] = led = io.Buffer("o", platform.request("led", number, dir="-"))
            m.d.comb += led.o.eq(source)
        return m
