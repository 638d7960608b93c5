"""The line buffer against NumPy's windows: every word of every window, with its flags, in order."""

import numpy as np
import pytest
from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import hwgen.rtl.window
from hwgen.interval import Interval
from hwgen.reference.window import padded
from hwgen.rtl.window import Window
from hwgen.sizing.folding import divisors
from hwgen.sizing.geometry import Geometry

from .drive import beats, words_of

BYTE = Interval(0, 15)


def expected(x, geometry, simd, repeat, pad, unroll=(1, 1)):
    """(data, first, last) of every beat of the frames ``x`` (N, H, W, C), by slicing."""
    maps = padded(x, geometry.pads, np.array(pad))
    rows, columns = geometry.output
    result = []
    for frame in maps:
        for row in range(rows):
            for column in range(columns):
                top, left = row * geometry.stride[0], column * geometry.stride[1]
                (height, width), (down, across) = geometry.extent, geometry.dilation
                taps = frame[top : top + height : down, left : left + width : across]
                each = simd if geometry.channelwise else taps.shape[2] // geometry.groups
                turns = [blocks(taps[..., c : c + each], simd, unroll) for c in range(0, taps.shape[2], each)]
                for words in [words for words in turns for _ in range(repeat)]:
                    for number, word in enumerate(words.tolist()):
                        result.append((word, number == 0, number == len(words) - 1))
    return result


def blocks(taps, simd, unroll):
    """The words of the taps (rows, columns, channels) of a window: (block, word, row, column, channel) in order."""
    words = [
        taps[row : row + unroll[0], column : column + unroll[1], channel : channel + simd].reshape(-1)
        for row in range(0, taps.shape[0], unroll[0])
        for column in range(0, taps.shape[1], unroll[1])
        for channel in range(0, taps.shape[2], simd)
    ]
    return np.array(words)


