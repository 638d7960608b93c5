"""Latencies of engines and of what lies between them, and their queues: what is built and what a schedule counts."""

from __future__ import annotations

from ..codes import Codebook, signed_terms
from ..network import Add, Concat, Pool, Remap, Table
from .memories import BANK_WORDS
from .product import array_latency
from .rowmap import READ_CYCLES

__all__ = [
    "FIFO_LATENCY",
    "FORK_WORDS",
    "QUEUE_LATENCY",
    "ROM_LATENCY",
    "conv_latency",
    "pool_latency",
    "queue_depth",
    "word_latency",
]

FIFO_LATENCY = 2
"""Cycles from a word's entry into an ``rtl.fifo.BranchFifo`` to its offer."""

FORK_WORDS = 2
"""Words in the register slice of an ``rtl.fork.Fork``."""

QUEUE_LATENCY = 2
"""Cycles through an empty ``rtl.queue.Queue``."""

REQUANT_LATENCY = 7
"""Cycles through ``rtl.requant.Requantizer``."""

ROM_LATENCY = 2
"""Cycles through ``rtl.rom.SequentialRom`` of one bank; several take one more."""

FEEDER_LATENCY = 4
"""Most cycles from the choice of a word to its beat (``rtl.window.Window``; ``rtl.direct.Direct`` takes 1)."""


def _levels(operands: int) -> int:
    """Of a tree of two-input adders."""
    return (operands - 1).bit_length()


def conv_latency(book: Codebook, lanes: int, weight_words: int, burst: int) -> int:
    """Most cycles from the last beat of a reduction to its first result at the output of ``rtl.conv.ConvEngine``.

    lanes: of a PE; weight_words: words of the weight memory; burst: words that leave per reduction.
    """
    weights = ROM_LATENCY if weight_words <= BANK_WORDS else ROM_LATENCY + 1
    array = array_latency(book, lanes)
    serialiser = 2 if burst > 1 else 1
    return FEEDER_LATENCY + weights + array - 1 + serialiser + REQUANT_LATENCY + QUEUE_LATENCY


def pool_latency(layer: Pool) -> int:
    """The same of ``rtl.pool.PoolEngine``."""
    return FEEDER_LATENCY + 1 + (REQUANT_LATENCY if layer.requant is not None else 0) + QUEUE_LATENCY


def word_latency(layer: Add | Concat | Table | Remap) -> int:
    """Cycles from a word's being taken (Remap: being there) to the one made of it, at the output of its engine."""
    match layer:
        case Add():
            path = 2 + _levels(1 + sum(len(signed_terms(abs(mul))) for mul in layer.mul))
        case Concat():
            rules = [rule for rule in layer.rescale if rule is not None]
            path = 1 + max((1 + _levels(1 + len(signed_terms(rule.mul))) for rule in rules), default=0)
        case Table():
            path = 2
        case Remap():
            path = READ_CYCLES + 2
    return path + QUEUE_LATENCY


def queue_depth(words: int, period: int, latency: int) -> int:
    """Words that keep a pipeline busy: a result of ``words`` words every ``period`` cycles, room claimed at issue.

    Room is claimed when a reduction's last beat is issued and comes back after the pipeline (``latency``), the
    serialisation (``words``) and three cycles through the queue, so that long times ``words / period`` is in use.
    """
    in_flight = -(-(latency + words + 3) // period) + 1
    return max(4, 1 << (words * in_flight - 1).bit_length())
