"""Values in another place: rows go through a ring, words are read by address."""

from __future__ import annotations

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..network import Remap, Tensor
from ..sizing.rowmap import READ_CYCLES, RowMap
from .delay import delayed
from .lookup import constants, flag
from .odometer import Odometer
from .queue import result_queue
from .storage import block_attributes
from .stream import pipeline_signal, pixel_stream

__all__ = ["RemapEngine"]

ADDRESS_WORDS = 256
"""Tables of addresses are so regular that up to this many words take fewer LUTs than a block RAM is worth."""


class RemapEngine(wiring.Component):
    """Slices, pads, resizes and shuffles, a row at a time.

    The writer stores the rows that are needed one after the other and drops the others without waiting; the reader
    goes through the output rows and may begin one when its input row is complete. An address is the sum of the row's
    place, the output row's offset, the column's and that of the word in the pixel, each from a table. What is stored,
    and for how long: ``rowmap.py``.

    Throughput: one word per cycle, one frame per ``RowMap(layer, lanes).cycles`` cycles; the next frame is written
    while this one is read. Latency: 8 cycles from the last word of an input row to the first word of the output row.
    Memory: ``buffer_words`` words of ``lanes`` values.

    Members
    -------
    i, o : pixel streams of ``lanes`` lanes
    """

    LATENCY = READ_CYCLES + 2

    def __init__(self, layer: Remap, source: Tensor, lanes: int):
        self._layer = layer
        self._lanes = lanes
        self._map = RowMap(layer, lanes)
        signature = pixel_stream(source.interval, lanes)
        super().__init__({"i": In(signature), "o": Out(signature)})

    def elaborate(self, platform):
        m = Module()
        rows, words = self._map.buffer_rows, self._map.buffer_words
        shape = self.i.payload.shape()
        # A row is read when it is complete, and written again when it has been read.
        attributes = block_attributes(Shape.cast(shape).width, words, rom=False) | {"no_rw_check": 1}
        m.submodules.memory = memory = Memory(shape=shape, depth=words, init=[], attrs=attributes)
        vacant = Signal(range(rows + 1), init=rows)  # rows of the ring that may be written, the present one included
        stored = Signal(range(rows + 1))  # rows that are complete and that the reader has not finished
        complete = self._write(m, memory, vacant)
        release = self._read(m, memory, stored)
        m.d.sync += [
            stored.eq(stored + complete - release),
            vacant.eq(vacant + delayed(m, release, READ_CYCLES) - complete),
        ]
        return m

    def _write(self, m: Module, memory: Memory, vacant) -> Signal:
        """Store the rows that are needed; the result says that this cycle completes one."""
        m.submodules.writer = odometer = Odometer([self._map.row_words, self._layer.input_shape[0]])
        row_ends = odometer.carry[0]
        keep = flag(m, "keep", self._map.keeps, odometer.index[1], odometer.step & row_ends)
        complete = Signal()
        port = memory.write_port()
        m.d.comb += [
            self.i.ready.eq(~keep | (vacant != 0)),
            odometer.step.eq(self.i.valid & self.i.ready),
            port.en.eq(odometer.step & keep),
            port.data.eq(self.i.payload),
            complete.eq(port.en & row_ends),
        ]
        if self._map.buffer_words > 1:
            with m.If(port.en):
                m.d.sync += port.addr.eq(Mux(port.addr == self._map.buffer_words - 1, 0, port.addr + 1))
        return complete

    def _read(self, m: Module, memory: Memory, stored) -> Signal:
        """Read every output word; the result says that this cycle issues the last one that needs a stored row."""
        layer, rows = self._layer, self._map
        sizes = [rows.pixel_words, len(layer.columns), len(layer.rows)]
        m.submodules.reader = odometer = Odometer(sizes)
        queue = result_queue(m, wiring.flipped(self.o), self.LATENCY)
        step = Signal()
        release = Signal()
        row_ends = step & odometer.carry[1]
        frees = flag(m, "frees", rows.releases, odometer.index[2], row_ends)
        m.d.comb += [
            step.eq(queue.room & (stored != 0)),
            odometer.step.eq(step),
            release.eq(row_ends & frees),
            queue.claim.eq(step),
            queue.push.eq(delayed(m, step, self.LATENCY)),
        ]

        place = Signal(range(rows.buffer_words))  # where the stored row begins
        last_place = (rows.buffer_rows - 1) * rows.row_words
        with m.If(release):
            m.d.sync += place.eq(Mux(place == last_place, 0, place + rows.row_words))

        # Cycle 1: the tables answer. Cycles 2 and 3: their sum, the address. Cycle 4: the word; cycle 5: or fill.
        starts, fills = [], []
        tables = {
            "pixel": (rows.pixel_starts, layer.channels[:: self._lanes]),
            "column": (rows.column_starts, layer.columns),
            "row": (rows.row_starts, layer.rows),
        }
        for (name, (values, wanted)), index in zip(tables.items(), odometer.index, strict=True):
            starts.append(constants(m, f"{name}_start", values, index, lut_words=ADDRESS_WORDS))
            fills.append(constants(m, f"{name}_fill", (wanted < 0).tolist(), index, lut_words=ADDRESS_WORDS))
        held_place = pipeline_signal(place.shape(), name="held_place")
        inner = pipeline_signal(range(rows.row_words), name="inner")
        outer = pipeline_signal(place.shape(), name="outer")
        address = pipeline_signal(place.shape(), name="address")
        m.d.sync += [
            held_place.eq(place),
            inner.eq(starts[0] + starts[1]),
            outer.eq(starts[2] + held_place),
            address.eq(inner + outer),
        ]
        port = memory.read_port()
        empty = Signal()
        m.d.comb += [port.addr.eq(address), empty.eq(fills[0] | fills[1] | fills[2])]
        empty = delayed(m, empty, READ_CYCLES)
        for lane in range(self._lanes):
            word = pipeline_signal(self.o.payload[lane].shape(), name=f"word{lane}")
            m.d.sync += word.eq(Mux(empty, layer.fill, port.data[lane]))
            m.d.comb += queue.data[lane].eq(word)
        return release
