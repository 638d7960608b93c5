"""Choose, shift and add equals multiply: every code of every codebook with every 8-bit activation."""

from functools import cache

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hwgen.codes import CODES, explicit
from hwgen.interval import Interval
from hwgen.rtl.product import accumulate, first_product, multiple, operand
from hwgen.rtl.stream import shape_of
from hwgen.sizing.product import Absorbed, operand_luts, product_interval, recipe

from .drive import clocked

BOOKS = {
    **CODES,
    "lopsided": explicit([1, -3, 5, 7, 20], "lopsided"),
    "negative only": explicit([-1, -6], "negative only"),
    "positive only": explicit([1, 2, 3, 4, 6, 8, 12], "positive only"),
    "even": explicit([2, -2, 6, -6, 12, -12], "even"),
    "lopsided, no zero": explicit([1, -3, 5, 7, 20], "lopsided, no zero", zero_free=True),
    "one level": explicit([-6], "one level", zero_free=True),
    "one level and zero": explicit([12], "one level and zero"),
}
ACTIVATIONS = {"unsigned": Interval(0, 255), "signed": Interval(-128, 127)}

# Codes whose decisions are bits of the stored word; the others are looked up.
FIELDS = {
    *("e2m1", "e3m1", "pot3", "pot4", "pot5", "int3", "apot3", "radix4_3", "radix4_4", "ternary", "binary"),
    *("pot3-nozero", "pot4-nozero", "radix4_3-nozero", "radix4_4-nozero"),
    *("one level", "one level and zero", "positive only", "even"),
}


def canonical(book):
    return [code for code in range(len(book.levels)) if book.is_canonical(code)]


class Product(wiring.Component):
    """An operand as both ends of a chain take it: by itself, and added to ``total``."""

    def __init__(self, book, taps):
        self._book, self._taps = book, taps
        product = product_interval(book, taps) | Interval(-1, 0)
        self._sum = shape_of(product * 2)
        super().__init__(
            {
                "x": In(shape_of(taps)),
                "word": In(book.bits),
                "total": In(shape_of(product)),
                "first": Out(shape_of(product)),
                "sum": Out(self._sum),
            }
        )

    def elaborate(self, platform):
        m = Module()
        multiples = {}
        for base in recipe(self._book).bases:
            multiples[base] = Signal(shape_of(self._taps * base), name=f"x{base}")
            m.d.comb += multiples[base].eq(multiple(self.x, base))
        value = operand(m, self._book, self.word, multiples, self._taps, "lane")
        first = first_product(m, self._book, value, self._taps, "first_product")
        assert first.shape() == self.first.shape()
        total = accumulate(m, platform, self._book, self.total, value, self._sum, "lane_total")
        m.d.comb += [self.first.eq(first), self.sum.eq(total)]
        return m


def products(book, taps):
    """[(level, x, total, product, sum)] as the hardware says, for every canonical code and every activation.

    Of a codebook of more than 5 bits every 17th activation, which includes both ends of 8 bits. A new word and a new
    activation in every cycle, in random order; ``total`` is at its ends or anywhere between.
    """
    rng, how = np.random.default_rng(len(book.levels)), recipe(book)
    activations = range(taps.lo, taps.hi + 1, 1 if book.bits <= 5 else 17)
    cases = [(code, x) for code in canonical(book) for x in activations]
    cases = [cases[index] for index in rng.permutation(len(cases)).tolist()]
    ends = product_interval(book, taps) | Interval(-1, 0)
    totals = np.where(rng.random(len(cases)) < 0.5, rng.choice([ends.lo, ends.hi], len(cases)), 0)
    totals = np.where(totals == 0, rng.integers(ends.lo, ends.hi + 1, len(cases)), totals).tolist()
    late = [0] * how.stages
    rows = zip([how.stored[code] for code, _ in cases] + late, [x for _, x in cases] + late, late + totals, strict=True)
    first, total = clocked(
        Product(book, taps),
        list(rows),
        inputs=("word", "x", "total"),
        outputs=("first", "sum"),
        cycles=len(cases) + how.stages + 1,
    )
    seen = zip(cases, totals, first[how.stages + 1 :], total[how.stages + 1 :], strict=True)
    return [(book.levels[code], x, added, product, summed) for (code, x), added, product, summed in seen]


@cache
def _products(name, taps):
    return products(BOOKS[name], ACTIVATIONS[taps])


@pytest.mark.parametrize("taps", ACTIVATIONS)
@pytest.mark.parametrize("name", BOOKS)
def test_exhaustive(name, taps):
    for level, x, total, product, summed in _products(name, taps):
        assert product == level * x - (level < 0), f"level {level} times {x}"
        assert summed == total + level * x - (level < 0), f"{total} plus level {level} times {x}"


