"""Nested loop counters against ``itertools.product``."""

from itertools import product

import pytest
from amaranth.sim import Simulator

from hwgen.rtl.odometer import Odometer

from .drive import simulate


@pytest.mark.parametrize("sizes", [[5], [2, 3], [3, 1, 2], [1, 1, 4], [2, 2, 2, 2], [4, 1]])
@pytest.mark.parametrize("paused", [False, True])
def test_counts_like_nested_loops(sizes, paused):
    dut = Odometer(sizes)
    loops = list(product(*(range(size) for size in reversed(sizes))))

    async def check(ctx):
        for turn in range(2):
            for number, iteration in enumerate(loops):
                if paused and (number + turn) % 3 == 0:
                    ctx.set(dut.step, 0)
                    await ctx.tick().repeat(2)
                ctx.set(dut.step, 1)
                index = [ctx.get(signal) for signal in dut.index]
                assert index == list(reversed(iteration))
                carry = [all(index[i] == sizes[i] - 1 for i in range(level + 1)) for level in range(len(sizes))]
                assert ctx.get(dut.carry) == sum(bit << level for level, bit in enumerate(carry))
                await ctx.tick()

    simulate(dut, check)


def test_single_iterations_always_carry():
    async def check(ctx):
        await ctx.delay(1e-9)
        assert ctx.get(dut.carry) == 0b11

    dut = Odometer([1, 1])
    simulator = Simulator(dut)
    simulator.add_testbench(check)
    simulator.run()


@pytest.mark.parametrize("sizes", [[], [0], [3, -1]])
def test_refuses_empty_loops(sizes):
    with pytest.raises(ValueError, match="sizes must be one or more counts"):
        Odometer(sizes)
