"""Shift and add equals multiply: every code of every codebook with every 8-bit activation."""

from functools import cache

import pytest
from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hwgen.codes import CODES, explicit
from hwgen.interval import Interval
from hwgen.rtl.product import multiple, select_base, shift_and_sign
from hwgen.rtl.stream import shape_of
from hwgen.sizing.split import product_interval, split

BOOKS = {
    **CODES,
    "lopsided": explicit([1, -3, 5, 7, 20], "lopsided"),
    "negative only": explicit([-1, -6], "negative only"),
    "lopsided, no zero": explicit([1, -3, 5, 7, 20], "lopsided, no zero", zero_free=True),
    "one level": explicit([-6], "one level", zero_free=True),
}
ACTIVATIONS = {"unsigned": Interval(0, 255), "signed": Interval(-128, 127)}


class Product(wiring.Component):
    """Both halves of a product without the register between them."""

    def __init__(self, book, taps):
        self.book, self.taps = book, taps
        super().__init__(
            {
                "x": In(shape_of(taps)),
                "code": In(book.bits),
                "base": Out(shape_of((taps | Interval(0, 0)) * max(split(book).bases))),
                "product": Out(shape_of(product_interval(book, taps) | Interval(-1, 0))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        multiples = []
        for base in split(self.book).bases:
            made = Signal(shape_of(self.taps * base), name=f"x{base}")
            m.d.comb += made.eq(multiple(self.x, base))
            multiples.append(made)
        chosen = select_base(m, self.book, self.code, multiples, self.taps, "lane")
        product = shift_and_sign(m, self.book, self.code, chosen, self.taps, "lane")
        m.d.comb += [self.base.eq(chosen), self.product.eq(product)]
        return m


def products(book, taps):
    """{(code, x): (base, product)} as the hardware says, for every canonical code and every activation.

    Of a codebook of more than 5 bits every 17th activation, which includes both ends of 8 bits.
    """
    dut = Product(book, taps)
    seen = {}

    async def check(ctx):
        for code in filter(book.is_canonical, range(len(book.levels))):
            ctx.set(dut.code, code)
            for x in range(taps.lo, taps.hi + 1, 1 if book.bits <= 5 else 17):
                ctx.set(dut.x, x)
                seen[code, x] = ctx.get(dut.base), ctx.get(dut.product)

    simulator = Simulator(dut)
    simulator.add_testbench(check)
    simulator.run()
    return seen


def check_product(book, taps):
    for (code, x), (base, product) in products(book, taps).items():
        level = book.levels[code]
        parts = split(book)
        index = parts.base[code]
        assert base == (0 if index is None else parts.bases[index] * x), f"base of code {code} with {x}"
        assert product == level * x - (level < 0), f"level {level} times {x}"


@pytest.mark.parametrize("taps", ACTIVATIONS)
@pytest.mark.parametrize("name", BOOKS)
def test_exhaustive(name, taps):
    check_product(BOOKS[name], ACTIVATIONS[taps])


@cache
def _reach(name, taps):
    return {p for _, p in products(BOOKS[name], ACTIVATIONS[taps]).values()}


@pytest.mark.parametrize("taps", ACTIVATIONS)
@pytest.mark.parametrize("name", ["e2m1", "ternary", "negative only"])
def test_interval_is_tight(name, taps):
    """Both ends of the interval that sizes everything behind are reached."""
    interval = product_interval(BOOKS[name], ACTIVATIONS[taps])
    assert min(_reach(name, taps)) == interval.lo
    assert max(_reach(name, taps)) == interval.hi


@pytest.mark.parametrize("name", BOOKS)
def test_split_rebuilds_every_level(name):
    book = BOOKS[name]
    parts = split(book)
    assert parts.shifts[0] == 0 or len(parts.shifts) >= 1
    for code, level in enumerate(book.levels):
        if not book.is_canonical(code) or level == 0:
            assert parts.base[code] is None
            assert not parts.negative[code], "zero has no sign, or its ones' complement would be -1"
        else:
            magnitude = parts.bases[parts.base[code]] << parts.shifts[parts.shift[code]]
            assert (-magnitude if parts.negative[code] else magnitude) == level


def test_split_of_the_default_code():
    """E2M1 = {1, 3} << {0, 1, 2} and 1 << 3: two bases, one shared adder per lane."""
    parts = split(CODES["e2m1"])
    assert len(parts.bases) <= 3
    assert sum(1 for base in parts.bases if base & (base - 1)) == 1


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
