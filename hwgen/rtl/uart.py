"""A UART, 8N1: one start bit (low), eight data bits from the low end, one stop bit (high).

Both halves divide the clock by ``divisor`` per bit. The receiver samples in the middle of each bit, timed from the
falling edge of the start bit, so that over the 9.5 bits of a character it stands a baud rate that is off by up to
(0.5 - 1 / divisor) / 9.5, about 5 %, in total.
"""

from __future__ import annotations

from amaranth.hdl import *
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from ..errors import HwgenError

__all__ = ["Receiver", "Transmitter", "baud_divisor"]

_MIN_DIVISOR = 8
"""Below this many clock cycles per bit, "the middle" is too coarse."""


def baud_divisor(clock_hz: float, baud: int) -> int:
    """Clock cycles per bit. :class:`HwgenError` when the clock cannot make ``baud`` to within 2 %."""
    divisor = round(clock_hz / baud) if baud > 0 else 0
    if divisor < _MIN_DIVISOR or abs(clock_hz / divisor / baud - 1) > 0.02:
        raise HwgenError(
            f"baud rate {baud} cannot be made from a clock of {clock_hz / 1e6:g} MHz; "
            f"choose a usual rate up to {int(clock_hz) // _MIN_DIVISOR}, such as 115200"
        )
    return divisor


class Receiver(wiring.Component):
    """Bytes from the line. A byte cannot be refused: ``valid`` is a strobe.

    A start bit that is over before its middle is a glitch and is ignored. After a framing error (stop bit low) the
    line must return to high before the next start bit counts, so that a break is one error.

    Members
    -------
    rx : In(1)      the pin, not synchronised
    data : Out(8)   with ``valid``
    valid : Out(1)  strobe, in the middle of the stop bit
    error : Out(1)  strobe instead of ``valid``: the stop bit was low
    idle : Out(1)   the line is high and no character is being received
    """

    def __init__(self, divisor: int):
        if divisor < _MIN_DIVISOR:
            raise ValueError(f"divisor must be at least {_MIN_DIVISOR}, not {divisor!r}")
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "data": Out(8), "valid": Out(1), "error": Out(1), "idle": Out(1)})

    def elaborate(self, platform):
        m = Module()
        line = Signal(init=1)
        before = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1)
        m.d.sync += before.eq(line)

        busy = Signal()
        timer = Signal(range(self._divisor))
        position = Signal(range(10))  # 0 the start bit, 1..8 the data, 9 the stop bit
        m.d.comb += self.idle.eq(line & ~busy)
        m.d.sync += [self.valid.eq(0), self.error.eq(0)]
        with m.If(~busy):
            m.d.sync += [timer.eq(self._divisor // 2 - 1), position.eq(0), busy.eq(before & ~line)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [timer.eq(self._divisor - 1), position.eq(position + 1)]
            with m.Switch(position):
                with m.Case(0):
                    m.d.sync += busy.eq(~line)
                with m.Case(9):
                    # Ready half a bit early: a sender that is a little fast may already be at its next start bit.
                    m.d.sync += [busy.eq(0), self.valid.eq(line), self.error.eq(~line)]
                with m.Default():
                    m.d.sync += self.data.eq(Cat(self.data[1:], line))
        return m


class Transmitter(wiring.Component):
    """Bytes to the line, one every ten bits.

    Members
    -------
    i : In(stream.Signature(8))
    tx : Out(1)   the pin, from a flip-flop
    """

    def __init__(self, divisor: int):
        if divisor < _MIN_DIVISOR:
            raise ValueError(f"divisor must be at least {_MIN_DIVISOR}, not {divisor!r}")
        self._divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        timer = Signal(range(self._divisor))
        bits = Signal(range(11))  # still to send, the one on the line included
        rest = Signal(9)
        m.d.comb += self.i.ready.eq(bits == 0)
        with m.If(bits == 0), m.If(self.i.valid):
            m.d.sync += [
                self.tx.eq(0),
                rest.eq(Cat(self.i.payload, C(1, 1))),
                bits.eq(10),
                timer.eq(self._divisor - 1),
            ]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            # Behind the last bit ones move in: the line rests high.
            m.d.sync += [
                self.tx.eq(rest[0]),
                rest.eq(Cat(rest[1:], C(1, 1))),
                bits.eq(bits - 1),
                timer.eq(self._divisor - 1),
            ]
        return m
