"""The processing element: exact dot products, one accumulator or a ring of them."""

import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.interval import Interval
from hwgen.rtl.pe import PE
from hwgen.sizing.product import CHAIN, array_latency, recipe

from .drive import simulate

BYTE = Interval(0, 255)
SIGNED = Interval(-128, 127)


def accumulate(book, taps, codes, x, *, groups=1, gaps=0.0, seed=0):
    """Run reductions of ``codes`` and ``x``, both (results, beats, simd), on one PE.

    With ``groups`` > 1 the results of ``groups`` neighbouring reductions are interleaved beat by beat. Between beats
    the PE gets others that are not valid. Returns the accumulators at the end of each reduction, in order, and what
    they must be.
    """
    results, length, simd = codes.shape
    levels = np.array(book.levels)[codes]
    partial = np.cumsum((levels * x - (levels < 0)).sum(axis=2), axis=1)
    how = recipe(book)
    words = np.array(how.stored)[codes].reshape(-1, simd).tolist()
    values = x.reshape(-1, simd).tolist()
    pe = PE(book, taps, simd, Interval(int(min(partial.min(), 0)), int(max(partial.max(), 0))), groups=groups)
    order = [
        (start + group, beat)
        for start in range(0, results, groups)
        for beat in range(length)
        for group in range(groups)
    ]
    rng = np.random.default_rng(seed)
    delay = array_latency(book, simd) - 1  # from the codes to the accumulator's input
    issued: list = []
    beats: list = []
    finished: dict[int, int] = {}

    async def drive(ctx):
        todo = list(order)
        cycle = 0
        while len(finished) < results:
            job = todo.pop(0) if todo and rng.random() >= gaps else None
            issued.append(job)
            beats.append(int(rng.integers(len(words))) if job is None else job[0] * length + job[1])
            # What a lane needs comes as many cycles later as it stands behind the first of its chain.
            late = [beats[max(cycle - lane % CHAIN, 0)] for lane in range(simd)]
            ctx.set(pe.codes, [words[beat][lane] for lane, beat in enumerate(late)])
            multiples = [values[beat][lane] for lane, beat in enumerate(late)]
            ctx.set(pe.multiples, [{f"x{base}": value * base for base in how.bases} for value in multiples])
            arriving = issued[cycle - delay] if cycle >= delay else None
            ctx.set(pe.valid, arriving is not None)
            ctx.set(pe.more, arriving is not None and arriving[1] > 0)
            await ctx.tick()
            if arriving is not None and arriving[1] == length - 1:
                finished[arriving[0]] = ctx.get(pe.acc)
            cycle += 1

    simulate(pe, drive)
    return [finished[index] for index in range(results)], partial[:, -1].tolist()


def reductions(book, taps, shape, seed=0):
    """Codes and activations of ``shape`` (results, beats, simd)."""
    rng = np.random.default_rng(seed)
    return book.encode(rng.choice(book.sorted_levels, shape)), rng.integers(taps.lo, taps.hi + 1, shape)


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize(("simd", "length"), [(1, 1), (1, 5), (2, 3), (3, 2), (4, 1)])
@pytest.mark.parametrize("gaps", [0.0, 0.4])
def test_dot_products(groups, simd, length, gaps):
    codes, x = reductions(CODES["e2m1"], BYTE, (2 * groups, length, simd), seed=simd)
    got, want = accumulate(CODES["e2m1"], BYTE, codes, x, groups=groups, gaps=gaps)
    assert got == want


@pytest.mark.parametrize("book", ["e2m1", "pot3-nozero", "pot3", "ternary"])
@pytest.mark.parametrize("simd", range(1, 10))
@pytest.mark.parametrize("gaps", [0.0, 0.4])
def test_chains(simd, book, gaps):
    """Chains that are full and last ones that are not, of products of two stages, of one and of none."""
    codes, x = reductions(CODES[book], SIGNED, (12, 2, simd), seed=simd)
    got, want = accumulate(CODES[book], SIGNED, codes, x, gaps=gaps)
    assert got == want


@pytest.mark.parametrize("book", CODES.values(), ids=CODES)
@pytest.mark.parametrize("taps", [BYTE, SIGNED], ids=["unsigned", "signed"])
def test_every_codebook(book, taps):
    codes, x = reductions(book, taps, (3, 4, 6))
    got, want = accumulate(book, taps, codes, x)
    assert got == want


@pytest.mark.parametrize("book", ["e2m1", "pot3-nozero", "int4", "ternary", "binary"])
@pytest.mark.parametrize("taps", [BYTE, SIGNED], ids=["unsigned", "signed"])
def test_largest_sums(book, taps):
    """All lanes at the same end: every sum of a chain and of the tree is wide enough."""
    levels = CODES[book].sorted_levels
    ends = [(level, x) for level in (levels[0], levels[-1]) for x in (taps.lo, taps.hi)]
    codes = CODES[book].encode(np.array([np.full((2, 9), level) for level, _ in ends]))
    x = np.array([np.full((2, 9), x) for _, x in ends])
    got, want = accumulate(CODES[book], taps, codes, x)
    assert got == want
    assert max(want) == 2 * 9 * max(int(level) * x - (level < 0) for level, x in ends)


@pytest.mark.parametrize(
    ("book", "simd", "cycles"),
    [
        # Stages of a product, lanes of a chain, a tree over the chains, the accumulator.
        ("e2m1", 1, 2 + 1 + 0 + 1),
        ("e2m1", 3, 2 + 3 + 0 + 1),
        ("e2m1", 4, 2 + 4 + 0 + 1),
        ("e2m1", 5, 2 + 4 + 1 + 1),
        ("e2m1", 8, 2 + 4 + 1 + 1),
        ("e2m1", 9, 2 + 4 + 2 + 1),
        ("e2m1", 17, 2 + 4 + 3 + 1),
        ("pot3-nozero", 2, 1 + 2 + 0 + 1),
        ("ternary", 16, 0 + 4 + 2 + 1),
    ],
)
def test_latency(book, simd, cycles):
    assert array_latency(CODES[book], simd) == cycles
