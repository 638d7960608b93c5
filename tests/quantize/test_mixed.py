"""Mixed precision: the best choice by brute force, budgets at the edges, and what thinning may cost."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.errors import HwgenError
from hwgen.quantize.mixed import Option, choose

# Multiples of 1/8 add up exactly, so that equality needs no tolerance.
exact_option = st.builds(Option, st.integers(0, 40).map(lambda n: n / 8), st.integers(-40, 40).map(lambda n: n / 8))
layers_of = st.lists(st.lists(exact_option, min_size=1, max_size=4), min_size=0, max_size=6)


def total(options, choice):
    """Cost and loss, added up in the order of the layers."""
    cost = loss = 0.0
    for layer, index in zip(options, choice, strict=True):
        cost, loss = cost + layer[index].cost, loss + layer[index].loss
    return cost, loss


def best(options, budget):
    """The least loss within the budget, and the least cost that has it: (loss, cost)."""
    every = [total(options, choice) for choice in product(*(range(len(layer)) for layer in options))]
    return min((loss, cost) for cost, loss in every if cost <= budget)


@given(layers_of, st.integers(0, 200).map(lambda n: n / 8))
def test_equals_brute_force(options, budget):
    least = sum(min(option.cost for option in layer) for layer in options)
    if least > budget:
        with pytest.raises(HwgenError, match=f"cheapest choice needs {least:.15g}$"):
            choose(options, budget)
        return
    cost, loss = total(options, choose(options, budget))
    assert cost <= budget
    assert (loss, cost) == best(options, budget)


@given(st.integers(0, 2**32 - 1))
def test_real_numbers(seed):
    """Sums that round: within the budget to the last bit, and the least loss but for rounding."""
    rng = np.random.default_rng(seed)
    sizes = rng.lognormal(0, 1, 6)
    options = [[Option(s * b, float(rng.lognormal() * 4.0**-b)) for b in (2, 3, 4, 8)] for s in sizes]
    budget = total(options, rng.integers(0, 4, 6))[0]
    cost, loss = total(options, choose(options, budget))
    assert cost <= budget
    assert loss == pytest.approx(best(options, budget)[0], rel=1e-12)


def test_the_least_budget_is_enough():
    """Also where the sum of the costs depends on the order: 0.1 + 0.2 + 0.3 is more than 0.3 + 0.2 + 0.1."""
    options = [[Option(cost, 1.0), Option(1.0, 0.0)] for cost in (0.1, 0.2, 0.3)]
    assert choose(options, 0.1 + 0.2 + 0.3) == (0, 0, 0)
    with pytest.raises(HwgenError, match=r"^the budget of 0\.5 is too small: the cheapest choice needs 0\.6$"):
        choose(options, 0.5)


@pytest.mark.parametrize("budget", [100.0, float("inf")])
def test_with_money_to_spare(budget):
    """The least loss everywhere, and of equal ones the cheaper."""
    options = [[Option(2, 3.0), Option(5, 1.0), Option(4, 1.0)], [Option(1, 0.0), Option(3, 0.0)]]
    assert choose(options, budget) == (2, 0)


def test_price_alone_does_not_find_it():
    """At no price per unit are both layers bought so: the Lagrange multiplier gives 0 and 3, the best is 1 and 2."""
    options = [[Option(0, 10.0), Option(5, 6.0), Option(6, 0.0)], [Option(0, 10.0), Option(5, 6.0), Option(6, 0.5)]]
    assert choose(options, 11) == (2, 1)
    assert best(options, 11) == (6.0, 11.0)


def test_a_sum_that_rounds_up_in_another_order():
    """0.3 + 0.2 + 0.1 is 0.6, but 0.3 + (0.1 + 0.2) is more; and no price buys the middle option."""
    options = [[Option(0, 10.0), Option(0.3, 9.0), Option(1, 0.0)], [Option(0.2, 0.0)], [Option(0.1, 0.0)]]
    assert choose(options, 0.6) == (1, 0, 0)


def test_not_over_the_budget_by_the_least_bit():
    assert choose([[Option(1.0, 1.0), Option(np.nextafter(1.0, 2.0), 0.0)]], 1.0) == (0,)


def test_no_layers():
    assert choose([], 0) == ()


def hard_case(layers, seed):
    """Losses that fall as costs rise, almost at one price: bounds tell nothing."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(100, 4000, layers)
    return [[Option(int(s) * b, float(8 * s - s * b - rng.integers(0, 50))) for b in (2, 3, 4, 5)] for s in sizes]


def bought(options):
    """Cost and loss of what each layer buys on its own, at many prices per unit of cost."""
    for price in np.geomspace(1e-12, 1e3, 300):
        yield total(options, [min(range(len(o)), key=lambda k, o=o: o[k].loss + price * o[k].cost) for o in options])


@pytest.mark.parametrize("states", [1, 4, 30])
def test_thinning_stays_within_its_bound(states):
    """Far fewer states than needed: within the budget, and above the least loss by no more than the steps."""
    missed = 0
    for seed in range(20):
        options = hard_case(6, seed)
        budget = sum(layer[1].cost for layer in options) + 37
        cost, loss = total(options, choose(options, budget, states))
        least, _ = best(options, budget)
        spread = sum(max(option.loss for option in layer) - min(option.loss for option in layer) for layer in options)
        assert cost <= budget
        assert least <= loss <= least + len(options) * spread / states
        assert loss <= min(bought_loss for bought_cost, bought_loss in bought(options) if bought_cost <= budget)
        missed += loss > least
    assert missed > 0 or states > 4


def test_thinning_is_no_worse_than_a_price():
    """One state per layer ends at a loss of 10 here, the best price at 8."""
    table = [[(5, 6), (7, 0), (3, 4)], [(3, 4), (0, 0), (5, 2)], [(7, 7), (0, 0), (7, 1)], [(7, 7), (0, 6), (1, 4)]]
    options = [[Option(*entry) for entry in layer] for layer in table]
    assert total(options, choose(options, 5, 1)) == (4, 8)


def test_many_layers_of_a_real_size():
    """60 layers with 6 options each: exact, and no worse than what any price buys."""
    rng = np.random.default_rng(0)
    sizes, weights = rng.integers(100, 40_000, 60), rng.lognormal(0, 2, 60)
    options = [
        [Option(int(s) * b, float(w * 4.0**-b)) for b in range(2, 8)] for s, w in zip(sizes, weights, strict=True)
    ]
    budget = int(4.3 * sizes.sum())
    cost, loss = total(options, choose(options, budget))
    assert cost <= budget
    assert (cost, loss) == total(options, choose(options, cost))
    for price in np.geomspace(1e-12, 1e-3, 200):
        least = sum(min(option.loss + price * option.cost for option in layer) for layer in options)
        assert loss >= least - price * budget - 1e-9  # weak duality: no choice whatsoever is better
    assert loss <= min(other_loss for other_cost, other_loss in bought(options) if other_cost <= budget)


@pytest.mark.parametrize(("cost", "loss"), [(-1, 0), (float("inf"), 0), (0, float("nan"))])
def test_option_must_be_usable(cost, loss):
    with pytest.raises(ValueError, match="an option must have a finite loss and a finite cost of at least 0"):
        Option(cost, loss)


def test_a_layer_without_options_is_an_error():
    with pytest.raises(ValueError, match="at least one option"):
        choose([[Option(1, 1)], []], 5)
