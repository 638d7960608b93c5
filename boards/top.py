"""What surrounds a core on a board: bytes from a serial line in, answers out.

The protocol (8N1, 115200 baud unless chosen otherwise):

* host to board: the raw bytes of one frame, channel-last, nothing else; of several inputs one after the other;
* board to host: the results as signed 32-bit integers, low byte first; of several outputs one after the other.

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
from amaranth.lib import io, stream, wiring
from amaranth.lib.wiring import In, Out

from hwgen.interval import Interval
from hwgen.rtl.fifo import BranchFifo
from hwgen.rtl.frame import RESULT_BITS
from hwgen.rtl.uart import Receiver, Transmitter, baud_divisor
from hwgen.rtl.width import Narrow

from .frame import FrameBuffer

__all__ = ["TIMEOUT_S", "BoardDesign", "BoardTop"]

TIMEOUT_S = 0.05
"""Seconds of rest after which a frame that is not complete is dropped."""


class BoardTop(wiring.Component):
    """A core with its serial port, as plain pins.

    core: a component with an AXI4-Stream slave for each of ``core.inputs`` (low byte first) and a master for each of
    ``core.outputs`` (low word first), see ``rtl.top.InputPort`` and ``OutputPort``. The line is one, the core takes
    all its inputs at once and makes all its outputs at once: every input but the last and every output but the first
    has a FIFO of a whole frame.

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
        m.submodules.frames = frames = FrameBuffer(sum(i.lanes * i.beats for i in self._core.inputs))
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

    def _axis(self, port):
        return {name: getattr(self._core, port.prefix + name) for name in ("tdata", "tvalid", "tready", "tlast")}

    def _feed(self, m, octets):
        """Bytes to the inputs, a frame of each in turn."""
        ports = self._core.inputs
        if len(ports) == 1:
            self._beats(m, octets, ports[0])
            return
        turn = Signal(range(len(ports)))
        count = Signal(range(max(port.lanes * port.beats for port in ports)))
        parts = [stream.Signature(8).create(path=(f"input{number}",)) for number in range(len(ports))]
        with m.Switch(turn):
            for number, (part, port) in enumerate(zip(parts, ports, strict=True)):
                with m.Case(number):
                    m.d.comb += [part.valid.eq(octets.valid), octets.ready.eq(part.ready)]
                    with m.If(part.valid & part.ready):
                        m.d.sync += count.eq(count + 1)
                        with m.If(count == port.lanes * port.beats - 1):
                            m.d.sync += [count.eq(0), turn.eq((number + 1) % len(ports))]
        for number, (part, port) in enumerate(zip(parts, ports, strict=True)):
            m.d.comb += part.payload.eq(octets.payload)
            if number < len(ports) - 1:
                m.submodules[f"input{number}"] = waiting = BranchFifo(8, port.lanes * port.beats)
                wiring.connect(m, part, waiting.i)
                part = waiting.o
            self._beats(m, part, port)

    def _beats(self, m, octets, port):
        """Bytes into beats of one input, low byte first, and ``tlast`` by counting."""
        axis = self._axis(port)
        beat = Signal(8 * port.lanes)
        lane = Signal(range(port.lanes))
        index = Signal(range(port.beats))
        last = Signal()
        valid = Signal()
        m.d.comb += [
            octets.ready.eq(~valid),
            last.eq(index == port.beats - 1),
            axis["tdata"].eq(beat),
            axis["tvalid"].eq(valid),
            axis["tlast"].eq(last),
        ]
        with m.If(valid & axis["tready"]):
            m.d.sync += [valid.eq(0), index.eq(Mux(last, 0, index + 1))]
        with m.If(octets.valid & octets.ready):
            m.d.sync += [beat.eq(Cat(beat, octets.payload)[8:]), lane.eq(lane + 1)]
            with m.If(lane == port.lanes - 1):
                m.d.sync += [lane.eq(0), valid.eq(1)]

    def _words(self, m, port, part):
        """Beats of one output into words, low word first, each with whether it is the last of its frame."""
        axis = self._axis(port)
        if port.lanes == 1:
            m.d.comb += [
                part.valid.eq(axis["tvalid"]),
                part.payload.eq(Cat(axis["tdata"], axis["tlast"])),
                axis["tready"].eq(part.ready),
            ]
            return
        word = Interval.of_bits(RESULT_BITS, signed=False)
        m.submodules[f"{port.prefix}narrow"] = narrow = Narrow(word, 1, port.lanes)
        index = Signal(range(port.words), name=f"{port.prefix}index")
        last = Signal(name=f"{port.prefix}last")
        m.d.comb += [
            Value.cast(narrow.i.payload).eq(axis["tdata"]),
            narrow.i.valid.eq(axis["tvalid"]),
            axis["tready"].eq(narrow.i.ready),
            last.eq(index == port.words - 1),
            part.valid.eq(narrow.o.valid),
            part.payload.eq(Cat(Value.cast(narrow.o.payload), last)),
            narrow.o.ready.eq(part.ready),
        ]
        with m.If(part.valid & part.ready):
            m.d.sync += index.eq(Mux(last, 0, index + 1))

    def _results(self, m):
        """The words of all outputs, a frame of each in turn: valid, ready, data, and last of the last output's."""
        ports = self._core.outputs
        valid, ready, data, last = Signal(), Signal(), Signal(32), Signal()
        parts = []
        for number, port in enumerate(ports):
            part = stream.Signature(33).create(path=(f"output{number}",))
            self._words(m, port, part)
            if number:
                m.submodules[f"output{number}"] = waiting = BranchFifo(33, port.words)
                wiring.connect(m, part, waiting.i)
                part = waiting.o
            parts.append(part)
        turn = Signal(range(len(ports)))
        with m.Switch(turn):
            for number, part in enumerate(parts):
                with m.Case(number):
                    m.d.comb += [valid.eq(part.valid), part.ready.eq(ready), data.eq(part.payload[:32])]
                    m.d.comb += last.eq(part.payload[32] if number == len(ports) - 1 else 0)
                    with m.If(valid & ready & part.payload[32]):
                        m.d.sync += turn.eq((number + 1) % len(ports))
        return valid, ready, data, last

    def _answer(self, m, octets):
        """Words into bytes, low byte first; the result is a strobe with the last byte of a frame."""
        valid, ready, data, ends = self._results(m)
        word = Signal(32)
        left = Signal(range(5))
        last = Signal()
        m.d.comb += [
            ready.eq(left == 0),
            octets.valid.eq(left != 0),
            octets.payload.eq(word[:8]),
        ]
        with m.If(valid & ready):
            m.d.sync += [word.eq(data), last.eq(ends), left.eq(4)]
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
