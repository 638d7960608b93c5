"""The board top as a host sees it: bits on two wires, in continuous time."""

import inspect
import random
import types

import pytest
from amaranth.sim import Simulator

from hwgen.boards import top as top_module
from hwgen.errors import HwgenError

CLOCK_HZ = 1_600_000
BAUD = 100_000
BIT = 1 / BAUD
PAUSE = 40  # bits; the time-out of the design under test


class Host:
    """A program on the other side of the wires; ``speed`` is the length of its bits relative to nominal."""

    def __init__(self, core, *, speed=1.0, module=top_module):
        self.dut = module.BoardTop(core, clock_hz=CLOCK_HZ, baud=BAUD, timeout_s=PAUSE * BIT)
        self.speed = speed
        self.received = bytearray()
        self.lamps = []

    async def send(self, ctx, octets, *, stop=1):
        """The bytes one right after the other."""
        for octet in octets:
            for level in (0, *(octet >> bit & 1 for bit in range(8)), stop):
                ctx.set(self.dut.rx, level)
                await ctx.delay(BIT * self.speed)
        ctx.set(self.dut.rx, 1)

    async def pause(self, ctx, bits=2 * PAUSE):
        await ctx.delay(bits * BIT)

    async def expect(self, ctx, words):
        """Wait until ``words`` more words than were taken before have come; fail when they do not."""
        waited = 0
        while len(self.received) < 4 * words:
            await ctx.delay(BIT)
            waited += 1
            assert waited < 100 * words, f"{len(self.received)} bytes of {4 * words} came"
        data, self.received = self.received[: 4 * words], self.received[4 * words :]
        return [int.from_bytes(data[n : n + 4], "little", signed=True) for n in range(0, len(data), 4)]

    async def silent(self, ctx):
        """Nothing is answered, now or for a while."""
        await ctx.delay(60 * BIT)
        assert bytes(self.received) == b""

    async def _listen(self, ctx):
        while True:
            await ctx.negedge(self.dut.tx)
            await ctx.delay(BIT * self.speed / 2)
            value = 0
            for bit in range(8):
                await ctx.delay(BIT * self.speed)
                value |= ctx.get(self.dut.tx) << bit
            await ctx.delay(BIT * self.speed)
            assert ctx.get(self.dut.tx) == 1, "the stop bit must be high"
            self.received.append(value)

    def run(self, program):
        sim = Simulator(self.dut)
        sim.add_clock(1 / CLOCK_HZ)

        async def main(ctx):
            await ctx.delay(3.3 * BIT)
            await program(ctx)

        sim.add_testbench(main)
        sim.add_testbench(self._listen, background=True)
        sim.run()


def frames_for(core, count, seed=1):
    rng = random.Random(seed)
    return [rng.randbytes(core.lanes * core.input_beats) for _ in range(count)]


@pytest.mark.parametrize("lanes", [1, 2, 3, 4])
def test_answers_in_turn(checksum_core, lanes):
    core = checksum_core(lanes, 5, 3)
    host = Host(core)

    async def program(ctx):
        for frame in frames_for(core, 3):
            await host.send(ctx, frame)
            assert await host.expect(ctx, 3) == core.answer(frame)

    host.run(program)


@pytest.mark.parametrize(("lanes", "words"), [(2, 4), (3, 3), (4, 12)])
def test_words_of_a_beat_leave_in_order(checksum_core, lanes, words):
    """A beat per frame, two, three; frames that are sent ahead find the words of the one before on the line."""
    core = checksum_core(2, 5, words, output_lanes=lanes)
    host = Host(core)

    async def program(ctx):
        frames = frames_for(core, 3)
        await host.send(ctx, b"".join(frames))
        assert await host.expect(ctx, 3 * words) == [word for frame in frames for word in core.answer(frame)]
        await host.silent(ctx)
        assert ctx.get(host.dut.active) == 0
        await host.send(ctx, frames[0])
        assert await host.expect(ctx, words) == core.answer(frames[0])

    host.run(program)


@pytest.mark.parametrize("speed", [0.98, 1.02])
def test_back_to_back_at_two_percent(checksum_core, speed):
    """Frames without a gap between them, while the answers come, from a host whose clock is off."""
    core = checksum_core(2, 12, 3, stall=30)
    host = Host(core, speed=speed)

    async def program(ctx):
        frames = frames_for(core, 4)
        await host.send(ctx, b"".join(frames))
        assert await host.expect(ctx, 12) == [word for frame in frames for word in core.answer(frame)]
        await host.silent(ctx)

    host.run(program)


def test_core_slower_than_the_line(checksum_core):
    """A beat every five characters: the buffer holds what the core cannot take yet, within the frame and beyond."""
    core = checksum_core(1, 20, 1, stall=800, think=500)
    host = Host(core)

    async def program(ctx):
        frames = frames_for(core, 3)
        await host.send(ctx, b"".join(frames))
        await host.pause(ctx, 3 * 20 * 50)
        assert await host.expect(ctx, 3) == [word for frame in frames for word in core.answer(frame)]

    host.run(program)


def test_truncated_frame_is_dropped_after_a_pause(checksum_core):
    core = checksum_core(2, 5, 2)
    host = Host(core)

    async def program(ctx):
        good, cut, other = frames_for(core, 3)
        await host.send(ctx, good)
        await host.send(ctx, cut[:7])
        assert await host.expect(ctx, 2) == core.answer(good)  # the frame before is answered all the same
        await host.pause(ctx)
        assert ctx.get(host.dut.error)
        assert not ctx.get(host.dut.active)
        await host.silent(ctx)
        await host.send(ctx, other)
        assert await host.expect(ctx, 2) == core.answer(other)
        assert not ctx.get(host.dut.error)

    host.run(program)


