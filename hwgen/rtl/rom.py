"""The weight memory: read in order, over and over."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..sizing.memories import BANK_WORDS
from ..sizing.pipeline import ROM_LATENCY
from .storage import block_attributes
from .stream import pipeline_signal

__all__ = ["SequentialRom"]


class SequentialRom(wiring.Component):
    """Yields its words one after the other, a new one for every ``advance``, and starts over after the last.

    Block RAM is slow to answer: every bank of ``BANK_WORDS`` words has a register at its output, which is part of the
    block RAM where the family has that, and the selection among banks comes a cycle later. Latency: ``latency`` cycles
    from ``advance`` to its word, ``ROM_LATENCY`` with one bank, one more with several. Throughput: one word per cycle.

    A word may be cut into fields of equal width, some of which come later: those lie in a memory of their own, whose
    address is late, so that no register has to hold them back.

    Parameters
    ----------
    words : sequence of int
    bits : int              of a word
    late : sequence of int  of every field, the lowest first, by how many cycles it comes later than ``latency``

    Members
    -------
    advance : In(1)
    word : Out(bits)
    """

    def __init__(self, words: Sequence[int], bits: int, *, late: Sequence[int] = (0,)):
        if not words:
            raise ValueError("words must not be empty")
        if bits % len(late):
            raise ValueError(f"the {len(late)} fields must divide {bits} bits")
        self._words = list(words)
        self._field = bits // len(late)
        self._late = list(late)
        self.latency = ROM_LATENCY + (len(words) > BANK_WORDS)
        super().__init__({"advance": In(1), "word": Out(bits)})

    def elaborate(self, platform):
        m = Module()
        words = self._words
        address = Signal(range(max(len(words), 2)), name="address")
        last = Signal(init=len(words) == 1)
        if len(words) > 1:
            with m.If(self.advance):
                m.d.sync += [address.eq(Mux(last, 0, address + 1)), last.eq(address == len(words) - 2)]
        for cycles in range(max(self._late) + 1):
            fields = [number for number, late in enumerate(self._late) if late == cycles]
            if fields:
                self._memory(m, cycles, fields, address)
            later = pipeline_signal(address.shape(), name=f"address_late{cycles + 1}")
            m.d.sync += later.eq(address)
            address = later
        return m

    def _memory(self, m: Module, cycles: int, fields: list[int], address) -> None:
        """Those fields of all words, read at ``address``."""
        width = self._field
        mask = (1 << width) - 1
        words = [
            sum((word >> number * width & mask) << place * width for place, number in enumerate(fields))
            for word in self._words
        ]
        bits = width * len(fields)
        # One of several banks is a full one even where the words end early: a bank of an odd size would be put
        # together from block RAMs of several depths, with a selector before its register.
        whole = len(words) > BANK_WORDS
        banks = []
        for number, start in enumerate(range(0, len(words), BANK_WORDS)):
            content = words[start : start + BANK_WORDS]
            depth = BANK_WORDS if whole else len(content)
            memory = Memory(shape=bits, depth=depth, init=content, attrs=block_attributes(bits, depth, rom=True))
            m.submodules[f"late{cycles}_bank{number}"] = memory
            read = memory.read_port()
            held = pipeline_signal(bits, name=f"late{cycles}_bank{number}_word")
            m.d.comb += read.addr.eq(address)
            m.d.sync += held.eq(read.data)
            banks.append(held)
        word = banks[0]
        if whole:
            bank = address.shift_right((BANK_WORDS - 1).bit_length())
            for stage in range(ROM_LATENCY):  # the bank's number waits for its word
                later = pipeline_signal(bank.shape(), name=f"late{cycles}_bank_number{stage + 1}")
                m.d.sync += later.eq(bank)
                bank = later
            word = pipeline_signal(bits, name=f"late{cycles}_selected")
            with m.Switch(bank):
                for number, held in enumerate(banks):
                    with m.Case(number):
                        m.d.sync += word.eq(held)
        for place, number in enumerate(fields):
            m.d.comb += self.word.word_select(number, width).eq(word.word_select(place, width))
