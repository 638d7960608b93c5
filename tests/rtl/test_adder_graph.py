"""Adder graphs in hardware, bit-parallel and digit-serial: the product with a matrix, for every input."""

import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.interval import Interval
from hwgen.rtl.adder_graph import ParallelGraph
from hwgen.rtl.serial_graph import SerialGraph
from hwgen.sizing.adder_graph import AdderGraph, solve

from ..networks import BYTE, SIGNED
from ..sizing.test_adder_graph import SPECIAL
from .drive import clocked

INTERVALS = [BYTE, SIGNED, Interval(0, 1), Interval(3, 9)]


def vectors(graph: AdderGraph, count: int = 5) -> np.ndarray:
    """Random inputs, and for every output those that drive it to its ends."""
    rng, x = np.random.default_rng(0), graph.interval
    high = np.where(graph.matrix.T > 0, x.hi, x.lo)
    return np.concatenate([rng.integers(x.lo, x.hi + 1, (count, graph.inputs)), high, x.hi + x.lo - high])


def expected(graph: AdderGraph, x: np.ndarray) -> list[list[int]]:
    return (x @ graph.matrix - graph.missing).tolist()


def run_parallel(graph: AdderGraph, x: np.ndarray, levels: int = 1) -> list[list[int]]:
    """A vector in every cycle."""
    dut = ParallelGraph(graph, levels=levels)
    (sums,) = clocked(dut, [[row] for row in x.tolist()], inputs=["x"], outputs=["sums"], cycles=len(x) + dut.latency)
    return sums[dut.latency :]


def run_serial(graph: AdderGraph, x: np.ndarray, *, digit: int = 1, gaps: bool = False) -> list[list[int]]:
    """A word in every ``word`` cycles, or later; noise where there is none. Checks the cycle of every ``push``."""
    dut, rng = SerialGraph(graph, digit=digit), np.random.default_rng(2)
    starts = np.cumsum([dut.word + (int(rng.integers(0, 7)) if gaps else 0) for _ in x]).tolist()
    cycles = starts[-1] + dut.latency + dut.word
    digits = rng.integers(0, 1 << digit, (cycles, graph.inputs))
    for start, row in zip(starts, x, strict=True):
        for place in range(dut.word):
            digits[start + 1 + place] = row >> place * digit & (1 << digit) - 1
    rows = [[int(cycle in starts), word] for cycle, word in enumerate(digits.tolist())]
    push, sums = clocked(dut, rows, inputs=["start", "x"], outputs=["push", "sums"])
    assert [cycle for cycle, pushed in enumerate(push) if pushed] == [start + dut.latency + 1 for start in starts]
    return [row for row, pushed in zip(sums, push, strict=True) if pushed]


def check(graph: AdderGraph) -> None:
    """Both forms, words with and without gaps."""
    x = vectors(graph)
    want = expected(graph, x)
    if graph.adders:  # else there is no register, and so no clock
        assert run_parallel(graph, x) == want
        assert run_parallel(graph, x, levels=2) == want
    assert run_serial(graph, x) == want
    assert run_serial(graph, x, digit=3, gaps=True) == want


@pytest.mark.parametrize("interval", INTERVALS, ids=str)
@pytest.mark.parametrize("book", ["e2m1", "pot5", "int4"])
def test_equals_the_product(book, interval):
    check(solve(np.random.default_rng(1).choice(CODES[book].sorted_levels, (5, 3)), interval))


@pytest.mark.parametrize("name", [name for name in SPECIAL if name != "nothing"])
def test_special_matrices(name):
    check(solve(np.array(SPECIAL[name]), SIGNED))


@pytest.mark.parametrize("digit", [1, 2, 4, 5])
def test_digits(digit):
    graph = solve(np.random.default_rng(3).choice(CODES["e2m1"].sorted_levels, (8, 4)), SIGNED)
    x = vectors(graph)
    assert run_serial(graph, x, digit=digit, gaps=True) == expected(graph, x)
    assert run_serial(graph, x, digit=digit) == expected(graph, x)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_latency(levels):
    graph = solve(np.random.default_rng(3).choice(CODES["e2m1"].sorted_levels, (8, 4)), SIGNED)
    assert ParallelGraph(graph, levels=levels).latency == -(-graph.depth // levels)


def test_a_word_is_as_long_as_the_widest_sum():
    graph = solve(np.array([[7, 1], [5, 0]]), BYTE)
    assert SerialGraph(graph).word == (12 * 255).bit_length()
    assert SerialGraph(graph, digit=5).word == 3
    assert SerialGraph(solve(np.array([[4]]), BYTE)).word == 8, "a shift is no part of it"


@pytest.mark.parametrize(("make", "message"), [(ParallelGraph, "levels"), (SerialGraph, "digit")])
def test_refuses_nothing_at_a_time(make, message):
    with pytest.raises(ValueError, match=f"{message} must be at least 1, not 0"):
        make(solve(np.array([[3]]), BYTE), **{message: 0})
