"""The checks of the graph's components: each of these faults, planted in the design, is caught by an ordinary check."""

import numpy as np
import pytest

import hwgen.rtl.add
import hwgen.rtl.remap
import hwgen.rtl.rescale
import hwgen.rtl.table
from hwgen.rtl.add import AddEngine
from hwgen.rtl.concat import ConcatEngine
from hwgen.rtl.fork import Fork
from hwgen.rtl.remap import RemapEngine
from hwgen.rtl.table import TableEngine

from ..networks import frames
from . import test_add, test_concat, test_fork, test_remap, test_table
from .mutants import mutate
from .streams import assert_streams_exactly

STALLS = {"stall_in": 0.1, "stall_out": 0.6, "seed": 3}


def forked():
    """A fork to three that stall one by one."""
    test_fork.test_everyone_gets_everything(3, 0.2, 0.5)


def added():
    """Five tensors whose sum reaches both clips, and three words per pixel of different biases, under stalls."""
    for name, lanes in (("five", 1), ("single pixel", 2)):
        layer, sources = test_add.make(name)
        assert_streams_exactly(layer, sources, lanes, test_add.maps_of(sources, 8), **STALLS)
    test_add.test_ends_of_the_interval((-3, -85), 3)


def joined():
    """Four sources of which some are rescaled, under stalls."""
    for seed in range(3):
        layer, sources = test_concat.make("four rescaled", seed)
        assert_streams_exactly(layer, sources, 2, test_concat.maps_of(sources, 4), **STALLS)


def looked_up():
    """Tables per channel, three words per pixel, of signed values."""
    layer, source = test_table.make("single pixel", True, test_table.SIGNED)
    x = frames(np.random.default_rng(1), source, 20)
    assert_streams_exactly(layer, [source], 2, [x], **STALLS)


def moved():
    """Shuffles with fill, dropped rows and rows that are read twice, under stalls and without."""
    for name in ("depth to space", "pad and crop", "fill between", "top dropped, rest twice"):
        source, layer = test_remap.LAYERS[name]()
        x = frames(np.random.default_rng(1), source, 4)
        assert_streams_exactly(layer, [source], 1, [x], **STALLS)
        assert_streams_exactly(layer, [source], 1, [x])


CHECKS = {check.__name__: check for check in (forked, added, joined, looked_up, moved)}

MUTANTS = {
    # name: (check, owner, function, old, new)
    "a word is given twice": (
        "forked", Fork, "elaborate", "valid & ~o.ready)", "valid)"
    ),
    "one consumer is not waited for": (
        "forked", Fork, "elaborate", "zip(valids, self.outputs, strict=True)))",
        "zip(valids[1:], self.outputs[1:], strict=True)))"
    ),
    "one source is not waited for": (
        "added", AddEngine, "elaborate", "for i in self.inputs)) & queue.room",
        "for i in self.inputs[1:])) & queue.room"
    ),
    "bias of the wrong channel": (
        "added", AddEngine, "elaborate", "index == words - 1, 0, index + 1", "index == words - 1, 0, index"
    ),
    "subtracted the wrong way round": (
        "added", hwgen.rtl.rescale, "_add", "plus.value - minus.value", "minus.value - plus.value"
    ),
    "two negative terms are positive": (
        "added", hwgen.rtl.rescale, "_add", "pair[0].value + pair[1].value, pair[0].sign",
        "pair[0].value + pair[1].value, 1"
    ),
    "partial sum is one bit too narrow": (
        "added", hwgen.rtl.rescale, "_add", "shape_of(_reach(factors, operands))",
        "Shape(_reach(factors, operands).bits - 1, _reach(factors, operands).signed)"
    ),
    "lower clip is off by one": (
        "added", hwgen.rtl.add, "rescale", "Mux(floor < lo, lo, floor)", "Mux(floor < lo, lo + 1, floor)"
    ),
    "upper clip is missing": (
        "added", hwgen.rtl.add, "rescale", "Mux(floor > hi, hi, below) if reach.hi > hi else below", "below"
    ),
    "source is chosen a word too late": (
        "joined", ConcatEngine, "_turns", "count - 1 for count", "count for count"
    ),
    "words overtake": (
        "joined", ConcatEngine, "_path", "depth - self._latency(rule)", "depth - self._latency(rule) - (rule is None)"
    ),
    "path is chosen too early": (
        "joined", ConcatEngine, "elaborate", "range(depth)", "range(depth - 1)"
    ),
    "negative values are not where they belong": (
        "looked_up", hwgen.rtl.table, "table_words", "bits - size if source.signed", "bits if source.signed"
    ),
    "table of the wrong channel": (
        "looked_up", TableEngine, "elaborate", "Cat(self.i.payload[lane], index)",
        "Cat(self.i.payload[lane], index * 0)"
    ),
    "rows are overwritten": (
        "moved", RemapEngine, "_write", "(vacant != 0)", "1"
    ),
    "row is freed before it is read": (
        "moved", RemapEngine, "elaborate", "delayed(m, release, READ_CYCLES)", "complete"
    ),
    "rows are read before they are complete": (
        "moved", RemapEngine, "_read", "(stored != 0)", "1"
    ),
    "dropped rows are stored": (
        "moved", RemapEngine, "_write", "odometer.step & keep", "odometer.step"
    ),
    "ring wraps a row too late": (
        "moved", RemapEngine, "_read", "(rows.buffer_rows - 1) * rows.row_words", "rows.buffer_rows * rows.row_words"
    ),
    "fill comes a cycle early": (
        "moved", RemapEngine, "_read", "delayed(m, empty, READ_CYCLES)", "delayed(m, empty, READ_CYCLES - 1)"
    ),
    "flags are not read ahead": (
        "moved", hwgen.rtl.remap, "flag", "[*values[1:], values[0]]", "[*values]"
    ),
    "rows are freed one output row too late": (
        "moved", RemapEngine, "_read", "rows.releases, odometer", "[False, *rows.releases[:-1]], odometer"
    ),
}  # fmt: skip


@pytest.mark.parametrize("check", CHECKS)
def test_the_design_passes(check):
    CHECKS[check]()


@pytest.mark.parametrize("name", MUTANTS)
def test_the_fault_is_caught(name, monkeypatch):
    check, *fault = MUTANTS[name]
    mutate(monkeypatch, *fault)
    with pytest.raises(AssertionError):
        CHECKS[check]()
