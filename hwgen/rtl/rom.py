"""The weight memory: read in order, over and over."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..sizing.memories import BANK_WORDS
from .storage import block_attributes
from .stream import pipeline_signal

__all__ = ["SequentialRom"]


class SequentialRom(wiring.Component):
    """Yields its words one after the other, a new one for every ``advance``, and starts over after the last.

    Block RAM is slow to answer and, when the words fill many, far away: every bank of ``BANK_WORDS`` words has a
    register at its output, and the selection among banks comes a cycle later. Latency: ``latency`` cycles from
    ``advance`` to its word, 2 with one bank, 3 with more. Throughput: one word per cycle.

    Members
    -------
    advance : In(1)
    word : Out(bits)
    """

    def __init__(self, words: Sequence[int], bits: int):
        if not words:
            raise ValueError("words must not be empty")
        self._words = list(words)
        self._bits = bits
        self.latency = 2 if len(words) <= BANK_WORDS else 3
        super().__init__({"advance": In(1), "word": Out(bits)})

    def elaborate(self, platform):
        m = Module()
        words = self._words
        address = Signal(range(max(len(words), 2)))
        last = Signal(init=len(words) == 1)
        if len(words) > 1:
            with m.If(self.advance):
                m.d.sync += [address.eq(Mux(last, 0, address + 1)), last.eq(address == len(words) - 2)]

        # One of several banks is a full one even where the words end early: a bank of an odd size would be put
        # together from block RAMs of several depths, with a selector before its register.
        whole = len(words) > BANK_WORDS
        banks = []
        for number, start in enumerate(range(0, len(words), BANK_WORDS)):
            content = words[start : start + BANK_WORDS]
            memory = Memory(
                shape=self._bits,
                depth=BANK_WORDS if whole else len(content),
                init=content,
                attrs=block_attributes(self._bits, BANK_WORDS if whole else len(content), rom=True),
            )
            m.submodules[f"bank{number}"] = memory
            read = memory.read_port()
            held = pipeline_signal(self._bits, name=f"bank{number}_word")
            m.d.comb += read.addr.eq(address)
            m.d.sync += held.eq(read.data)
            banks.append(held)
        if len(banks) == 1:
            m.d.comb += self.word.eq(banks[0])
            return m

        bank = address.shift_right((BANK_WORDS - 1).bit_length())
        for stage in range(2):  # the bank's number waits for its word
            later = pipeline_signal(bank.shape(), name=f"bank_number{stage + 1}")
            m.d.sync += later.eq(bank)
            bank = later
        word = pipeline_signal(self._bits, name="word_selected")
        with m.Switch(bank):
            for number, held in enumerate(banks):
                with m.Case(number):
                    m.d.sync += word.eq(held)
        m.d.comb += self.word.eq(word)
        return m
