"""The processing element: exact dot products, one accumulator or a ring of them."""

import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.interval import Interval
from hwgen.rtl.pe import PE
from hwgen.sizing.split import split

from .drive import simulate

BYTE = Interval(0, 255)


def accumulate(book, taps, codes, x, *, groups=1, gaps=0.0, seed=0):
    """Run reductions of ``codes`` and ``x``, both (results, beats, simd), on one PE.

    With ``groups`` > 1 the results of ``groups`` neighbouring reductions are interleaved beat by beat. Returns the
    accumulators at the end of each reduction, in order.
    """
    results, length, simd = codes.shape
    levels = np.array(book.levels)[codes]
    sums = (levels * x - (levels < 0)).sum(axis=2)
    partial = np.cumsum(sums, axis=1)
    pe = PE(book, taps, simd, Interval(int(min(partial.min(), 0)), int(max(partial.max(), 0))), groups=groups)
    order = [
        (start + group, beat)
        for start in range(0, results, groups)
        for beat in range(length)
        for group in range(groups)
    ]
    rng = np.random.default_rng(seed)
    delay = PE.latency(simd) - 1
    issued: list = []
    finished: dict[int, int] = {}

    async def drive(ctx):
        todo = list(order)
        cycle = 0
        while len(finished) < results:
            job = todo.pop(0) if todo and rng.random() >= gaps else None
            issued.append(job)
            if job is not None:
                result, beat = job
                ctx.set(pe.codes, codes[result, beat].tolist())
                multiples = [{f"x{base}": int(value) * base for base in split(book).bases} for value in x[result, beat]]
                ctx.set(pe.multiples, multiples)
            arriving = issued[cycle - delay] if cycle >= delay else None
            ctx.set(pe.valid, arriving is not None)
            ctx.set(pe.first, arriving is not None and arriving[1] == 0)
            await ctx.tick()
            if arriving is not None and arriving[1] == length - 1:
                finished[arriving[0]] = ctx.get(pe.acc)
            cycle += 1

    simulate(pe, drive)
    return [finished[index] for index in range(results)], partial[:, -1].tolist()


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize(("simd", "length"), [(1, 1), (1, 5), (2, 3), (3, 2), (4, 1)])
@pytest.mark.parametrize("gaps", [0.0, 0.4])
def test_dot_products(groups, simd, length, gaps):
    rng = np.random.default_rng(simd)
    book = CODES["e2m1"]
    codes = book.encode(rng.choice(book.sorted_levels, (2 * groups, length, simd)))
    x = rng.integers(0, 256, codes.shape)
    got, want = accumulate(book, BYTE, codes, x, groups=groups, gaps=gaps)
    assert got == want


@pytest.mark.parametrize("book", CODES.values(), ids=CODES)
@pytest.mark.parametrize("taps", [BYTE, Interval(-128, 127)], ids=["unsigned", "signed"])
def test_every_codebook(book, taps):
    rng = np.random.default_rng(0)
    codes = book.encode(rng.choice(book.sorted_levels, (3, 4, 2)))
    x = rng.integers(taps.lo, taps.hi + 1, codes.shape)
    got, want = accumulate(book, taps, codes, x)
    assert got == want


@pytest.mark.parametrize("simd", [1, 2, 3, 8, 9])
def test_latency(simd):
    assert PE.latency(simd) == 3 + int(np.ceil(np.log2(simd)))
