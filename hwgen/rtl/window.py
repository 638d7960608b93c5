"""The line buffer: a pixel stream in, the words of every window out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from math import prod
from operator import and_

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..interval import Interval
from ..sizing.geometry import Geometry
from ..sizing.line_buffer import ahead, awaited, buffer_words, overhang, touching
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
    """Stores the last rows of a map in a circular buffer and reads every window back, a word or more per beat.

    Addresses are word counts since reset, modulo a power of two, so frames follow each other without a gap and the
    next frame is written while the last windows of this one are read. Nothing moves but the read address: one adder
    whose second operand is a constant chosen by which loop of the nest advances. A tap outside the map reads nothing
    and yields ``pad`` instead.

    Of an unrolled kernel every tap of a block has a copy of the buffer and an address of its own. The copies are
    written together, and the addresses move together, always as far apart as the taps.

    Throughput: one beat per cycle, without a gap between pixels, rows or frames, as long as the words have arrived
    and ``room`` is set. Latency: 4 cycles from a word's availability to its beat.

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
    unroll : (int, int)
        Kernel rows and columns per beat, each a divisor of the kernel's; lanes as ``Folding.unroll`` says.

    Members
    -------
    i : In(pixel stream)
    room : In(1)     the result of one more reduction has a place
    claim : Out(1)   the last beat of a reduction is being issued
    o : Out(beats)
    depth : int      words of buffer
    """

    def __init__(
        self,
        interval: Interval,
        geometry: Geometry,
        simd: int,
        *,
        repeat: int = 1,
        pad: Sequence[int] | None = None,
        unroll: tuple[int, int] = (1, 1),
    ):
        channels = geometry.shape[2]
        self._geometry = geometry
        self._simd = simd
        self._words = geometry.words_per_pixel(simd)
        self._turns = geometry.turns(simd)
        self.depth = buffer_words(geometry, simd)
        self._repeat = repeat
        self._unroll = unroll
        self._block = list(product(*map(range, unroll)))  # the taps of a beat: row and column
        self._pad = [0] * channels if pad is None else [int(value) for value in pad]
        if len(self._pad) != channels:
            raise ValueError(f"pad must be one value for each of {channels} channels, not {len(self._pad)}")
        if any(taps % block for taps, block in zip(geometry.kernel, unroll, strict=True)):
            raise ValueError(f"unroll must divide the kernel of {geometry.kernel} taps, not {unroll}")
        self.interval = interval | Interval.hull(self._pad) if any(geometry.pads) else interval
        super().__init__(
            {
                "i": In(pixel_stream(interval, simd)),
                "room": In(1),
                "claim": Out(1),
                "o": Out(beat_signature(self.interval, prod(unroll) * simd)),
            }
        )

    def _loops(self) -> list[_Loop]:
        """The nest, innermost first."""
        geometry, words = self._geometry, self._words
        width = geometry.shape[1]
        rows, columns = geometry.output
        (block_rows, block_columns), (stride_down, stride_right) = self._unroll, geometry.stride
        down, right = geometry.dilation[0] * block_rows, geometry.dilation[1] * block_columns
        return [
            _Loop(words // self._turns, 1),
            _Loop(geometry.kernel[1] // block_columns, right * words, column=right),
            _Loop(geometry.kernel[0] // block_rows, down * width * words, row=down),
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

        def move_of(register, all_moves: list[int], from_loop: int):
            """How far ``register`` moves: with the outermost loop that advances; does not depend on ``step``."""
            move = Signal(signed(len(register) + 1), name=f"{register.name}_move")
            m.d.comb += move.eq(all_moves[0])
            for offset, value in enumerate(all_moves[1:]):
                with m.If(carry[from_loop + offset]):
                    m.d.comb += move.eq(value)
            return move

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
        memories = []
        # A word that is used has arrived before and is not overwritten yet. Left to keep what a read of a word just
        # being written would give, Yosys puts a multiplexer behind every bit of every block RAM.
        attributes = block_attributes(self.i.payload.shape().size, self.depth, rom=False) | {"no_rw_check": 1}
        for tap in range(len(self._block)):
            memory = Memory(shape=self.i.payload.shape(), depth=self.depth, init=[], attrs=attributes)
            m.submodules[_numbered("memory", tap)] = memory
            memories.append(memory)
            write = memory.write_port()
            m.d.comb += [write.addr.eq(written), write.data.eq(self.i.payload), write.en.eq(self.i.valid & free)]
        with m.If(self.i.valid & free):
            m.d.sync += written.eq(written + 1)

        # Reading.
        offsets = [
            (row * geometry.dilation[0] * width + column * geometry.dilation[1]) * self._words
            for row, column in self._block
        ]
        addresses = [
            Signal(bits, init=(start + offset) % (1 << bits), name=_numbered("address", tap))
            for tap, offset in enumerate(offsets)
        ]
        outside = self._outside(m, step, moves, move_of) if any(geometry.pads) else [Const(0)] * len(self._block)
        ends, leaves = carry[REDUCTION - 1], carry[WINDOW - 1]
        begins, first_window = Signal(init=1), Signal(init=1)
        move = move_of(addresses[0], word_moves, 0)
        with m.If(step):
            m.d.sync += [*(address.eq(address + move) for address in addresses), begins.eq(ends)]
            with m.If(leaves):
                m.d.sync += first_window.eq(carry[-1])

        # The beat that is issued next waits in registers, so that what depends on the comparison of its addresses (has
        # it arrived?) is known at the beginning of a cycle. The comparison looks at the beat after it, or at the one
        # that waits, for as long as that has not arrived.
        word_bits, turn_bits = ((loops[level].size - 1).bit_length() for level in (WORD, TURN))
        place = Cat(odometer.index[WORD][:word_bits], odometer.index[TURN][:turn_bits])  # of the word in its pixel
        base_move = move_of(base, base_moves, WINDOW)
        issue, taken, there = Signal(), Signal(), Signal(init=1)
        next_addresses, next_outside = addresses, outside
        with m.If(step):
            addresses = [_later(m, value, f"{value.name}_taken") for value in addresses]
            outside = [_later(m, flag, f"outside{tap}_taken") for tap, flag in enumerate(outside)]
            begins, ends, leaves, first_window, place, base_move = (
                _later(m, value, f"{name}_taken")
                for name, value in (
                    ("begins", begins),
                    ("ends", ends),
                    ("leaves", leaves),
                    ("first_window", first_window),
                    ("place", place),
                    ("base_move", base_move),
                )
            )
        arrived = [
            (Mux(there, next_addresses[tap], addresses[tap]) - written)[bits - 1]  # the sign alone: one carry chain
            | Mux(there, next_outside[tap], outside[tap])
            for tap in map(self._block.index, awaited(geometry, self._unroll))
        ]
        m.d.comb += step.eq(~taken | issue)
        m.d.sync += [taken.eq(1), there.eq(reduce(and_, arrived) | (there & ~step))]
        begun: Value = Const(1)
        if not all(part[0] for part in touching(geometry)):
            # The first window has no tap in the map and would wait for nothing: no result before its frame has begun.
            begun = ~first_window | (used > -start)
        m.d.comb += [issue.eq(taken & there & begun & (self.room | ~ends)), self.claim.eq(issue & ends)]
        with m.If(issue & leaves):
            m.d.sync += base.eq(base + base_move.as_signed())

        # While the memory is read, and while its word is in the memory's output register or one beside it.
        reads, valid = addresses, issue
        for cycle in range(2):
            valid, begins, ends, place = (
                _later(m, value, f"{name}{cycle + 1}")
                for name, value in (("valid", valid), ("begins", begins), ("ends", ends), ("place", place))
            )
            outside = [_later(m, flag, f"outside{tap}_{cycle + 1}") for tap, flag in enumerate(outside)]
        m.d.sync += [self.o.valid.eq(valid), self.o.first.eq(begins), self.o.last.eq(ends)]
        for tap, memory in enumerate(memories):
            read = memory.read_port()
            m.d.comb += read.addr.eq(reads[tap])
            for channel in range(self._simd):
                lane = tap * self._simd + channel
                raw = pipeline_signal(read.data[channel].shape(), name=f"raw{lane}")
                word = pipeline_signal(self.o.data[lane].shape(), name=f"word{lane}")
                m.d.sync += [
                    raw.eq(read.data[channel]),
                    word.eq(Mux(outside[tap], self._pad_value(channel, place), raw)),
                ]
                m.d.comb += self.o.data[lane].eq(word)
        return m

    def _outside(self, m, step, moves, move_of):
        """Whether each tap of the present block lies outside the map."""
        height, width, _ = self._geometry.shape
        top, left, bottom, right = self._geometry.pads
        down, across = self._geometry.dilation
        row = Signal(range(-top, height + bottom + 1), init=-top)
        column = Signal(range(-left, width + right + 1), init=-left)
        row_move, column_move = move_of(row, moves("row", 0, 0), 0), move_of(column, moves("column", 0, 0), 0)
        with m.If(step):
            m.d.sync += [row.eq(row + row_move), column.eq(column + column_move)]
        return [
            (row < -i * down) | (row >= height - i * down) | (column < -j * across) | (column >= width - j * across)
            for i, j in self._block
        ]

    def _pad_value(self, channel: int, place):
        """What a word's ``channel`` is in the padding; a constant where all words agree.

        place: the word and above it the turn.
        """
        values = self._pad[channel :: self._simd]
        shape = self.o.data[channel].shape()
        if len(set(values)) == 1:
            return Const(values[0], shape)
        words = self._words // self._turns
        unused = values[-1:] * ((1 << (words - 1).bit_length()) - words)
        turns = [values[start : start + words] + unused for start in range(0, len(values), words)]
        return Array(Const(value, shape) for turn in turns for value in turn)[place]


def _later(m, value, name: str):
    """``value`` a cycle later."""
    register = Signal(len(value), name=name)
    m.d.sync += register.eq(value)
    return register


def _numbered(name: str, tap: int) -> str:
    """The first tap's parts are the only ones where the kernel is not unrolled."""
    return f"{name}{tap}" if tap else name
