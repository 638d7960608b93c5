"""Engines as a schedule sees them: what each firing waits for, how long it takes, what it frees and emits.

An *actor* fires a fixed number of times per frame, in order; a firing is what an engine does with one window, or with
one word where it uses words as they come. All times are cycles relative to the start of a firing. Where an engine's
timing depends on its internals, the numbers here are upper bounds: an engine that is faster than its actor only makes
the schedule safer (see ``schedule.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np
import numpy.typing as npt

from ..network import Add, Concat, Conv, Layer, Pool, Remap, Table
from ..sizing.folding import Folding, geometry_of
from ..sizing.geometry import Geometry
from ..sizing.line_buffer import buffer_words, overhang
from ..sizing.pipeline import QUEUE_LATENCY, conv_latency, pool_latency, queue_depth, word_latency
from ..sizing.rowmap import READ_CYCLES, RowMap

__all__ = ["NOTHING", "Actor", "Intake", "actor_of"]

IntArray = npt.NDArray[np.int64]

NOTHING = -1
"""Instead of the number of a word: none."""

RELAY_WORDS = 2
"""Words in the register slice before an engine that uses words as they come."""


@dataclass(frozen=True, eq=False)
class Intake:
    """How one source is read.

    words: of ``lanes`` channels, per frame. need: (R, F) the last word that firing ``f`` reads in each of ``R`` runs
    of consecutive words, NOTHING for none; within: (R, F) the cycle of the firing in which it is read.

    An engine that stores words takes each as soon as there is a place for it: ``wait`` cycles after the end of firing
    ``after[n]`` (negative: of a frame before), which frees the place. One that stores none (``stores`` is False) takes
    a word in the first cycle of the firing ``after[n]`` that reads it, together with those of its other sources.
    """

    words: int
    lanes: int
    need: IntArray
    within: IntArray
    after: IntArray
    wait: int
    stores: bool = True


@dataclass(frozen=True, eq=False)
class Actor:
    """An engine. service: (F,) cycles until the next firing may begin, their sum is what a frame takes.

    lanes: channels per output word. emits: (N,) the firing that emits each output word; claimed: (N,) the cycle of the
    firing in which its place in the output queue of ``queue`` words is taken; offered: (N,) the cycle in which it
    leaves the queue if nothing is before it.
    """

    intakes: tuple[Intake, ...]
    service: IntArray
    lanes: int
    emits: IntArray
    claimed: IntArray
    offered: IntArray
    queue: int

    @property
    def cycles(self) -> int:
        """Per frame."""
        return int(self.service.sum())


def actor_of(layer: Layer, folding: Folding) -> Actor:
    """The actor of ``layer`` on ``folding``."""
    match layer:
        case Conv() | Pool():
            geometry = geometry_of(layer)
            direct = geometry.direct
            return _direct(layer, folding, geometry) if direct else _anchored(_windowed(layer, folding, geometry))
        case Concat():
            return _concat(layer, folding.lanes)
        case Remap():
            return _anchored(_remap(layer, folding.lanes))
        case Add() | Table():
            words = prod(layer.output.shape) // folding.lanes
            each = np.arange(words)
            return _by_words(layer, [each] * len(layer.sources), folding.lanes, words)


def _anchored(actor: Actor) -> Actor:
    """``actor``, which reads at least one word of a frame.

    One that makes its whole output of padding depends on no input, and its times would have no beginning. The first
    word of its source is as good a time as any.
    """
    (intake,) = actor.intakes
    if (intake.need != NOTHING).any():
        return actor
    need = intake.need.copy()
    need[0, 0] = 0
    return replace(actor, intakes=(replace(intake, need=need),))


def _windowed(layer: Conv | Pool, folding: Folding, geometry: Geometry) -> Actor:
    """A firing is a reduction: of one set of input channels for one group of output channels, of an output pixel."""
    words, simd = geometry.words_per_pixel(folding.simd), folding.simd
    rows, columns = geometry.output
    height, width, _ = geometry.shape
    results, turns = folding.results(layer), geometry.turns(simd)
    reduction = geometry.reduction(simd, folding.unroll)
    firings = rows * columns * results
    latency, burst = _results(layer, folding)
    pace = max(reduction, burst)

    top = np.arange(rows)[:, None, None] * geometry.stride[0] - geometry.pads[0]
    left = np.arange(columns)[None, :, None] * geometry.stride[1] - geometry.pads[1]
    each = words // turns  # words of a pixel in a reduction
    last = (np.arange(results) // (results // turns) + 1) * each - 1
    tap = np.minimum(geometry.kernel[1] - 1, (width - 1 - left) // geometry.dilation[1])  # the last one inside the map
    column = left + tap * geometry.dilation[1]
    whole = (rows, columns, results)
    need, within = [], []
    for kernel_row in range(geometry.kernel[0]):
        row = top + kernel_row * geometry.dilation[0]
        inside = (row >= 0) & (row < height) & (column >= 0) & (tap >= 0)
        need.append(np.where(inside, (row * width + column) * words + last, NOTHING).reshape(-1))
        block_row, block_column = kernel_row // folding.unroll[0], np.maximum(tap, 0) // folding.unroll[1]
        beat = (block_row * (geometry.kernel[1] // folding.unroll[1]) + block_column) * each + each - 1
        within.append(np.broadcast_to(beat, whole).reshape(-1))
    kept = np.broadcast_to((top * width + left) * words, whole).reshape(-1)
    depth = buffer_words(geometry, simd)
    intake = Intake(
        words=height * width * words,
        lanes=simd,
        need=np.array(need),
        within=np.array(within),
        after=_freeing(kept, height * width * words, depth - 1 - overhang(geometry) * words),
        wait=1,
    )
    return Actor(
        intakes=(intake,),
        service=np.full(firings, pace),
        lanes=folding.lanes,
        emits=np.repeat(np.arange(firings), burst),
        claimed=np.full(firings * burst, reduction - 1),
        offered=reduction - 1 + latency + np.tile(np.arange(burst), firings),
        queue=queue_depth(burst, pace, latency - QUEUE_LATENCY),
    )


def _results(layer: Conv | Pool, folding: Folding) -> tuple[int, int]:
    """Cycles from the last beat of a reduction to its first output word, and words that it makes."""
    if isinstance(layer, Pool):
        return pool_latency(layer), 1
    burst = folding.pe // folding.lanes
    return conv_latency(
        layer.codebook, folding.lanes_per_pe(layer), layer.codes.size // folding.macs_per_cycle(layer), burst
    ), burst


def _direct(layer: Conv | Pool, folding: Folding, geometry: Geometry) -> Actor:
    """A firing is an input word, used for all groups of output channels at once; the last of a reduction emits."""
    words = geometry.words_per_pixel(folding.simd)
    frame = geometry.shape[0] * geometry.shape[1] * words
    latency, burst = _results(layer, folding)
    length = geometry.reduction(folding.simd)
    length, results = geometry.reduction(folding.simd), folding.results(layer)
    final = max(1, burst - (length - 1) * results)  # the last result drains while the next reduction begins
    if geometry.channelwise:
        # Of ``length`` pixels the last one's words emit, each its own channels.
        last = np.arange(frame).reshape(-1, length, words)[:, -1, :]
        service = np.ones(frame, np.int64)
        service[last] = burst
        service[last[:, -1]] = final
        claimed = np.zeros(last.size * burst, np.int64)
        emits = np.repeat(last.reshape(-1), burst)
        offered = latency + np.tile(np.arange(burst), last.size)
    else:
        service = np.full(frame, results)
        service[length - 1 :: length] = (results - 1) * burst + final
        claimed = np.tile(np.repeat(np.arange(results) * burst, burst), frame // length)
        offered = claimed + latency + np.tile(np.arange(burst), results * (frame // length))
        emits = np.repeat(np.arange(length - 1, frame, length), results * burst)
    each = np.arange(frame)
    intake = Intake(
        words=frame,
        lanes=folding.simd,
        need=each[None, :],
        within=np.zeros((1, frame), np.int64),
        after=each - RELAY_WORDS,
        wait=0,
    )
    return Actor(
        (intake,), service, folding.lanes, emits, claimed, offered, queue_depth(burst, burst, latency - QUEUE_LATENCY)
    )


def _by_words(layer: Add | Concat | Table, needs: list[IntArray], lanes: int, words: int) -> Actor:
    """A firing is an output word; source ``k`` gives it word ``needs[k][f]`` (NOTHING for none), in order."""
    intakes = []
    for need in needs:
        taker = np.flatnonzero(need != NOTHING)
        within = np.zeros((1, words), np.int64)
        intakes.append(Intake(len(taker), lanes, need[None, :], within, after=taker, wait=0, stores=False))
    return _word_actor(layer, tuple(intakes), lanes, words)


def _word_actor(layer: Add | Concat | Table | Remap, intakes: tuple[Intake, ...], lanes: int, words: int) -> Actor:
    """One output word per cycle and firing."""
    zeros, latency = np.zeros(words, np.int64), word_latency(layer)
    depth = queue_depth(1, 1, latency - QUEUE_LATENCY)
    return Actor(intakes, zeros + 1, lanes, np.arange(words), zeros, zeros + latency, depth)


def _concat(layer: Concat, lanes: int) -> Actor:
    height, width, channels = layer.output.shape
    needs, before = [], 0
    for shape in layer.input_shapes:
        words = shape[2] // lanes
        need = np.full((height * width, channels // lanes), NOTHING)
        need[:, before : before + words] = np.arange(height * width * words).reshape(height * width, words)
        needs.append(need.reshape(-1))
        before += words
    return _by_words(layer, needs, lanes, height * width * channels // lanes)


def _remap(layer: Remap, lanes: int) -> Actor:
    """A firing is an output word: it reads one of a stored row, after the whole row has come."""
    rows = RowMap(layer, lanes)
    held, count = np.array(rows.held), rows.output_row_words
    words = len(held) * count
    need = np.repeat((held + 1) * rows.row_words - 1, count)
    stored = np.unique(held)
    ends = (
        np.searchsorted(held, stored, side="right")
    ) * count - 1  # the firing that reads a stored row for the last time
    after = np.full(layer.input_shape[0], -2 * words)  # rows that are dropped wait for nothing
    frame, row = np.divmod(np.arange(len(stored)) - rows.buffer_rows, len(stored))
    after[stored] = ends[row] + frame * words
    intake = Intake(
        words=layer.input_shape[0] * rows.row_words,
        lanes=lanes,
        need=need[None, :],
        within=np.zeros((1, words), np.int64),
        after=np.repeat(after, rows.row_words),
        wait=READ_CYCLES,
    )
    return _word_actor(layer, (intake,), lanes, words)


def _freeing(kept: IntArray, words: int, capacity: int) -> IntArray:
    """The firing whose end makes room for each of ``words`` words, when firing ``f`` needs those from ``kept[f]`` on.

    Both continue in the next frame. The one sought is that before the first with ``kept > word - capacity``.
    """
    firings = len(kept)
    three = np.maximum.accumulate(np.concatenate([kept - words, kept, kept + words]))
    frame, word = np.divmod(np.arange(words) - capacity, words)
    return np.searchsorted(three, word, side="right") - firings - 1 + frame * firings