CASES = {
    "3x3": (Geometry((4, 5, 1), (3, 3), (1, 1), (0, 0, 0, 0)), 1, 1),
    "padded": (Geometry((3, 4, 2), (3, 3), (1, 1), (1, 1, 1, 1)), 1, 1),
    "wide padded": (Geometry((3, 3, 4), (3, 3), (1, 1), (1, 1, 1, 1)), 4, 3),
    "lopsided pads": (Geometry((3, 4, 1), (2, 3), (1, 1), (0, 2, 1, 0)), 1, 2),
    "full padding": (Geometry((3, 3, 1), (3, 3), (1, 1), (2, 2, 2, 2)), 1, 1),
    "pads wider than the kernel": (Geometry((3, 3, 2), (2, 2), (1, 1), (3, 3, 3, 4)), 1, 1),
    "pads only": (Geometry((2, 2, 1), (2, 2), (2, 2), (2, 2, 2, 2)), 1, 1),
    "padding beyond a wide stride": (Geometry((6, 5, 1), (2, 2), (1, 8), (7, 7, 3, 1)), 1, 1),
    "padding all around a wide map": (Geometry((2, 3, 4), (1, 4), (3, 1), (6, 7, 1, 2)), 1, 1),
    "windows between the pixels": (Geometry((4, 4, 1), (1, 1), (3, 4), (5, 1, 7, 3)), 1, 2),
    "no pixel is read": (Geometry((2, 2, 1), (1, 1), (4, 4), (1, 1, 2, 2)), 1, 1),
    "high above the map": (Geometry((2, 2, 1), (1, 1), (1, 1), (9, 0, 0, 0)), 1, 1),
    "long bottom": (Geometry((2, 2, 1), (1, 1), (1, 1), (0, 0, 9, 0)), 1, 1),
    "stride 2": (Geometry((5, 5, 2), (3, 3), (2, 2), (0, 0, 0, 0)), 2, 1),
    "stride over kernel": (Geometry((5, 7, 1), (2, 2), (3, 3), (0, 0, 0, 0)), 1, 1),
    "skips rows and columns": (Geometry((7, 6, 2), (1, 1), (3, 2), (0, 0, 0, 0)), 1, 2),
    "last rows unused": (Geometry((6, 5, 1), (2, 2), (4, 4), (0, 0, 0, 0)), 1, 1),
    "tall kernel": (Geometry((5, 3, 1), (4, 1), (1, 1), (0, 0, 0, 0)), 1, 1),
    "padded dense": (Geometry((2, 2, 2), (4, 4), (1, 1), (1, 1, 1, 1)), 2, 2),
    "one row": (Geometry((1, 7, 1), (1, 3), (1, 2), (0, 1, 0, 1)), 1, 1),
    "max 2x2": (Geometry((4, 4, 4), (2, 2), (2, 2), (0, 0, 0, 0), channelwise=True), 2, 1),
    "max overlapping padded": (Geometry((4, 4, 2), (3, 3), (2, 2), (1, 1, 0, 0), channelwise=True), 1, 1),
    "dilated": (Geometry((6, 7, 2), (3, 2), (1, 1), (0, 0, 0, 0), dilation=(2, 3)), 1, 2),
    "dilated padded": (Geometry((4, 5, 2), (3, 3), (1, 1), (2, 2, 2, 2), dilation=(2, 2)), 2, 1),
    "dilated strided max": (Geometry((7, 6, 2), (2, 2), (2, 2), (1, 0, 2, 1), True, dilation=(3, 4)), 1, 1),
    "the map lies between the taps": (Geometry((2, 2, 1), (2, 2), (1, 1), (3, 2, 2, 3), dilation=(5, 4)), 1, 1),
    "the first window straddles the map": (Geometry((2, 3, 1), (2, 1), (1, 1), (1, 0, 2, 0), dilation=(3, 1)), 1, 1),
    "2 groups": (Geometry((3, 4, 4), (2, 2), (1, 1), (1, 0, 0, 1), groups=2), 1, 2),
    "3 groups of one word": (Geometry((3, 4, 6), (2, 3), (1, 1), (0, 1, 1, 1), groups=3), 2, 2),
    "3 groups of three words": (Geometry((3, 3, 9), (2, 2), (2, 1), (1, 1, 0, 0), groups=3), 1, 1),
    "4 groups of a channel, dilated": (
        Geometry((4, 4, 4), (2, 2), (1, 1), (1, 1, 1, 1), groups=4, dilation=(2, 2)),
        1,
        3,
    ),
}


UNROLLED = {
    # name: (geometry, simd, repeat, unroll)
    "rows": (Geometry((5, 4, 2), (3, 2), (1, 1), (0, 0, 0, 0)), 1, 1, (3, 1)),
    "columns": (Geometry((4, 7, 2), (2, 4), (1, 1), (0, 0, 0, 0)), 2, 1, (1, 2)),
    "blocks of both": (Geometry((6, 7, 2), (4, 6), (1, 1), (0, 0, 0, 0)), 1, 2, (2, 3)),
    "whole kernel of one channel": (Geometry((6, 5, 1), (3, 3), (1, 1), (1, 1, 1, 1)), 1, 1, (3, 3)),
    "whole kernel, strided": (Geometry((6, 6, 3), (3, 3), (2, 2), (0, 0, 1, 1)), 3, 1, (3, 3)),
    "a beat per window, twice": (Geometry((4, 5, 1), (2, 2), (1, 2), (1, 0, 0, 1)), 1, 2, (2, 2)),
    "pads of every side": (Geometry((4, 4, 2), (4, 3), (1, 1), (3, 1, 2, 2)), 1, 1, (2, 3)),
    "pads wider than the kernel": (Geometry((3, 3, 2), (2, 2), (1, 1), (3, 3, 3, 4)), 1, 1, (2, 2)),
    "blocks outside the map": (Geometry((3, 3, 1), (4, 4), (1, 1), (2, 3, 3, 2)), 1, 1, (2, 2)),
    "padding beyond a wide stride": (Geometry((6, 5, 1), (2, 2), (1, 8), (7, 7, 3, 1)), 1, 1, (2, 1)),
    "stride over kernel": (Geometry((5, 7, 1), (2, 2), (3, 3), (0, 0, 0, 0)), 1, 1, (1, 2)),
    "dilated": (Geometry((6, 7, 2), (3, 2), (1, 1), (2, 1, 2, 3), dilation=(2, 3)), 1, 2, (3, 2)),
    "dilated blocks": (Geometry((8, 5, 1), (4, 2), (1, 1), (0, 0, 0, 0), dilation=(2, 3)), 1, 1, (2, 2)),
    "the map lies between the taps": (
        Geometry((2, 2, 1), (2, 2), (1, 1), (3, 2, 2, 3), dilation=(5, 4)),
        1,
        1,
        (2, 2),
    ),
    "groups": (Geometry((3, 4, 6), (2, 3), (1, 1), (0, 1, 1, 1), groups=3), 1, 2, (2, 3)),
    "depthwise": (Geometry((4, 4, 6), (3, 3), (1, 1), (1, 1, 1, 1), channelwise=True), 2, 1, (3, 3)),
    "depthwise rows, strided": (Geometry((5, 6, 4), (3, 3), (2, 2), (0, 1, 1, 0), channelwise=True), 4, 1, (3, 1)),
}


