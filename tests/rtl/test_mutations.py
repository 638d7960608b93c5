"""The checks themselves: each of these faults, planted in the design, is caught by an ordinary check.

Every fault names the check that must catch it; the same check passes on the design as it is.
"""

import numpy as np
import pytest

import hwgen.rtl.conv
import hwgen.rtl.pe
import hwgen.rtl.product
import hwgen.rtl.window
from hwgen.floatnet import PoolKind
from hwgen.interval import Interval
from hwgen.plan import Folding
from hwgen.rtl.conv import ConvEngine
from hwgen.rtl.direct import Direct
from hwgen.rtl.divisors import DivisorIndex
from hwgen.rtl.frame import Egress, Ingress
from hwgen.rtl.pe import PE
from hwgen.rtl.pool import PoolEngine
from hwgen.rtl.queue import Queue
from hwgen.rtl.requant import Requantizer
from hwgen.rtl.results import Results
from hwgen.rtl.top import Core
from hwgen.rtl.width import Narrow, Widen
from hwgen.rtl.window import Window

from ..networks import BYTE, SIGNED, conv, depthwise, frames, pool, tensor
from . import test_frame, test_pe, test_width, test_window
from .drive import assert_exact
from .mutants import mutate
from .test_conv import extremes
from .test_top import check_core, small


def windowed():
    """A padded convolution with groups and serialised results, under stalls."""
    rng = np.random.default_rng(0)
    source = tensor((4, 3, 2), BYTE)
    layer = conv(rng, source, 4, (3, 3), pads=(1, 1, 1, 1))
    x = frames(rng, source, 3)
    assert_exact(layer, source, Folding(2, 1, 1), x)
    assert_exact(layer, source, Folding(4, 2, 2), x, stall_in=0.1, stall_out=0.9, seed=1)


def dense():
    """A dense layer whose inputs drive the accumulators to both ends of their interval."""
    rng = np.random.default_rng(1)
    source = tensor((2, 1, 4), SIGNED)
    layer = conv(rng, source, 4, (2, 1), output=Interval.of_bits(16, signed=True))
    x = np.concatenate([extremes(layer, source), frames(rng, source, 4)])
    assert_exact(layer, source, Folding(2, 2, 1), x)
    assert_exact(layer, source, Folding(4, 4, 4), x, stall_in=0.3, stall_out=0.7, seed=1)


def chained():
    """Chains of which the last is not full, in a code whose step adders take and in one whose sign they take."""
    rng = np.random.default_rng(6)
    source = tensor((1, 2, 6), SIGNED)
    for book in ("e2m1", "int4"):
        layer = conv(rng, source, 2, (1, 2), output=Interval.of_bits(16, signed=True), book=book)
        assert_exact(layer, source, Folding(2, 6, 1), frames(rng, source, 4), stall_in=0.3, stall_out=0.5, seed=1)


def sums():
    """Chains and a tree of them at both ends of their intervals."""
    test_pe.test_largest_sums("e2m1", SIGNED)


def pooled():
    """A padded maximum and a global average of signed values."""
    rng = np.random.default_rng(2)
    source = tensor((4, 4, 2), Interval(-128, -20))
    maximum = pool(rng, source, PoolKind.MAX, (3, 3), (2, 2), pads=(1, 1, 0, 0))
    average = pool(rng, source, PoolKind.AVERAGE, (4, 4), (1, 1), output=SIGNED)
    for layer in (maximum, average):
        assert_exact(layer, source, Folding(1, 1, 1), frames(rng, source, 3), stall_out=0.5)


def divided():
    """A padded average that divides by the taps inside the map, with fewer rows than columns and two words a pixel."""
    rng = np.random.default_rng(3)
    source = tensor((3, 5, 4), SIGNED)
    layer = pool(rng, source, PoolKind.AVERAGE, (3, 4), (1, 1), pads=(1, 2, 1, 1), count_inside=True)
    assert_exact(layer, source, Folding(2, 2, 2), frames(rng, source, 3), stall_out=0.3)


