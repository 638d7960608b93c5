"""An adder graph, digit-serial: words come least significant digit first, and an addition is two LUTs per bit."""

from __future__ import annotations

from amaranth.hdl import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..interval import Interval
from ..sizing.adder_graph import AdderGraph
from ..sizing.graph_schedule import hidden_digits, serial_times
from .stream import pipeline_signal, shape_of

__all__ = ["SerialGraph"]


class SerialGraph(wiring.Component):
    """``sums = x @ matrix``, ``digit`` bits of every number per cycle.

    ``right << shift`` is ``right`` ``shift`` bits later, where its first bits are hidden by a mask: until they are over
    ``left`` passes and the carry stays what it is at the start of a word (1 in a subtraction, whose ``right`` is
    inverted). Sum and carry are functions of four signals, so one LUT each, whatever the shift. Nothing is ever
    cleared: words may follow each other without a gap, or with any.

    With a larger digit the carry ripples through as many LUTs in a cycle, two to a bit; registers, feeder and control
    do not grow with it.

    Throughput: one product per ``word`` cycles. Latency: ``latency`` + 1 cycles from ``start`` to ``push``.

    Members
    -------
    start : In(1)
        Digit 0 of a word is on ``x`` in the next cycle; not again for ``word`` cycles.
    x : In(one digit per input)
        The inputs, sign- or zero-extended to ``word`` digits.
    push : Out(1)
        ``sums`` are there, in this cycle.
    sums : Out(one lane per output, of the hull of ``graph.sums``)
        Less than the product by ``graph.missing``.
    """

    def __init__(self, graph: AdderGraph, *, digit: int = 1):
        self._graph = graph
        self._times = serial_times(graph, digit)
        self._digit = digit
        self.word = self._times.word
        self.latency = self._times.latency
        self.interval = Interval.hull(graph.sums)
        super().__init__(
            {
                "start": In(1),
                "x": In(data.ArrayLayout(digit, graph.inputs)),
                "push": Out(1),
                "sums": Out(data.ArrayLayout(shape_of(self.interval), len(graph.outputs))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        graph, start = self._graph, self._times.start
        self._pulses = [self.start]
        self._masks: dict[tuple[int, int], Signal] = {}
        self._delays = [[self.x[lane]] for lane in range(graph.inputs)]
        for node, adder in enumerate(graph.adders, graph.inputs):
            begins = start[node] - 1  # the cycle in which the digits 0 are added, the inputs' being 0
            left = self._bits(m, adder.left, begins * self._digit)
            right = self._bits(m, adder.right, begins * self._digit + adder.shift)
            if adder.subtract:
                right = ~right
            self._delays.append([self._add(m, f"node{node}", left, right, begins, adder.shift, adder.subtract)])
        m.d.comb += self.push.eq(self._pulse(m, self.latency + 1))
        for number, (output, lane) in enumerate(zip(graph.outputs, self.sums, strict=True)):
            if output.node is not None:
                shifted = Signal(lane.shape(), name=f"shifted{number}")  # as wide as its inverse
                m.d.comb += shifted.eq(self._word(m, number, output.node) << output.shift)
                m.d.comb += lane.eq(~shifted if output.inverted else shifted)
        return m

    def _pulse(self, m, cycles: int) -> Signal:
        """``start`` so many cycles later."""
        while len(self._pulses) <= cycles:
            later = Signal(name=f"start_d{len(self._pulses)}")
            m.d.sync += later.eq(self._pulses[-1])
            self._pulses.append(later)
        return self._pulses[cycles]

    def _mask(self, m, begins: int, digits: int) -> Value:
        """Whether ``digits`` (at least one) digits of a word whose digit 0 is there in cycle ``begins`` are over."""
        if digits >= self.word:
            return Const(0)
        if (begins, digits) not in self._masks:
            mask = Signal(name=f"mask{begins}_{digits}")
            # ``start`` is a cycle before cycle 0.
            m.d.sync += mask.eq(self._pulse(m, begins + digits) | mask & ~self._pulse(m, begins))
            self._masks[begins, digits] = mask
        return self._masks[begins, digits]

    def _delayed(self, m, node: int, cycles: int):
        chain = self._delays[node]
        while len(chain) <= cycles:
            later = pipeline_signal(self._digit, name=f"node{node}_d{len(chain)}")
            m.d.sync += later.eq(chain[-1])
            chain.append(later)
        return chain[cycles]

    def _bits(self, m, node: int, at: int):
        """One digit per cycle of ``node``, so that its bit 0 comes at bit ``at``."""
        cycles, bits = divmod(at - self._times.start[node] * self._digit, self._digit)
        digit = self._delayed(m, node, cycles)
        if not bits:
            return digit
        return Cat(self._delayed(m, node, cycles + 1), digit)[self._digit - bits : 2 * self._digit - bits]

    def _add(self, m, name: str, left, right, begins: int, shift: int, subtract: bool) -> Signal:
        """``left`` and the masked ``right``, registered."""
        carry = held = pipeline_signal(1, name=f"{name}_carry")
        total = []
        for a, b, hidden in zip(left, right, hidden_digits(shift, self._digit), strict=True):
            more = a & b | a & carry | b & carry
            if hidden:
                mask = self._mask(m, begins, hidden)
                total.append(a ^ (mask & (b ^ carry)))
                carry = ~mask | more if subtract else mask & more
            else:
                total.append(a ^ b ^ carry)
                carry = more
        if not shift:
            # The last cycle of the word before (or an idle one): gates, as a set or reset input of its own for every
            # start would keep registers from sharing slices.
            fresh = self._pulse(m, begins)
            carry = carry | fresh if subtract else carry & ~fresh
        result = pipeline_signal(self._digit, name=name)
        m.d.sync += [held.eq(carry), result.eq(Cat(*total))]
        return result

    def _word(self, m, number: int, node: int):
        """The last words of ``node`` in a shift register, of which its own digits are read at ``push``."""
        interval = self._graph.intervals[node]
        cycles = self.latency - self._times.start[node]
        held = pipeline_signal(cycles * self._digit, name=f"output{number}")
        m.d.sync += held.eq(Cat(held, self._delays[node][0]) >> self._digit)
        word = held[: interval.bits]
        return word.as_signed() if interval.signed else word
