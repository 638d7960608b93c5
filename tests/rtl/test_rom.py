"""The weight memory: order, wrap-around and latency, in one bank and in several."""

import pytest
from amaranth.sim import Simulator

from hwgen.rtl import rom as rom_module
from hwgen.sizing.pipeline import ROM_LATENCY


@pytest.mark.parametrize("late", [(0,), (0, 0), (0, 1, 2), (2, 0, 2, 1, 0, 3)], ids=str)
@pytest.mark.parametrize("count", [1, 2, 4, 5, 8, 11])
def test_words_in_order(monkeypatch, count, late):
    """With banks of four words: a field arrives ``latency`` cycles after its advance, or as much later as it says."""
    monkeypatch.setattr(rom_module, "BANK_WORDS", 4)
    words = [(37 * index + 5) % 64 for index in range(count)]
    dut = rom_module.SequentialRom(words, 6, late=late)
    assert dut.latency == (ROM_LATENCY if count <= 4 else ROM_LATENCY + 1)
    pattern = [1, 1, 1, 0, 1, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1]
    seen = []

    async def bench(ctx):
        for advance in [*pattern, *[0] * (dut.latency + max(late))]:
            ctx.set(dut.advance, advance)
            await ctx.tick()
            seen.append(ctx.get(dut.word))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    width = 6 // len(late)
    expected = [words[index % count] for index in range(sum(pattern))]
    for place, cycles in enumerate(late):
        # After tick n the word of the advance in cycle n - (latency - 1) is there, its late fields later.
        arrived = [seen[n + dut.latency - 1 + cycles] for n, advance in enumerate(pattern) if advance]
        field = [[word >> place * width & (1 << width) - 1 for word in run] for run in (arrived, expected)]
        assert field[0] == field[1]


def test_fields_must_divide_the_word():
    with pytest.raises(ValueError, match="the 4 fields must divide 6 bits"):
        rom_module.SequentialRom([1], 6, late=(0, 0, 0, 0))


def test_words_must_not_be_empty():
    with pytest.raises(ValueError, match="words must not be empty"):
        rom_module.SequentialRom([], 4)
