"""A stand-in for a network's core: the same ports, an answer that depends on every byte, its place and its sign."""

import pytest
from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwgen.rtl.frame import result_shape
from hwgen.rtl.top import InputPort, OutputPort


class ChecksumCore(wiring.Component):
    """Answers each frame with ``output_words`` words, ``output_lanes`` per beat, see :meth:`answer`.

    Between its beats it stalls for ``stall`` cycles, before its answer for ``think`` cycles.
    """

    def __init__(self, lanes, input_beats, output_words, *, output_lanes=1, stall=0, think=0):
        self.lanes, self.input_beats, self.output_words = lanes, input_beats, output_words
        self.inputs = (InputPort("s_axis_", "x", lanes, input_beats),)
        self.outputs = (OutputPort("m_axis_", "y", output_lanes, output_words // output_lanes),)
        self._stall, self._think = stall, think
        super().__init__(
            {
                "s_axis_tdata": In(8 * lanes),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "s_axis_tlast": In(1),
                "m_axis_tdata": Out(result_shape(output_lanes)),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tlast": Out(1),
                "m_axis_tuser": Out(1),
                "frames": Out(32),
            }
        )

    def answer(self, frame):
        """What the core answers to ``frame``, bytes: int32 words."""
        state = 0
        for start in range(0, len(frame), self.lanes):
            state = (state ^ int.from_bytes(frame[start : start + self.lanes], "little")) & 0xFFFFFFFF
            state = (state << 5 | state >> 27) & 0xFFFFFFFF
        words = [(state >> (3 * number)) ^ (0xFFFFFFFF if number % 2 else 0) for number in range(self.output_words)]
        return [word - (1 << 32) if word >> 31 else word for word in words]

    def elaborate(self, platform):
        m = Module()
        state = Signal(32)
        (port,) = self.outputs
        number = Signal(range(port.beats))
        wait = Signal(range(max(self._stall, self._think) + 1))
        answering = Signal()
        words = [((state >> (3 * n)) ^ (0xFFFFFFFF if n % 2 else 0))[:32] for n in range(port.words)]
        beats = [Cat(words[n : n + port.lanes]) for n in range(0, port.words, port.lanes)]
        mixed = (state ^ self.s_axis_tdata)[:32]
        m.d.comb += [
            self.s_axis_tready.eq(~answering & (wait == 0)),
            self.m_axis_tvalid.eq(answering & (wait == 0)),
            self.m_axis_tdata.eq(Array(beats)[number]),
            self.m_axis_tlast.eq(number == port.beats - 1),
        ]
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.If(self.s_axis_tvalid & self.s_axis_tready):
            m.d.sync += [state.eq(mixed.rotate_left(5)), wait.eq(self._stall)]
            with m.If(self.s_axis_tlast):
                m.d.sync += [answering.eq(1), wait.eq(self._think)]
        with m.If(self.m_axis_tvalid & self.m_axis_tready):
            m.d.sync += number.eq(number + 1)
            with m.If(self.m_axis_tlast):
                m.d.sync += [number.eq(0), state.eq(0), answering.eq(0), self.frames.eq(self.frames + 1)]
        return m


@pytest.fixture
def checksum_core():
    """The class of the stand-in core."""
    return ChecksumCore