@pytest.mark.parametrize("taps", ACTIVATIONS)
@pytest.mark.parametrize("name", ["e2m1", "ternary", "negative only"])
def test_interval_is_tight(name, taps):
    """Both ends of the interval that sizes everything behind are reached."""
    interval = product_interval(BOOKS[name], ACTIVATIONS[taps])
    reached = [product for *_, product, _ in _products(name, taps)]
    assert (min(reached), max(reached)) == (interval.lo, interval.hi)


@pytest.mark.parametrize("name", BOOKS)
def test_recipe_rebuilds_every_level(name):
    """From the stored words alone."""
    book, how = BOOKS[name], recipe(BOOKS[name])
    for code in canonical(book):
        level, word = book.levels[code], how.stored[code]
        signs = how.positive.table[word], how.negative.table[word], how.zero.table[word]
        assert signs == (level > 0, level < 0, level == 0)
        if level:
            choice, shift = how.choices[how.choice.table[word]], how.shifts[how.shift.table[word]]
            assert choice << shift << how.step * how.far.table[word] == abs(level)
            assert choice << shift <= how.reach
    assert how.shifts[0] == 0, "no decision must mean no shift"
    assert how.absorbed is (Absorbed.STEP if any(how.far.table) else Absorbed.SIGN)
    assert how.bases == tuple(sorted({choice >> (choice & -choice).bit_length() - 1 for choice in how.choices}))


@pytest.mark.parametrize("name", BOOKS)
def test_stored_words_stand_for_codes(name):
    book, how = BOOKS[name], recipe(BOOKS[name])
    legal = canonical(book)
    assert len(how.stored) == len(book.levels)
    assert len({how.stored[code] for code in legal}) == len(legal)
    assert all(0 <= word < 1 << book.bits for word in how.stored)
    assert all(word == 0 for code, word in enumerate(how.stored) if code not in legal)


@pytest.mark.parametrize("name", BOOKS)
def test_decisions_are_fields_where_they_fit(name):
    book, how = BOOKS[name], recipe(BOOKS[name])
    decisions = how.choice, how.shift, how.far, how.negative
    for control in (*decisions, how.positive, how.zero):
        assert len(control.table) == 1 << book.bits
        if control.low is not None:
            mask = (1 << control.bits) - 1
            assert control.table == tuple(word >> control.low & mask for word in range(1 << book.bits))
    assert all(control.low is not None for control in decisions) == (name in FIELDS)
    if name not in FIELDS:
        assert all(how.stored[code] == code for code in canonical(book))


def test_recipe_of_the_default_code():
    """E2M1 = {1, 3} << {0, 1} << {0, 2}: one shared adder per lane, and a free word, 3 << 1 << 2, that is zero."""
    how = recipe(CODES["e2m1"])
    assert (how.choices, how.bases, how.shifts, how.step, how.reach) == ((1, 3), (1, 3), (0, 1), 2, 6)
    assert how.absorbed is Absorbed.STEP
    word = {level: how.stored[code] for code, level in enumerate(CODES["e2m1"].levels) if code != 8}
    positive = {0: 0b111, 1: 0b000, 2: 0b010, 3: 0b100, 4: 0b001, 6: 0b110, 8: 0b011, 12: 0b101}
    assert word == positive | {-level: 8 + positive[level] for level in positive if level}


@pytest.mark.parametrize(("name", "absorbed", "stages"), [
    ("e2m1", Absorbed.STEP, 2),  # choose; shift and sign
    ("pot3-nozero", Absorbed.STEP, 1),  # shift and sign
    ("int4", Absorbed.SIGN, 2),  # choose; shift
    ("pot3", Absorbed.SIGN, 1),  # choose
    ("ternary", Absorbed.SIGN, 0),
    ("binary", Absorbed.SIGN, 0),
])  # fmt: skip
def test_stages(name, absorbed, stages):
    how = recipe(CODES[name])
    assert (how.absorbed, how.stages) == (absorbed, stages)


def test_luts_of_an_operand():
    """By hand: a choice of 0, x and 3x (10 bits), a shift by 0 or 1 with a sign (11 bits), a detector of zero."""
    assert operand_luts(CODES["e2m1"], Interval(0, 255)) == 10 + 11 + 1
    assert operand_luts(CODES["e2m1"], Interval(0, 15)) == 6 + 7 + 1
    assert operand_luts(CODES["binary"], Interval(0, 255)) == 0


@pytest.mark.parametrize("shape", [unsigned(8), signed(8)])
@pytest.mark.parametrize("base", [1, 2, 3, 5, 6, 7, 9, 11, 23, 45])
def test_multiple(shape, base):
    x = Signal(shape)
    value = multiple(x, base)
    m = Module()
    y = Signal(value.shape())
    m.d.comb += y.eq(value)

    async def check(ctx):
        for number in range(-128, 128) if shape.signed else range(256):
            ctx.set(x, number)
            assert ctx.get(y) == base * number

    simulator = Simulator(m)
    simulator.add_testbench(check)
    simulator.run()
