"""The weight memory: order, wrap-around and latency, in one bank and in several."""

import pytest
from amaranth.sim import Simulator

from hwgen.rtl import rom as rom_module


@pytest.mark.parametrize("count", [1, 2, 4, 5, 8, 11])
def test_words_in_order(monkeypatch, count):
    """With banks of four words: every word arrives ``latency`` cycles after its advance, whenever that was."""
    monkeypatch.setattr(rom_module, "BANK_WORDS", 4)
    words = [(37 * index + 5) % 64 for index in range(count)]
    dut = rom_module.SequentialRom(words, 6)
    assert dut.latency == (2 if count <= 4 else 3)
    pattern = [1, 1, 1, 0, 1, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1]
    seen = []

    async def bench(ctx):
        for advance in [*pattern, 0, 0, 0]:
            ctx.set(dut.advance, advance)
            await ctx.tick()
            seen.append(ctx.get(dut.word))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    # After tick n the word of the advance in cycle n - (latency - 1) is there.
    arrived = [seen[n + dut.latency - 1] for n, advance in enumerate(pattern) if advance]
    assert arrived == [words[index % count] for index in range(sum(pattern))]


def test_words_must_not_be_empty():
    with pytest.raises(ValueError, match="words must not be empty"):
        rom_module.SequentialRom([], 4)