def check(geometry, simd, repeat, unroll=(1, 1), count=3, **stalls):
    rng = np.random.default_rng(1)
    x = rng.integers(0, 16, (count, *geometry.shape))
    pad = rng.integers(0, 16, geometry.shape[2]).tolist()
    want = expected(x, geometry, simd, repeat, pad, unroll)
    dut = Window(BYTE, geometry, simd, repeat=repeat, pad=pad, unroll=unroll)
    # One more frame than is read: the reader must not wait for it, nor be disturbed by it.
    words = words_of(np.concatenate([x, x[:1]]), simd)
    data, first, last, cycles = beats(dut, words, len(want), limit=2_000, **stalls)
    assert list(zip(data, first, last, strict=True)) == want
    return cycles, len(want) // count


@pytest.mark.parametrize("name", [*CASES, *UNROLLED])
@pytest.mark.parametrize("stalls", [{}, {"stall_in": 0.5, "seed": 1}, {"no_room": 0.7, "seed": 2}], ids=str)
def test_windows(name, stalls):
    check(*(CASES | UNROLLED)[name], **stalls)


@pytest.mark.parametrize(
    "name",
    ["3x3", "padded", "wide padded", "lopsided pads", "stride 2", "max 2x2", "dilated", "dilated padded", "2 groups"],
)
def test_never_idle(name):
    """Once a frame is in, a beat leaves in every cycle, across pixels, rows and frames."""
    geometry, simd, repeat = CASES[name]
    cycles, per_frame = check(geometry, simd, repeat, count=4)
    steady = cycles[per_frame:]
    assert per_frame >= geometry.shape[0] * geometry.shape[1] * geometry.words_per_pixel(simd), (
        "output is the bottleneck"
    )
    assert steady[-1] - steady[0] == len(steady) - 1


@st.composite
def geometries(draw):
    """Small maps under any window: strides beyond the kernel, pads beyond both."""
    pads = st.sampled_from([0, 0, 1, 2, 3, 7, 9])
    shape = (draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.sampled_from([1, 2, 4])))
    around = (draw(pads), draw(pads), draw(pads), draw(pads))
    kernel = (
        draw(st.integers(1, min(4, shape[0] + around[0] + around[2]))),
        draw(st.integers(1, min(4, shape[1] + around[1] + around[3]))),
    )
    stride = (draw(st.integers(1, 8)), draw(st.integers(1, 8)))
    dilation = (draw(st.sampled_from([1, 1, 2, 3, 6])), draw(st.sampled_from([1, 1, 2, 3, 6])))
    groups = draw(st.sampled_from([d for d in (0, 1, 1, 2, 4) if d == 0 or shape[2] % d == 0]))
    geometry = Geometry(shape, kernel, stride, around, groups == 0, dilation, max(groups, 1))
    assume(min(geometry.output) > 0)
    rows, columns = geometry.output
    assume(rows * columns * kernel[0] * kernel[1] * shape[2] <= 1_000)  # simulated cycles per frame
    return geometry


