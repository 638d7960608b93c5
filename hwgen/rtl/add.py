"""The sum of several tensors, each times a wired constant."""

from __future__ import annotations

from functools import reduce
from operator import and_

from amaranth.hdl import *
from amaranth.lib import wiring

from ..interval import Interval
from ..network import Add
from .delay import delayed
from .lookup import constants
from .queue import result_queue
from .rescale import Operand, rescale, rescale_latency
from .sources import ManySources
from .stream import pipeline_signal

__all__ = ["AddEngine"]


class AddEngine(ManySources):
    """Waits for a word of every source, and adds: shifts are wires, every addition has a register behind it.

    The ``ready`` of a source hangs on the ``valid`` of the others and on registers, never on ``o.ready``.

    Throughput: one word per cycle, ``streaming.cycles(layer, lanes)`` cycles per frame. Latency: 1 cycle for the word,
    ``ceil(log2(n + 1))`` for the tree of the ``n`` powers of two in ``layer.mul`` and the bias, 1 for the clip and 2
    through the queue.

    Members: those of :class:`~hwgen.rtl.sources.ManySources`.
    """

    _layer: Add

    def elaborate(self, platform):
        m = Module()
        layer, lanes = self._layer, self._lanes
        latency = 1 + rescale_latency((*layer.mul, 1))
        queue = result_queue(m, wiring.flipped(self.o), latency)
        step = Signal()
        m.d.comb += [
            step.eq(reduce(and_, (i.valid for i in self.inputs)) & queue.room),
            queue.claim.eq(step),
            queue.push.eq(delayed(m, step, latency)),
            *(i.ready.eq(step) for i in self.inputs),
        ]

        words = layer.output.shape[2] // lanes
        index = Signal(range(max(words, 2)))
        if words > 1:
            with m.If(step):
                m.d.sync += index.eq(Mux(index == words - 1, 0, index + 1))
        for lane in range(lanes):
            # The first register waits for the bias.
            operands = []
            for number, (i, interval, mul) in enumerate(zip(self.inputs, self._intervals, layer.mul, strict=True)):
                x = pipeline_signal(i.payload[lane].shape(), name=f"x{number}_{lane}")
                m.d.sync += x.eq(i.payload[lane])
                operands.append(Operand(x, interval, mul))
            adds = layer.add[lane::lanes].tolist()
            bias = constants(m, f"bias{lane}", adds, index)
            operands.append(Operand(bias, Interval.hull(adds), 1))
            y = rescale(m, operands, layer.shift, layer.lo, layer.hi, name=f"sum{lane}")
            m.d.comb += queue.data[lane].eq(y)
        return m
