"""The channels of several tensors after each other."""

from __future__ import annotations

from itertools import accumulate

from amaranth.hdl import *
from amaranth.lib import wiring

from ..interval import Interval
from ..network import Concat, Rescale
from .delay import delayed
from .queue import result_queue
from .rescale import Operand, rescale, rescale_latency
from .sources import ManySources
from .stream import pipeline_signal, shape_of

__all__ = ["ConcatEngine"]


class ConcatEngine(ManySources):
    """Takes the words of the first source's pixel, then those of the second's, and so on.

    Sources that are rescaled alike share a datapath; all datapaths have the same latency, so words stay in order.

    Throughput: one word per cycle, ``streaming.cycles(layer, lanes)`` cycles per frame. Latency: 1 cycle, where a
    source is rescaled ``ceil(log2(n + 1)) + 1`` more for the ``n`` powers of two of the longest factor, and 2 through
    the queue.

    Members: those of :class:`~hwgen.rtl.sources.ManySources`.
    """

    _layer: Concat

    def elaborate(self, platform):
        m = Module()
        rules = sorted(set(self._layer.rescale), key=self._layer.rescale.index)
        depth = max(self._latency(rule) for rule in rules)
        latency = 1 + depth
        queue = result_queue(m, wiring.flipped(self.o), latency)
        step = Signal()
        m.d.comb += [queue.claim.eq(step), queue.push.eq(delayed(m, step, latency))]
        selected = self._turns(m, step)
        with m.Switch(selected):
            for number, i in enumerate(self.inputs):
                with m.Case(number):
                    m.d.comb += [step.eq(i.valid & queue.room), i.ready.eq(queue.room)]

        path = Signal(range(max(len(rules), 2)))
        with m.Switch(selected):
            for number, rule in enumerate(self._layer.rescale):
                with m.Case(number):
                    m.d.sync += path.eq(rules.index(rule))
        for stage in range(depth):
            later = pipeline_signal(path.shape(), name=f"path_d{stage + 1}")
            m.d.sync += later.eq(path)
            path = later
        words = [self._path(m, number, rule, selected, depth) for number, rule in enumerate(rules)]
        with m.Switch(path if len(rules) > 1 else Const(0)):
            for number, word in enumerate(words):
                with m.Case(number):
                    m.d.comb += [out.eq(value) for out, value in zip(queue.data, word, strict=True)]
        return m

    def _turns(self, m: Module, step) -> Signal:
        """The number of the source whose word is next."""
        ends = [count - 1 for count in accumulate(shape[2] // self._lanes for shape in self._layer.input_shapes)]
        index = Signal(range(max(ends[-1] + 1, 2)))
        selected = Signal(range(max(len(ends), 2)))
        with m.If(step):
            m.d.sync += index.eq(index + 1)
            with m.Switch(index):
                for number, end in enumerate(ends[:-1]):
                    with m.Case(end):
                        m.d.sync += selected.eq(number + 1)
                with m.Case(ends[-1]):
                    m.d.sync += [selected.eq(0), index.eq(0)]
        return selected

    def _path(self, m: Module, number: int, rule: Rescale | None, selected, depth: int) -> list:
        """The word of the selected source, rescaled by ``rule``, ``1 + depth`` cycles later."""
        users = [k for k, other in enumerate(self._layer.rescale) if other == rule]
        interval = Interval.hull([self._intervals[k] for k in users])
        result = []
        for lane in range(self._lanes):
            x = pipeline_signal(shape_of(interval), name=f"x{number}_{lane}")
            with m.Switch(selected):
                for k in users[:-1]:
                    with m.Case(k):
                        m.d.sync += x.eq(self.inputs[k].payload[lane])
                with m.Default():
                    m.d.sync += x.eq(self.inputs[users[-1]].payload[lane])
            if rule is not None:
                add = Interval(rule.add, rule.add)
                operands = [Operand(x, interval, rule.mul), Operand(Const(rule.add, shape_of(add)), add, 1)]
                x = rescale(m, operands, rule.shift, rule.lo, rule.hi, name=f"path{number}_{lane}")
            for stage in range(depth - self._latency(rule)):
                later = pipeline_signal(x.shape(), name=f"wait{number}_{lane}_{stage}")
                m.d.sync += later.eq(x)
                x = later
            result.append(x)
        return result

    @staticmethod
    def _latency(rule: Rescale | None) -> int:
        return 0 if rule is None else rescale_latency((rule.mul, 1))