STALLS = [{}, {"stall_in": 0.5, "seed": 1}, {"stall_in": 0.9, "seed": 2}, {"no_room": 0.6, "seed": 3}]


@settings(derandomize=True, max_examples=120, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(geometries(), st.data())
def test_any_window(geometry, data):
    simd = data.draw(st.sampled_from([d for d in (1, 2, 4) if geometry.shape[2] // geometry.groups % d == 0]))
    repeat = 1 if geometry.channelwise else data.draw(st.integers(1, 2))
    unroll = tuple(data.draw(st.sampled_from(divisors(taps))) for taps in geometry.kernel)
    check(geometry, simd, repeat, unroll, **data.draw(st.sampled_from(STALLS)))


class Colliding(wiring.Component):
    """A memory that reads the complement of a word which is written in the same cycle."""

    def __init__(self, *, shape, depth, init, attrs):
        self._memory = Memory(shape=shape, depth=depth, init=init)
        self._write = self._memory.write_port()
        self._read = self._memory.read_port()
        self._port = wiring.Signature({"addr": In(range(depth)), "data": Out(shape)}).create()
        super().__init__({})

    def write_port(self):
        return self._write

    def read_port(self):
        return self._port

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = self._memory
        collided = Signal()
        m.d.comb += self._read.addr.eq(self._port.addr)
        m.d.sync += collided.eq(self._write.en & (self._write.addr == self._port.addr))
        read = Value.cast(self._read.data)
        m.d.comb += Value.cast(self._port.data).eq(Mux(collided, ~read, read))
        return m


@pytest.mark.parametrize("name", [*CASES, *UNROLLED])
def test_no_word_is_used_in_the_cycle_in_which_it_is_written(name, monkeypatch):
    """Synthesis is told so: the word would be old, new or neither, whatever the block RAM does."""
    monkeypatch.setattr(hwgen.rtl.window, "Memory", Colliding)
    check(*(CASES | UNROLLED)[name], stall_in=0.5, seed=4)


@pytest.mark.parametrize(
    ("pads", "dilation"),
    [((3, 0, 0, 0), (1, 1)), ((0, 2, 1, 1), (1, 1)), ((2, 2, 2, 2), (1, 1)), ((1, 0, 1, 0), (3, 1))],
    ids=str,
)
def test_no_window_before_its_frame(pads, dilation):
    """A first window in the padding needs no pixel, but a result of a frame that may never come would be wrong."""
    geometry = Geometry((2, 3, 1), (2, 2), (1, 1), pads, dilation=dilation)
    dut = Window(BYTE, geometry, 1, pad=[5])
    words = words_of(np.arange(12).reshape(2, 2, 3, 1), 1)
    per_frame = len(expected(np.zeros((1, 2, 3, 1), int), geometry, 1, 1, [5]))
    with pytest.raises(AssertionError, match=f"no beat for 500 cycles after {2 * per_frame} of"):
        beats(dut, words, 3 * per_frame)


def test_refuses_pads_of_the_wrong_length():
    with pytest.raises(ValueError, match="pad must be one value for each of 2 channels, not 1"):
        Window(BYTE, Geometry((3, 3, 2), (2, 2), (1, 1), (1, 1, 1, 1)), 1, pad=[0])


def test_refuses_simd_that_does_not_divide():
    with pytest.raises(ValueError, match="SIMD must divide the 3 input channels, not 2"):
        Window(BYTE, Geometry((3, 3, 3), (2, 2), (1, 1), (0, 0, 0, 0)), 2)


def test_refuses_blocks_that_do_not_divide():
    with pytest.raises(ValueError, match=r"unroll must divide the kernel of \(3, 2\) taps, not \(2, 2\)"):
        Window(BYTE, Geometry((3, 3, 3), (3, 2), (1, 1), (0, 0, 0, 0)), 1, unroll=(2, 2))
