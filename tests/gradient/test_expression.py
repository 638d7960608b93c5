"""The derivative of every operation, by central differences; corners, steps and branches that are not taken."""

import numpy as np
import pytest

from hwgen.expression import Apply, Constant, Operation, Variable, evaluate
from hwgen.gradient.expression import expression_gradient

X = Variable()
ONE_SIDED = {Operation.LOG, Operation.SQRT}
"""Defined for positive values only."""
STEPS = {Operation.FLOOR, Operation.CEIL, Operation.ROUND, Operation.SIGN, Operation.LESS}
UNARY = list(Operation)[: list(Operation).index(Operation.ADD)]
BINARY = [operation for operation in Operation if operation not in UNARY and operation is not Operation.WHERE]


def constant(*values: float) -> Constant:
    return Constant(np.array(values if len(values) > 1 else values[0]))


def assert_is_derivative(expression, x, given):
    step = 1e-6
    wanted = given * (evaluate(expression, x + step) - evaluate(expression, x - step)) / (2 * step)
    made = expression_gradient(expression, x, given)
    assert made.dtype == x.dtype
    np.testing.assert_allclose(made, wanted, rtol=1e-5, atol=1e-8)
    return made


@pytest.fixture
def given(rng):
    return rng.normal(0, 1, (4, 5, 3))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("operation", UNARY)
def test_of_one_argument(operation, rng, given):
    x = rng.uniform(0.1, 3, (4, 5, 3)) if operation in ONE_SIDED else rng.normal(0, 2, (4, 5, 3))
    made = assert_is_derivative(Apply(operation, (X,)), x, given)
    assert (made == 0).all() == (operation in STEPS)


@pytest.mark.parametrize("operation", BINARY)
@pytest.mark.parametrize("which", ["left", "right", "both"])
def test_of_two_arguments(operation, which, rng, given):
    """The variable on either side of a constant per channel, and on both sides."""
    x = rng.uniform(0.2, 3, (4, 5, 3))
    other = constant(0.7, 1.9, 2.0) if which != "both" else Apply(Operation.SIN, (X,))
    arguments = (other, X) if which == "right" else (X, other)
    made = assert_is_derivative(Apply(operation, arguments), x, given)
    assert (made == 0).all() == (operation in STEPS)


def test_choice(rng, given):
    """Each branch where it is taken; the condition, a step, counts for nothing."""
    x = rng.normal(0, 2, (4, 5, 3))
    condition = Apply(Operation.LESS, (X, constant(0.5, -0.5, 0.0)))
    choice = Apply(Operation.WHERE, (condition, Apply(Operation.EXP, (X,)), Apply(Operation.MUL, (X, X))))
    made = assert_is_derivative(choice, x, given)
    below = x < [0.5, -0.5, 0.0]
    np.testing.assert_allclose(made, given * np.where(below, np.exp(x), 2 * x))


def test_the_branch_not_taken_does_not_count():
    """Where the other branch is infinitely steep, zero times its slope would be NaN."""
    x = np.array([[-1.0], [0.0], [4.0]])
    root = Apply(Operation.SQRT, (X,))
    expression = Apply(Operation.WHERE, (Apply(Operation.LESS, (constant(0.0), X)), root, constant(0.0)))
    assert expression_gradient(expression, x, np.ones_like(x)).tolist() == [[0.0], [0.0], [0.25]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_where_there_is_no_finite_derivative_it_is_zero(dtype):
    """As a metric: one infinity would drown all other gradients. Nor does it become NaN further back."""
    x, given = np.array([-1.0, 0.0, 4.0], dtype), np.array([2.0, 2.0, 2.0], dtype)
    root, log = (Apply(operation, (X,)) for operation in (Operation.SQRT, Operation.LOG))
    assert expression_gradient(root, x, given).tolist() == [0.0, 0.0, 0.5]
    assert expression_gradient(log, x, given).tolist() == [-2.0, 0.0, 0.5]
    half = Apply(Operation.POW, (X, constant(0.5)))
    assert expression_gradient(half, x, given).tolist() == [0.0, 0.0, 0.5]
    scaled = Apply(Operation.MUL, (constant(0.0), Apply(Operation.MUL, (root, root))))
    assert expression_gradient(scaled, x, given).tolist() == [0.0, 0.0, 0.0]
    assert expression_gradient(root, x, np.full(3, 3e38 if dtype == np.float32 else 1e308, dtype))[1] == 0


def test_powers_at_zero():
    """``x**2`` and ``x**0`` have a derivative at 0 and below, which the formulas alone miss."""
    x = np.array([-2.0, 0.0, 3.0])
    square = Apply(Operation.POW, (X, constant(2.0)))
    assert expression_gradient(square, x, np.ones(3)).tolist() == [-4.0, 0.0, 6.0]
    one = Apply(Operation.POW, (X, constant(0.0)))
    assert expression_gradient(one, x, np.ones(3)).tolist() == [0.0, 0.0, 0.0]
    of_zero = Apply(Operation.POW, (constant(0.0), X))
    assert expression_gradient(of_zero, np.array([2.0, 3.0]), np.ones(2)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("operation", [Operation.MIN, Operation.MAX])
def test_corner_is_the_mean_of_both_sides(operation):
    x = np.zeros((1, 2))
    corner = Apply(operation, (X, Apply(Operation.MUL, (X, constant(0.5)))))
    assert_is_derivative(corner, x, np.ones((1, 2)))
    same = Apply(operation, (X, X))
    assert expression_gradient(same, x, np.ones((1, 2))).tolist() == [[1.0, 1.0]]


def test_gelu_in_float32(rng):
    """A tree in which the variable occurs at several depths, in the type of the data."""
    root = constant(np.sqrt(2.0))
    inner = Apply(Operation.ADD, (Apply(Operation.ERF, (Apply(Operation.DIV, (X, root)),)), constant(1.0)))
    gelu = Apply(Operation.MUL, (Apply(Operation.MUL, (X, inner)), constant(0.5)))
    x, given = rng.normal(0, 2, (50, 3)), rng.normal(0, 1, (50, 3))
    exact = assert_is_derivative(gelu, x, given)
    single = expression_gradient(gelu, x.astype(np.float32), given.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, rtol=1e-4, atol=1e-6)


def test_without_the_variable_there_is_no_gradient():
    x = np.ones((2, 3))
    assert not expression_gradient(constant(2.0), x, x).any()
    assert not expression_gradient(Apply(Operation.EXP, (constant(2.0),)), x, x).any()
    assert expression_gradient(X, x, 3 * x).tolist() == (3 * x).tolist()
