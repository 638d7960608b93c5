"""Any function of one value, from a memory."""

from __future__ import annotations

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..network import Table, Tensor
from ..sizing.streaming import table_words, validate_lanes
from .delay import delayed
from .queue import result_queue
from .storage import block_attributes
from .stream import pipeline_signal, pixel_stream, shape_of

__all__ = ["TableEngine"]


class TableEngine(wiring.Component):
    """Looks up every value of ``lanes`` channels per cycle.

    A value's own bits are the address, so nothing is subtracted; a table per channel has the number of the pixel's
    word above them. One memory serves all lanes through a port each (synthesis copies it as the family's block RAM
    needs); where channels differ every lane has the tables of its channels only.

    Throughput: one word per cycle, ``streaming.cycles(layer, lanes)`` cycles per frame. Latency: 2 cycles for the
    memory and 2 through the queue. Memory: ``streaming.memories``.

    Members
    -------
    i, o : pixel streams of ``lanes`` lanes
    """

    LATENCY = 2

    def __init__(self, layer: Table, source: Tensor, lanes: int):
        validate_lanes(layer, lanes)
        self._layer = layer
        self._source = source
        self._lanes = lanes
        super().__init__(
            {
                "i": In(pixel_stream(source.interval, lanes)),
                "o": Out(pixel_stream(layer.output.interval, lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = self._lanes
        queue = result_queue(m, wiring.flipped(self.o), self.LATENCY)
        step = Signal()
        m.d.comb += [
            step.eq(self.i.valid & queue.room),
            self.i.ready.eq(queue.room),
            queue.claim.eq(step),
            queue.push.eq(delayed(m, step, self.LATENCY)),
        ]

        shared = len(self._layer.values) == 1
        words = 1 if shared else self._source.shape[2] // lanes
        index = Signal(range(max(words, 2)))
        if words > 1:
            with m.If(step):
                m.d.sync += index.eq(Mux(index == words - 1, 0, index + 1))
        memories = [self._memory(lane) for lane in range(1 if shared else lanes)]
        for number, memory in enumerate(memories):
            m.submodules[f"table{number}"] = memory
        for lane in range(lanes):
            read = memories[0 if shared else lane].read_port()
            y = pipeline_signal(shape_of(self._layer.output.interval), name=f"y{lane}")
            address = Cat(self.i.payload[lane], index) if words > 1 else self.i.payload[lane]
            m.d.comb += [read.addr.eq(address), queue.data[lane].eq(y)]
            m.d.sync += y.eq(read.data)
        return m

    def _memory(self, lane: int) -> Memory:
        """The tables of channels ``lane``, ``lane + lanes``, ..., or of all channels."""
        shape = shape_of(self._layer.output.interval)
        content = table_words(self._layer, self._source.interval, lane, self._lanes)
        attributes = block_attributes(shape.width, len(content), rom=True)
        return Memory(shape=shape, depth=len(content), init=content, attrs=attributes)
