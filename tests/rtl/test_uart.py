"""The UART against a host in continuous time: its bits are as long as its own clock says, not the board's."""

import inspect
import types

import pytest
from amaranth.sim import Simulator

from hwgen.errors import HwgenError
from hwgen.rtl import uart

CLOCK_HZ = 1_600_000
DIVISOR = 16
BIT = DIVISOR / CLOCK_HZ
BYTES = [0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80, 0x3C]


def mutant(old: str, new: str) -> types.ModuleType:
    """The module under test with one piece of its source replaced."""
    source = inspect.getsource(uart)
    assert source.count(old) == 1
    module = types.ModuleType(uart.__name__)
    module.__package__ = uart.__package__
    exec(compile(source.replace(old, new), uart.__file__, "exec"), module.__dict__)
    return module


def listen(line, *, module=uart, rest=4.0):
    """What the receiver says while the host drives ``line``, a list of (level, bits of time): bytes and "error"."""
    dut = module.Receiver(DIVISOR)
    heard = []
    sim = Simulator(dut)
    sim.add_clock(1 / CLOCK_HZ)

    async def host(ctx):
        for level, bits in [(1, 1.3), *line, (1, rest)]:
            ctx.set(dut.rx, level)
            await ctx.delay(bits * BIT)

    async def collect(ctx):
        async for _clk, _rst, data, valid, error in ctx.tick().sample(dut.data, dut.valid, dut.error):
            assert not (valid and error)
            if valid:
                heard.append(data)
            if error:
                heard.append("error")

    sim.add_testbench(host)
    sim.add_process(collect)
    sim.run()
    return heard


def character(value, speed=1.0, stop=1):
    """The levels of one character; ``speed`` is how much longer than nominal a bit takes."""
    return [(0, speed), *((value >> bit & 1, speed) for bit in range(8)), (stop, speed)]


def text(values, speed=1.0):
    return [level for value in values for level in character(value, speed)]


@pytest.mark.parametrize("speed", [0.98, 1.0, 1.02])
def test_receives_back_to_back_at_two_percent(speed):
    assert listen(text(BYTES, speed)) == BYTES


def test_sampling_point_matters():
    """Sampling where the bits change instead of in their middle cannot stand a fast sender."""
    wrong = mutant("timer.eq(self._divisor // 2 - 1)", "timer.eq(0)")
    heard = [listen(text(BYTES, speed), module=wrong) for speed in (0.98, 1.02)]
    assert any(one != BYTES for one in heard)


def test_bit_order_matters():
    wrong = mutant("self.data.eq(Cat(self.data[1:], line))", "self.data.eq(Cat(line, self.data[:7]))")
    assert listen(text([0x01]), module=wrong) == [0x80]


def test_glitch_is_no_start_bit():
    assert listen([(0, 0.3), (1, 2), *character(0x5A), (1, 1), (0, 0.2), (1, 1.1), *character(0xC3)]) == [0x5A, 0xC3]


def test_framing_error_then_recovery():
    assert listen([*character(0x12), *character(0x34, stop=0), (1, 3), *character(0x56)]) == [0x12, "error", 0x56]


def test_break_is_one_error():
    """A line held low for long is not a row of characters."""
    assert listen([(0, 45), (1, 2), *character(0x77)]) == ["error", 0x77]


def test_idle():
    dut = uart.Receiver(DIVISOR)
    sim = Simulator(dut)
    sim.add_clock(1 / CLOCK_HZ)
    seen = []

    async def host(ctx):
        for level, bits in [(1, 1), *character(0x01), (1, 2)]:
            ctx.set(dut.rx, level)
            await ctx.delay(bits * BIT * 0.99)
            seen.append(ctx.get(dut.idle))

    sim.add_testbench(host)
    sim.run()
    assert seen == [1, *[0] * 9, 1, 1]


@pytest.mark.parametrize("pause", [0, 7])
def test_transmits(pause):
    dut = uart.Transmitter(DIVISOR)
    sim = Simulator(dut)
    sim.add_clock(1 / CLOCK_HZ)
    heard = []

    async def send(ctx):
        for value in BYTES:
            ctx.set(dut.i.payload, value)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
            await ctx.tick().repeat(pause + 1)
        await ctx.delay(12 * BIT)
        assert ctx.get(dut.tx) == 1

    async def host(ctx):
        while True:
            await ctx.negedge(dut.tx)
            await ctx.delay(BIT / 2)
            assert ctx.get(dut.tx) == 0
            value = 0
            for bit in range(8):
                await ctx.delay(BIT)
                value |= ctx.get(dut.tx) << bit
            await ctx.delay(BIT)
            assert ctx.get(dut.tx) == 1, "the stop bit must be high"
            heard.append(value)

    sim.add_testbench(send)
    sim.add_testbench(host, background=True)
    sim.run()
    assert heard == BYTES


def test_bits_last_exactly_the_divisor():
    dut = uart.Transmitter(DIVISOR)
    sim = Simulator(dut)
    sim.add_clock(1 / CLOCK_HZ)
    levels = []

    async def send(ctx):
        ctx.set(dut.i.payload, 0x55)
        ctx.set(dut.i.valid, 1)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)
        for _ in range(10 * DIVISOR):
            levels.append(ctx.get(dut.tx))
            await ctx.tick()
        assert ctx.get(dut.i.ready)

    sim.add_testbench(send)
    sim.run()
    assert levels == [level for level in [0, 1] * 5 for _ in range(DIVISOR)]


def test_divisor():
    assert uart.baud_divisor(12_000_000, 115200) == 104
    assert uart.baud_divisor(25_000_000, 3_125_000) == 8
    assert uart.baud_divisor(100_000_000, 1_000_000) == 100


@pytest.mark.parametrize(("clock", "baud"), [(12_000_000, 3_000_000), (25_000_000, 3_000_000), (12_000_000, 0)])
def test_impossible_baud_rate(clock, baud):
    with pytest.raises(HwgenError, match=f"baud rate {baud} cannot be made from a clock of {clock / 1e6:g} MHz"):
        uart.baud_divisor(clock, baud)


@pytest.mark.parametrize("kind", [uart.Receiver, uart.Transmitter])
def test_divisor_too_small(kind):
    with pytest.raises(ValueError, match="divisor must be at least 8, not 7"):
        kind(7)
