"""The line buffer: a pixel stream in, the words of every window out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..interval import Interval
from ..sizing.geometry import Geometry
from ..sizing.line_buffer import ahead, buffer_words, overhang, touching
from .odometer import Odometer
from .storage import block_attributes
from .stream import beat_signature, pipeline_signal, pixel_stream

__all__ = ["Window"]


@dataclass(frozen=True)
class _Loop:
    """One loop of the nest: iterations, and how far one iteration moves in words, rows and columns."""

    size: int
    word: int = 0
    row: int = 0
    column: int = 0


# The nest: words of a reduction's pixel, kernel columns and rows; repetitions and turns; output columns and rows.
WORD, TURN = 0, 4
REDUCTION, WINDOW = 3, 5  # loops in a reduction, and in a window


class Window(wiring.Component):
    """Stores the last rows of a map in a circular buffer and reads every window back, one word per beat.

    Addresses are word counts since reset, modulo a power of two, so frames follow each other without a gap and the
    next frame is written while the last windows of this one are read. Nothing moves but the read address: one adder
    whose second operand is a constant chosen by which loop of the nest advances. A tap outside the map reads nothing
    and yields ``pad`` instead.

    Throughput: one beat per cycle, without a gap between pixels, rows or frames, as long as the words have arrived
    and ``room`` is set. Latency: 2 cycles from a word's availability to its beat.

    Parameters
    ----------
    interval : Interval
        Values of the input.
    geometry : Geometry
    simd : int
        Channels per word; divides the channels.
    repeat : int
        How often each set of words is read before the next set has its turn (groups of output channels that need the
        same input channels).
    pad : sequence of int, one per channel
        What a tap outside the map yields.

    Members
    -------
    i : In(pixel stream)
    room : In(1)     the result of one more reduction has a place
    claim : Out(1)   the last beat of a reduction is being issued
    o : Out(beats)
    depth : int      words of buffer
    """

    def __init__(
        self, interval: Interval, geometry: Geometry, simd: int, *, repeat: int = 1, pad: Sequence[int] | None = None
    ):
        channels = geometry.shape[2]
        self._geometry = geometry
        self._simd = simd
        self._words = geometry.words_per_pixel(simd)
        self._turns = geometry.turns(simd)
        self.depth = buffer_words(geometry, simd)
        self._repeat = repeat
        self._pad = [0] * channels if pad is None else [int(value) for value in pad]
        if len(self._pad) != channels:
            raise ValueError(f"pad must be one value for each of {channels} channels, not {len(self._pad)}")
        self.interval = interval | Interval.hull(self._pad) if any(geometry.pads) else interval
        super().__init__(
            {
                "i": In(pixel_stream(interval, simd)),
                "room": In(1),
                "claim": Out(1),
                "o": Out(beat_signature(self.interval, simd)),
            }
        )

    def _loops(self) -> list[_Loop]:
        """The nest, innermost first."""
        geometry, words = self._geometry, self._words
        width = geometry.shape[1]
        rows, columns = geometry.output
        (down, right), (stride_down, stride_right) = geometry.dilation, geometry.stride
        return [
            _Loop(words // self._turns, 1),
            _Loop(geometry.kernel[1], right * words, column=right),
            _Loop(geometry.kernel[0], down * width * words, row=down),
            _Loop(self._repeat),
            _Loop(self._turns, words // self._turns),
            _Loop(columns, stride_right * words, column=stride_right),
            _Loop(rows, stride_down * width * words, row=stride_down),
        ]

    def elaborate(self, platform):
        m = Module()
        geometry = self._geometry
        height, width, _ = geometry.shape
        top, left, _, _ = geometry.pads
        loops = self._loops()
        frame = height * width * self._words
        start = -(top * width + left) * self._words

        def moves(unit: str, from_loop: int, frame_move: int) -> list[int]:
            """How far ``unit`` moves when loop ``from_loop``, the next one, ... or the frame advances."""
            result, wound = [], 0
            for loop in loops[from_loop:]:
                result.append(getattr(loop, unit) - wound)
                wound += getattr(loop, unit) * (loop.size - 1)
            return [*result, frame_move - wound]

        word_moves = moves("word", 0, frame)
        base_moves = moves("word", WINDOW, frame)
        # Differences of two addresses must keep their sign. The writer is ahead by the buffer and, after ``base`` went
        # back, by that; the reader may jump over unused pixels and runs on through padding.
        reach = max(self.depth - min(0, *base_moves), ahead(geometry) * self._words)
        bits = reach.bit_length() + 1

        m.submodules.odometer = odometer = Odometer([loop.size for loop in loops])
        carry = odometer.carry
        step = Signal()
        m.d.comb += odometer.step.eq(step)

        def moved(register, all_moves: list[int], from_loop: int):
            """``register`` plus the move of the outermost loop that advances; does not depend on ``step``."""
            move = Signal(signed(len(register) + 1), name=f"{register.name}_move")
            m.d.comb += move.eq(all_moves[0])
            for offset, value in enumerate(all_moves[1:]):
                with m.If(carry[from_loop + offset]):
                    m.d.comb += move.eq(value)
            return register + move

        # Writing: the circular buffer may not overtake ``base``, the first word of the present window, nor what lies
        # before it and is still needed.
        written = Signal(bits)
        base = Signal(bits, init=start % (1 << bits))
        free = Signal()
        used = (written - base)[:bits].as_signed()
        m.d.sync += free.eq(
            used < self.depth - 1 - overhang(geometry) * self._words
        )  # one early, as it is a cycle late
        m.d.comb += self.i.ready.eq(free)
        m.submodules.memory = memory = Memory(
            shape=self.i.payload.shape(),
            depth=self.depth,
            init=[],
            attrs=block_attributes(self.i.payload.shape().size, self.depth, rom=False),
        )
        write = memory.write_port()
        m.d.comb += [write.addr.eq(written), write.data.eq(self.i.payload), write.en.eq(self.i.valid & free)]
        with m.If(self.i.valid & free):
            m.d.sync += written.eq(written + 1)

        # Reading.
        address = Signal(bits, init=start % (1 << bits))
        arrived = (written - address)[:bits].as_signed() > 0
        outside = self._outside(m, step, moves, moved) if any(geometry.pads) else Const(0)
        ends = carry[REDUCTION - 1]
        begun: Value = Const(1)
        if not all(part[0] for part in touching(geometry)):
            # The first window has no tap in the map and would wait for nothing: no result before its frame has begun.
            first_window = Signal(init=1)
            begun = ~first_window | (used > -start)
            with m.If(step & carry[WINDOW - 1]):
                m.d.sync += first_window.eq(carry[-1])
        m.d.comb += step.eq((arrived | outside) & begun & (self.room | ~ends))
        m.d.comb += self.claim.eq(step & ends)
        begins = Signal(init=1)
        next_address, next_base = moved(address, word_moves, 0), moved(base, base_moves, WINDOW)
        with m.If(step):
            m.d.sync += [address.eq(next_address), begins.eq(ends)]
        with m.If(step & carry[WINDOW - 1]):
            m.d.sync += base.eq(next_base)

        read = memory.read_port()
        m.d.comb += read.addr.eq(address)
        valid, first, last, padded = Signal(), Signal(), Signal(), Signal()
        word_bits, turn_bits = ((loops[level].size - 1).bit_length() for level in (WORD, TURN))
        place = Signal(word_bits + turn_bits)  # of the word in its pixel
        m.d.sync += [valid.eq(step), first.eq(begins), last.eq(ends), padded.eq(outside)]
        m.d.sync += place.eq(Cat(odometer.index[WORD][:word_bits], odometer.index[TURN][:turn_bits]))
        m.d.sync += [self.o.valid.eq(valid), self.o.first.eq(first), self.o.last.eq(last)]
        for lane in range(self._simd):
            word = pipeline_signal(self.o.data[lane].shape(), name=f"word{lane}")
            m.d.sync += word.eq(Mux(padded, self._pad_value(lane, place), read.data[lane]))
            m.d.comb += self.o.data[lane].eq(word)
        return m

    def _outside(self, m, step, moves, moved):
        """Whether the present tap lies outside the map."""
        height, width, _ = self._geometry.shape
        top, left, bottom, right = self._geometry.pads
        row = Signal(range(-top, height + bottom + 1), init=-top)
        column = Signal(range(-left, width + right + 1), init=-left)
        next_row, next_column = moved(row, moves("row", 0, 0), 0), moved(column, moves("column", 0, 0), 0)
        with m.If(step):
            m.d.sync += [row.eq(next_row), column.eq(next_column)]
        return (row < 0) | (row >= height) | (column < 0) | (column >= width)

    def _pad_value(self, lane: int, place):
        """The padding of one lane, ``place`` being the word and above it the turn: a constant where all words agree."""
        values = self._pad[lane :: self._simd]
        shape = self.o.data[lane].shape()
        if len(set(values)) == 1:
            return Const(values[0], shape)
        words = self._words // self._turns
        unused = values[-1:] * ((1 << (words - 1).bit_length()) - words)
        turns = [values[start : start + words] + unused for start in range(0, len(values), words)]
        return Array(Const(value, shape) for turn in turns for value in turn)[place]
