"""When each addition of an adder graph happens: bit-parallel in pipeline stages, digit-serial in bits."""

from __future__ import annotations

from dataclasses import dataclass

from .adder_graph import AdderGraph

__all__ = ["ParallelStages", "SerialTimes", "hidden_digits", "parallel_stages", "serial_masks", "serial_times"]


@dataclass(frozen=True)
class ParallelStages:
    """The pipeline stage (from 1) in which every node is made; inputs are there in stage 1. latency: registers."""

    stage: tuple[int, ...]
    latency: int


def parallel_stages(graph: AdderGraph, levels: int = 1) -> ParallelStages:
    """Every addition as early as possible, ``levels`` of them between two registers."""
    if levels < 1:
        raise ValueError(f"levels must be at least 1, not {levels!r}")
    stage = tuple(max(1, -(-depth // levels)) for depth in graph.depths)
    return ParallelStages(stage, -(-graph.depth // levels))


@dataclass(frozen=True)
class SerialTimes:
    """A schedule of words that arrive least significant digit first, ``digit`` bits per cycle.

    start: of every node, the cycle in which the digit 0 of its word is there, counted from that of the inputs.
    word: cycles from one word to the next, at least. latency: cycles until the last digit of the last output is there.
    """

    digit: int
    start: tuple[int, ...]
    word: int
    latency: int


def serial_times(graph: AdderGraph, digit: int = 1) -> SerialTimes:
    """Every addition as early as possible: one cycle after ``left`` and, ``shift`` bits earlier, ``right``.

    A word has the bits of the widest output (or of an input); what is wider on the way is right modulo two to that
    power.
    """
    if digit < 1:
        raise ValueError(f"digit must be at least 1, not {digit!r}")
    start = [0] * graph.inputs
    for adder in graph.adders:
        start.append(1 + max(start[adder.left], start[adder.right] - adder.shift // digit))
    widths = {
        output.node: -(-graph.intervals[output.node].bits // digit)
        for output in graph.outputs
        if output.node is not None
    }
    word = max([-(-graph.interval.bits // digit), *widths.values()])
    latency = max((start[node] + width for node, width in widths.items()), default=0)
    return SerialTimes(digit, tuple(start), word, latency)


def hidden_digits(shift: int, digit: int) -> list[int]:
    """For every bit of a digit, the digits of ``right << shift`` in which it is not yet there."""
    digits, bits = divmod(shift, digit)
    return [digits + (place < bits) for place in range(digit)]


def serial_masks(graph: AdderGraph, times: SerialTimes) -> set[tuple[int, int]]:
    """The masks that shifted operands share: (start of the sum's operands, digits that are hidden)."""
    return {
        (times.start[node] - 1, hidden)
        for node, adder in enumerate(graph.adders, graph.inputs)
        for hidden in hidden_digits(adder.shift, times.digit)
        if 0 < hidden < times.word
    }