def test_gap_inside_a_frame_is_no_pause(checksum_core):
    core = checksum_core(1, 6, 1)
    host = Host(core)

    async def program(ctx):
        (frame,) = frames_for(core, 1)
        await host.send(ctx, frame[:2])
        await host.pause(ctx, PAUSE - 2)
        await host.send(ctx, frame[2:])
        assert await host.expect(ctx, 1) == core.answer(frame)

    host.run(program)


def test_pause_between_frames_is_no_error(checksum_core):
    core = checksum_core(1, 4, 1)
    host = Host(core)

    async def program(ctx):
        for frame in frames_for(core, 2):
            await host.pause(ctx, 3 * PAUSE)
            await host.send(ctx, frame)
            assert await host.expect(ctx, 1) == core.answer(frame)
            assert not ctx.get(host.dut.error)

    host.run(program)


def test_glitch_is_ignored(checksum_core):
    core = checksum_core(1, 4, 1)
    host = Host(core)

    async def program(ctx):
        (frame,) = frames_for(core, 1)
        for octet in frame:
            ctx.set(host.dut.rx, 0)
            await ctx.delay(0.3 * BIT)
            ctx.set(host.dut.rx, 1)
            await ctx.delay(1.5 * BIT)
            await host.send(ctx, [octet])
        assert await host.expect(ctx, 1) == core.answer(frame)

    host.run(program)


@pytest.mark.parametrize("place", [0, 3, 5])
def test_framing_error_drops_until_a_pause(checksum_core, place):
    """What follows a framing error is ignored, even a whole frame: where frames begin is not known any more."""
    core = checksum_core(2, 3, 1)
    host = Host(core)

    async def program(ctx):
        bad, lost, good = frames_for(core, 3)
        await host.send(ctx, bad[:place])
        await host.send(ctx, bad[place : place + 1], stop=0)
        await ctx.delay(2 * BIT)
        await host.send(ctx, bad[place + 1 :] + lost)
        assert ctx.get(host.dut.error)
        await host.silent(ctx)
        await host.pause(ctx)
        await host.send(ctx, good)
        assert await host.expect(ctx, 1) == core.answer(good)

    host.run(program)


def test_overrun_drops_the_frame_and_never_shifts(checksum_core):
    """A core that does not take anything for longer than the buffer lasts: whole frames answered, the rest dropped."""
    core = checksum_core(4, 60, 1, think=100_000)
    host = Host(core)

    async def program(ctx):
        frames = frames_for(core, 5)  # 240 bytes each; the first is in the core, two fit the 512 bytes
        await host.send(ctx, b"".join(frames[:4]))
        assert ctx.get(host.dut.error)
        await host.pause(ctx, 3 * 7000)
        assert await host.expect(ctx, 3) == [core.answer(frame)[0] for frame in frames[:3]]
        await host.send(ctx, frames[4])
        await host.pause(ctx, 7000)
        assert await host.expect(ctx, 1) == core.answer(frames[4])

    host.run(program)


def test_lamp_shows_activity(checksum_core):
    core = checksum_core(1, 3, 1)
    host = Host(core)

    async def program(ctx):
        (frame,) = frames_for(core, 1)
        assert not ctx.get(host.dut.active)
        await host.send(ctx, frame[:1])
        assert ctx.get(host.dut.active)
        await host.send(ctx, frame[1:])
        await host.expect(ctx, 1)
        assert not ctx.get(host.dut.active)

    host.run(program)


MUTANTS = {
    "output byte order": ("octets.payload.eq(word[:8])", "octets.payload.eq(word[24:])"),
    "input byte order": ("Cat(beat, octets.payload)[8:]", "Cat(octets.payload, beat)[: 8 * port.lanes]"),
    "no resynchronisation": ("frames.drop.eq(failure | (pause & frames.partial))", "frames.drop.eq(failure)"),
    "frame length": ("index == port.beats - 1", "index == port.beats - 2"),
}


def resynchronise(core, module):
    """The scenario that mutants are tried with: a truncated frame, a pause, two good frames."""
    host = Host(core, module=module)

    async def program(ctx):
        cut, good, other = frames_for(core, 3)
        await host.send(ctx, cut[:4])
        await host.pause(ctx)
        await host.send(ctx, good + other)
        assert await host.expect(ctx, 4) == core.answer(good) + core.answer(other)

    host.run(program)


def test_resynchronises_in_the_middle_of_a_beat(checksum_core):
    resynchronise(checksum_core(3, 3, 2), top_module)


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_caught(checksum_core, name):
    source, (old, new) = inspect.getsource(top_module), MUTANTS[name]
    assert source.count(old) == 1
    module = types.ModuleType(top_module.__name__)
    module.__package__ = top_module.__package__
    exec(compile(source.replace(old, new), top_module.__file__, "exec"), module.__dict__)
    with pytest.raises(AssertionError):
        resynchronise(checksum_core(3, 3, 2), module)


def test_errors(checksum_core):
    core = checksum_core(1, 3, 1)
    with pytest.raises(HwgenError, match="baud rate 921600 cannot be made"):
        top_module.BoardTop(core, clock_hz=1e6, baud=921600)
    with pytest.raises(ValueError, match="timeout_s must be at least two characters, not 1e-05"):
        top_module.BoardTop(core, clock_hz=CLOCK_HZ, baud=BAUD, timeout_s=1e-5)
