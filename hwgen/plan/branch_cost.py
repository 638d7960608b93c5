"""What branches and the layers that only let words through cost: LUTs by formula, memories by their shapes.

Counted from the structure, a LUT per bit of an adder or of a two-way multiplexer; not fitted as ``cost.py`` is.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ..codes import signed_terms
from ..network import Add, Concat, Remap, Table, Tensor
from ..sizing.bounds import addition
from ..sizing.memories import in_block_ram
from ..sizing.streaming import memories
from .cost import Cost, block_rams, memory_rams
from .width import gearbox_cost

__all__ = ["end_buffers", "fifo_cost", "fork_cost", "streaming_cost"]

_CONTROL = 25
"""LUTs of the counters, handshake and room of an engine that works word by word."""

_REMAP_CONTROL = 120
"""The same of a Remap: rows of the ring, and the sum of four address tables."""


def streaming_cost(layer: Add | Concat | Table | Remap, sources: Sequence[Tensor], lanes: int, family: str) -> Cost:
    """Of the engine with ``lanes`` lanes, output queue included."""
    bits = layer.output.interval.bits
    luts = float(_REMAP_CONTROL if isinstance(layer, Remap) else _CONTROL)
    rams = 0
    match layer:
        case Add():
            width = addition(layer, [source.interval for source in sources]).bits
            terms = sum(len(signed_terms(abs(mul))) for mul in layer.mul)
            luts += lanes * (terms * width + 2 * bits)  # with the bias as many adders as terms, then the clip
        case Concat():
            luts += lanes * bits * (len(sources) - 1)
            for rule in set(layer.rescale) - {None}:
                assert rule is not None
                width = max(source.interval.bits for source in sources) + rule.mul.bit_length()
                luts += lanes * (len(signed_terms(rule.mul)) * width + 2 * bits)
        case Table() | Remap():
            pass
    for memory in memories(layer, sources[0], lanes):
        written = isinstance(layer, Remap)
        if in_block_ram(memory.bits, memory.words) or (written and family == "ice40"):
            rams += block_rams(family, memory.bits, memory.words) * memory.ports
        else:
            luts += memory.ports * memory.bits * memory.words / 16
    return Cost(round(luts), rams) + fifo_cost(family, lanes * bits, 16)


def fork_cost(family: str, bits: int) -> Cost:
    """Of a register slice for words of ``bits`` bits: a multiplexer before one register, and another register."""
    return Cost((2 if family == "ice40" else 1) * bits + 12, 0)


def fifo_cost(family: str, bits: int, depth: int) -> Cost:
    """Of a FIFO (``rtl/fifo.py``) of ``depth`` words of ``bits`` bits, none for a depth of 0.

    iCE40 has no RAM in LUTs: there any FIFO takes a block RAM.
    """
    if not depth:
        return Cost(0, 0)
    control = 10 + 4 * depth.bit_length()
    if family == "ice40":
        return Cost(control, block_rams(family, bits, depth))
    if in_block_ram(bits, depth):
        return Cost(control, memory_rams(family, bits, depth))
    return Cost(control + bits * -(-depth // 16), 0)


def end_buffers(family: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], lanes: Sequence[int]) -> Cost:
    """What the board's top stores so that all inputs and outputs can share its line (``boards/top.py``).

    lanes: int32 per beat of every output.
    """
    total = Cost(0, 0)
    for count in lanes:
        total += gearbox_cost(family, 32, count, 1)
    for tensor in inputs[:-1]:
        total += fifo_cost(family, 8, prod(tensor.shape))
    for tensor in outputs[1:]:
        total += fifo_cost(family, 33, prod(tensor.shape))
    return total