def grouped():
    """Two words and two repetitions in each of three padded groups, dilated by other steps down than across."""
    rng = np.random.default_rng(4)
    source = tensor((4, 5, 6), BYTE)
    layer = conv(rng, source, 6, (2, 3), groups=3, dilation=(3, 2), pads=(2, 1, 1, 3))
    assert_exact(layer, source, Folding(1, 1, 1), frames(rng, source, 3), stall_in=0.3, stall_out=0.3)


def channelwise():
    """Depthwise convolutions, padded and of the whole map, of several words a pixel."""
    rng = np.random.default_rng(5)
    source = tensor((3, 4, 6), BYTE)
    padded = depthwise(rng, source, (3, 3), pads=(1, 1, 1, 1))
    whole = depthwise(rng, source, (3, 4))
    for layer in (padded, whole):
        assert_exact(layer, source, Folding(2, 2, 1), frames(rng, source, 4), stall_in=0.2, stall_out=0.5)


def between():
    """The first window has its taps above the map and below it; its result belongs to a frame that has begun."""
    test_window.test_no_window_before_its_frame((1, 0, 1, 0), (3, 1))


def core():
    """A whole core with damaged frames between good ones, under stalls."""
    net, foldings = small()
    x = frames(np.random.default_rng(5), net.input, 5)
    check_core(net, foldings, x, cut=(1,), stretch=(3,), stall_in=0.2, stall_out=0.6, seed=2)


def widths():
    """The lane converters, stalled on both sides."""
    stalls = {"stall_in": 0.2, "stall_out": 0.85, "seed": 1}
    test_width.test_widen(2, 3, stalls)
    test_width.test_narrow(2, 3, stalls)


def framing():
    """Short, good and long frames of two beats in every order, from a source that pauses."""
    test_frame.test_every_pair_of_lengths(2, {"stall_in": 0.5, "seed": 1})


CHECKS = {
    check.__name__: check
    for check in (windowed, dense, chained, sums, pooled, divided, grouped, channelwise, between, core, widths, framing)
}

