"""Adder graphs compute their matrix, with the narrowest widths, at a bounded cost."""

import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hwgen.sizing.adder_graph
from hwgen.codes import CODES
from hwgen.interval import Interval
from hwgen.sizing.adder_graph import AdderGraph, graph_of, matrix_of, solve

from ..networks import BYTE, SIGNED, conv, depthwise, tensor


def evaluate(graph: AdderGraph, x: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Every node, and (N, outputs) what leaves the graph, from its definition; x: (N, inputs)."""
    nodes = list(x.T)
    for adder in graph.adders:
        right = nodes[adder.right] << adder.shift
        nodes.append(nodes[adder.left] - right if adder.subtract else nodes[adder.left] + right)
    outputs = [
        np.zeros(len(x), np.int64) if o.node is None else nodes[o.node] << o.shift ^ -int(o.inverted)
        for o in graph.outputs
    ]
    return nodes, np.stack(outputs, axis=1)


def check(graph: AdderGraph, rng: np.random.Generator) -> None:
    """The graph's sums are the product with its matrix, less what it says is missing; nodes stay in their intervals."""
    x = rng.integers(graph.interval.lo, graph.interval.hi + 1, (200, graph.inputs))
    nodes, sums = evaluate(graph, x)
    np.testing.assert_array_equal(sums, x @ graph.matrix - graph.missing)
    for values, interval in zip(nodes, graph.intervals, strict=True):
        assert interval.lo <= values.min() <= values.max() <= interval.hi
    for number, adder in enumerate(graph.adders, graph.inputs):
        assert max(adder.left, adder.right) < number
        assert adder.shift >= 0
    assert all(output.shift >= 0 for output in graph.outputs)


@pytest.mark.parametrize("interval", [BYTE, SIGNED, Interval(3, 9)], ids=str)
@pytest.mark.parametrize("book", ["e2m1", "pot3", "pot5", "int4", "ternary"])
def test_random_matrices(book, interval):
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (5, 1), (1, 4), (9, 4), (27, 8)):
        matrix = rng.choice(CODES[book].sorted_levels, shape)
        graph = solve(matrix, interval)
        np.testing.assert_array_equal(graph.matrix, matrix)
        check(graph, rng)


SPECIAL = {
    "nothing": [[0, 0], [0, 0]],
    "one weight": [[0, 0], [8, 0]],
    "negative weight": [[0, -4], [0, 0]],
    "negative only": [[-1, -3], [-2, -8]],
    "equal columns": [[3, 3, -3], [5, 5, -5]],
    "powers of one": [[1, 2, 4, -8]],
    "a common factor": [[4, 12], [8, 20]],
    "unused input": [[1, 2], [0, 0], [3, 5]],
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_matrices(name):
    graph = solve(np.array(SPECIAL[name]), SIGNED)
    check(graph, np.random.default_rng(0))


def test_what_needs_no_addition_has_none():
    for name in ("nothing", "one weight", "negative weight", "powers of one"):
        assert solve(np.array(SPECIAL[name]), BYTE).adders == ()
    assert len(solve(np.array(SPECIAL["equal columns"]), BYTE).adders) == 3  # 3x + 5y = 4(x + y) - (x - y)


@settings(derandomize=True, max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**16), st.integers(1, 12), st.integers(1, 6), st.floats(0, 0.9))
def test_any_matrix(seed, inputs, outputs, sparsity):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-15, 16, (inputs, outputs)) * (rng.random((inputs, outputs)) >= sparsity)
    check(solve(matrix, Interval(-5, 12)), rng)


def test_intervals_are_reached():
    """Inputs that a node adds twice, once with either sign, are counted as one: 4x - x is 3x."""
    graph = solve(np.random.default_rng(1).integers(-9, 10, (4, 3)), Interval(-2, 5))
    corners = np.array(np.meshgrid(*[[-2, 5]] * 4)).reshape(4, -1).T
    nodes, sums = evaluate(graph, corners)
    assert [(values.min(), values.max()) for values in nodes] == [(i.lo, i.hi) for i in graph.intervals]
    assert [(values.min(), values.max()) for values in sums.T] == [(i.lo, i.hi) for i in graph.sums]


def test_a_graph_of_another_matrix_is_refused():
    graph = solve(np.array([[3, 5], [1, 2]]), BYTE)
    with pytest.raises(ValueError, match="the additions do not make the matrix"):
        AdderGraph(BYTE, np.array([[3, 5], [1, -2]]), graph.adders, graph.outputs)


def test_additions_are_shared():
    """Fewer than the sum of the signed digits, which is what every output alone would need."""
    matrix = np.random.default_rng(0).choice(CODES["e2m1"].sorted_levels, (27, 16))
    digits = sum(bin(3 * abs(level) ^ abs(level)).count("1") for level in matrix.ravel().tolist())
    assert len(solve(matrix, BYTE).adders) <= 0.65 * (digits - 16)


def test_large_matrices_are_cut(monkeypatch):
    """The pieces are joined exactly; neither their number nor their sharing depends on the order of the calls."""
    matrix = np.random.default_rng(0).choice(CODES["e2m1"].sorted_levels, (40, 6))
    whole = solve(matrix, BYTE)
    monkeypatch.setattr(hwgen.sizing.adder_graph, "PART", 60)
    hwgen.sizing.adder_graph._solve.cache_clear()
    cut = solve(matrix, BYTE)
    hwgen.sizing.adder_graph._solve.cache_clear()
    check(cut, np.random.default_rng(1))
    assert len(whole.adders) < len(cut.adders) <= 1.35 * len(whole.adders)


def test_time_is_bounded():
    """288 x 32 at once takes the solver half a minute."""
    matrix = np.random.default_rng(0).choice(CODES["e2m1"].sorted_levels, (288, 32))
    started = time.process_time()
    graph = solve(matrix, BYTE)
    assert time.process_time() - started < 15
    started = time.process_time()
    assert solve(matrix.copy(), BYTE) is graph
    assert time.process_time() - started < 0.1


def test_the_matrix_of_a_layer():
    """Taps in the order row, column, channel; the taps of a group are those of its channels."""
    rng = np.random.default_rng(0)
    source = tensor((4, 4, 4))
    levels = (layer := conv(rng, source, 3, (2, 3))).codebook.decode(layer.codes)
    np.testing.assert_array_equal(matrix_of(layer), levels.reshape(3, -1).T)
    grouped = conv(rng, source, 6, (2, 2), groups=2)
    matrix = matrix_of(grouped).reshape(2, 2, 4, 6)
    levels = grouped.codebook.decode(grouped.codes)
    np.testing.assert_array_equal(matrix[:, :, :2, :3], levels[:3].transpose(1, 2, 3, 0))
    np.testing.assert_array_equal(matrix[:, :, 2:, 3:], levels[3:].transpose(1, 2, 3, 0))
    assert not matrix[:, :, :2, 3:].any()
    assert not matrix[:, :, 2:, :3].any()


def test_channels_of_a_depthwise_layer_are_solved_one_by_one():
    layer = depthwise(np.random.default_rng(0), tensor((5, 5, 6)), (3, 3))
    graph = graph_of(layer, BYTE)
    check(graph, np.random.default_rng(1))
    matrix = matrix_of(layer)
    alone = [solve(matrix[channel::6, channel : channel + 1], BYTE) for channel in range(6)]
    assert len(graph.adders) == sum(len(one.adders) for one in alone)