MUTANTS = {
    # name: (check, owner, function, old, new)
    "ones' complement is not corrected": (
        "windowed", ConvEngine, "_requantizer", "add + mul * negative", "add"
    ),
    "rounding half is missing": (
        "windowed", ConvEngine, "_requantizer", "add + mul * negative",
        "add + mul * negative - (1 << requant.shift - 1)"
    ),
    "window begins one word late": (
        "windowed", Window, "elaborate", "start = -(top * width + left) * self._words",
        "start = 1 - (top * width + left) * self._words"
    ),
    "window moves one column too far": (
        "windowed", Window, "_loops", "stride_right * words, column", "stride_right * words + words, column"
    ),
    "rows of taps are next to each other": (
        "grouped", Window, "_loops", "down * width * words, row=down", "width * words, row=1"
    ),
    "taps in the padding are counted as if side by side": (
        "grouped", Window, "_loops", "right * words, column=right", "right * words, column=1"
    ),
    "groups overlap": (
        "grouped", Window, "_loops", "_Loop(self._turns, words // self._turns)", "_Loop(self._turns, 1)"
    ),
    "every group reads the first one's channels": (
        "grouped", Window, "_loops", "_Loop(self._turns, words // self._turns)", "_Loop(self._turns, 0)"
    ),
    "groups take turns too early": (
        "grouped", Window, "_loops",
        "_Loop(self._repeat),\n        _Loop(self._turns, words // self._turns)",
        "_Loop(self._turns, words // self._turns),\n        _Loop(self._repeat)"
    ),
    "padding is that of the first group": (
        "grouped", Window, "elaborate", "odometer.index[TURN][:turn_bits]", "Const(0, turn_bits)"
    ),
    "buffer is too small for taps that lie apart": (
        "grouped", hwgen.rtl.window, "buffer_words", "max(span(geometry), _steady(geometry))",
        "geometry.kernel[1] - geometry.shape[1]"
    ),
    "the map between the taps is not waited for": (
        "between", hwgen.rtl.window, "touching", "return rows, columns", "return np.ones(1), np.ones(1)"
    ),
    "PEs share a channel": (
        "channelwise", ConvEngine, "_lanes_of", "range(pe, simd * taps, simd)", "range(0, simd * taps, simd)"
    ),
    "channels of a pixel share an accumulator": (
        "channelwise", ConvEngine, "_make_feeder", "results if reduction > 1 else 1", "1"
    ),
    "groups of a pixel are reduced as one": (
        "channelwise", ConvEngine, "_make_feeder", "channelwise=geometry.channelwise", "channelwise=False"
    ),
    "padding is zero": (
        "windowed", Window, "_pad_value", "values = self._pad[channel :: self._simd]", "values = [0]"
    ),
    "right padding is not seen": (
        "windowed", Window, "_outside", "column >= width", "column > width"
    ),
    "buffer is overwritten": (
        "windowed", Window, "elaborate", "self.i.ready.eq(free)", "self.i.ready.eq(1)"
    ),
    "first flag of a window is stale": (
        "windowed", Window, "elaborate", "begins.eq(ends)", "begins.eq(begins)"
    ),
    "first flag of a stream is stale": (
        "dense", Direct, "elaborate", "begins.eq(ends_frame), ", ""
    ),
    "weights come in the wrong order": (
        "windowed", hwgen.rtl.conv, "rom_words", "(0, 2, 4, 6, 1, 3, 5, 7)", "(0, 4, 2, 6, 1, 3, 5, 7)"
    ),
    "weights of PEs are swapped": (
        "dense", hwgen.rtl.conv, "rom_words", "(2, 4, 6, 0, 1, 3, 5, 7)", "(2, 4, 6, 1, 0, 3, 5, 7)"
    ),
    "memory holds codes, not words": (
        "chained", hwgen.rtl.conv, "rom_words", "np.array(recipe(layer.codebook).stored)[layer.codes]", "layer.codes"
    ),
    "zero is not seen": (
        "chained", hwgen.rtl.pe, "operand", "(~zero).replicate", "(~never).replicate"
    ),
    "choices change places": (
        "chained", hwgen.rtl.pe, "operand", "m.Case(index)", "m.Case(len(how.choices) - 1 - index)"
    ),
    "word is a cycle ahead of its choice": (
        "chained", hwgen.rtl.pe, "operand", 'word = _registered(m, word, f"{name}_word1")', "pass"
    ),
    "every shift is the same": (
        "chained", hwgen.rtl.product, "_shifted", "shift_left(shift)", "shift_left(how.shifts[0])"
    ),
    "sign is swapped": (
        "dense", hwgen.rtl.pe, "operand", "negative.replicate", "(~negative).replicate"
    ),
    "step is too short": (
        "dense", hwgen.rtl.pe, "operand", "fill.replicate(how.step)", "fill.replicate(how.step - 1)"
    ),
    "step leaves zeros where the sign should be": (
        "dense", hwgen.rtl.pe, "operand", "fill.replicate(how.step)", "Const(0, how.step)"
    ),
    "step is decided too early": (
        "chained", hwgen.rtl.pe, "operand",
        'far = _registered(m, _decide(m, how.far, word, f"{name}_far"), f"{name}_far1")',
        'far = _decide(m, how.far, word, f"{name}_far")'
    ),
    "first lane of a chain takes no step": (
        "chained", hwgen.rtl.pe, "first_product", "Mux(value.far, value.distant, value.near)", "value.near"
    ),
    "first lane of a chain has no complement": (
        "chained", hwgen.rtl.pe, "first_product", "~wide & value.minus", "wide & value.minus"
    ),
    "later lanes of a chain take the opposite step": (
        "chained", hwgen.rtl.product, "mux_add", "y.eq(a + Mux(select, b, c))", "y.eq(a + Mux(select, c, b))"
    ),
    "later lanes of a chain have a two's complement": (
        "chained", hwgen.rtl.product, "sign_add", "-1 - b", "-b"
    ),
    "codes do not wait for their turn in a chain": (
        "chained", ConvEngine, "_turns", "[lane % CHAIN for", "[0 for"
    ),
    "activations do not wait for their turn in a chain": (
        "chained", ConvEngine, "elaborate", "weights.latency - 1 + place % CHAIN", "weights.latency - 1"
    ),
    "activations wait for their turn in a longer chain": (
        "chained", ConvEngine, "elaborate", "place % CHAIN", "place % (CHAIN + 1)"
    ),
    "channels wait as if they were a chain": (
        "channelwise", ConvEngine, "elaborate", "lane // folding.simd if layer.depthwise else lane", "lane"
    ),
    "a short chain does not wait for the others": (
        "chained", PE, "elaborate", "range(longest - lanes)", "range(0)"
    ),
    "sum of a chain is too narrow": (
        "sums", PE, "_chain", "shape_of(product * (place + 1))", "shape_of(product)"
    ),
    "sum of chains is too narrow": (
        "sums", PE, "elaborate", "product * longest", "product"
    ),
    "accumulator goes on from the last window's": (
        "windowed", PE, "elaborate", "self.more", "Const(1)"
    ),
    "accumulator never adds": (
        "windowed", PE, "elaborate", "self.more", "Const(0)"
    ),
    "accumulator is one bit too narrow": (
        "dense", PE, "elaborate", "shape_of(self._accumulator)",
        "Shape(self._accumulator.bits - 1, self._accumulator.signed)"
    ),
    "accumulator ring is one too long": (
        "dense", PE, "elaborate", "range(self._groups)", "range(self._groups + 1)"
    ),
    "lower clip is off by one": (
        "windowed", Requantizer, "_lane", "floor < lo, lo,", "floor < lo, lo + 1,"
    ),
    "upper clip wraps": (
        "windowed", Requantizer, "_lane", "Mux(floor > hi, hi, floor)", "floor"
    ),
    "shift is one too short": (
        "dense", Requantizer, "_lane", "floor.eq(total >> self._shift)", "floor.eq(total >> self._shift - 1)"
    ),
    "constants of the wrong channel": (
        "dense", Requantizer, "_count", "index == words - 1, 0, index + 1", "index == words - 1, 0, index"
    ),
    "claims are ignored": (
        "windowed", Queue, "elaborate", "self.room.eq(free >= self._words)", "self.room.eq(1)"
    ),
    "stalls of the sink are ignored": (
        "windowed", Queue, "elaborate", "store.r_en.eq(self.o.ready)", "store.r_en.eq(1)"
    ),
    "results are overrun": (
        "dense", Results, "elaborate", "queue.room & (pace == 0)", "queue.room"
    ),
    "maximum keeps the last window's": (
        "pooled", PoolEngine, "_combine", "first | (x > acc)", "x > acc"
    ),
    "sum starts from the last window's": (
        "pooled", PoolEngine, "_combine", "Mux(first, 0, acc)", "acc"
    ),
    "divisor of a column is that of a row": (
        "divided", DivisorIndex, "elaborate", "self._columns, odometer, 1", "self._columns, odometer, 2"
    ),
    "divisor changes a word too early": (
        "divided", DivisorIndex, "_axis", "odometer.step & odometer.carry[level - 1]", "odometer.step"
    ),
    "divisor is that of the first pixel": (
        "divided", DivisorIndex, "elaborate", "odometer.step.eq(self.step)", "odometer.step.eq(0)"
    ),
    "packed word is overwritten": (
        "widths", Widen, "elaborate", "~completes | ~full | self.o.ready", "1"
    ),
    "words are cut in the wrong order": (
        "widths", Narrow, "elaborate", "held[:width]", "held[-width:]"
    ),
    "long frame is not discarded": (
        "core", Ingress, "elaborate", "discarding.eq(~filling & ~self.tlast)", "discarding.eq(0)"
    ),
    "short frame is not filled": (
        "core", Ingress, "elaborate", "filling.eq(self.tlast)", "filling.eq(0)"
    ),
    "short frame is not reported": (
        "framing", Ingress, "elaborate", "self.error.eq(filling | ~self.tlast)", "self.error.eq(~self.tlast)"
    ),
    "tlast comes with the wrong word": (
        "core", Egress, "elaborate", "index == self._beats - 2", "index == self._beats - 1"
    ),
    "frames are counted twice": (
        "core", Core, "_count", '& self._port(first, "tlast")', ""
    ),
}  # fmt: skip


@pytest.mark.parametrize("check", CHECKS)
def test_the_design_passes(check):
    CHECKS[check]()


@pytest.mark.parametrize("name", MUTANTS)
def test_the_fault_is_caught(name, monkeypatch):
    check, *fault = MUTANTS[name]
    mutate(monkeypatch, *fault)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        CHECKS[check]()
