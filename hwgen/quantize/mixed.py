"""Mixed precision: one of several options for each layer, with the least predicted loss that a budget allows.

This is the multiple-choice knapsack problem (Kellerer, Pferschy and Pisinger, *Knapsack Problems*, ch. 11). Layer by
layer, all partial choices are kept that no other one beats in both cost and loss (dynamic programming by dominance,
Nemhauser and Ullmann 1969); nothing is rounded, so costs may be bits, LUTs or any real number. That list could double
with each layer. It stays short because most of it cannot win any more: a price per unit of cost, the Lagrange
multiplier of the budget, gives each partial choice a lower bound of what it can end as, and what cannot be better than
the best choice known already is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import numpy.typing as npt

from ..errors import HwgenError

__all__ = ["MAX_STATES", "Option", "choose"]

Real = npt.NDArray[np.float64]

MAX_STATES = 1 << 18
"""Partial choices that are kept at most; see :func:`choose` for what happens when there are more."""

PRICES = 64
"""Steps of the search for the price, each halves its interval."""

SLACK = 1e-9
"""Relative; a bound is a sum of floats in another order, and must not drop what it equals."""


@dataclass(frozen=True)
class Option:
    """One way to treat a layer. cost: in units of the budget, 0 or more; loss: predicted, in any unit that adds up.

    Raises ``ValueError`` when either is not finite, or the cost is negative.
    """

    cost: float
    loss: float

    def __post_init__(self) -> None:
        if not (isfinite(self.cost) and isfinite(self.loss)) or self.cost < 0:
            raise ValueError(f"an option must have a finite loss and a finite cost of at least 0, not {self}")


def choose(options: Sequence[Sequence[Option]], budget: float, max_states: int = MAX_STATES) -> tuple[int, ...]:
    """The index of one option for every layer: costs add up to ``budget`` at most, losses to the least there is.

    Of several such choices one of the least cost. Sums are those of float64 in the order of the layers, so whole costs
    below 2**53 are exact.

    The result is optimal as long as no more than ``max_states`` partial choices are worth keeping, which holds for
    dozens of layers unless nearly all their options are worth about their price. Beyond that, each layer's list is
    thinned to the cheapest of every one of ``max_states`` equal steps of loss, and the result is above the least loss
    by at most the sum of those steps: each is the spread of losses in the list, over ``max_states``.

    Raises :class:`HwgenError` when the cheapest choice is over the budget, and ``ValueError`` for a layer without
    options.
    """
    if any(not layer for layer in options):
        raise ValueError("every layer must have at least one option")
    costs = [np.array([option.cost for option in layer], np.float64) for layer in options]
    losses = [np.array([option.loss for option in layer], np.float64) for layer in options]
    cheapest = [int(np.lexsort((loss, cost))[0]) for cost, loss in zip(costs, losses, strict=True)]
    least = _total(costs, cheapest)
    if not least <= budget:
        raise HwgenError(f"the budget of {budget:.15g} is too small: the cheapest choice needs {least:.15g}")
    budget = min(budget, _total(costs, [int(cost.argmax()) for cost in costs]))  # finite, as bounds must be
    price, known = _lagrangian(costs, losses, budget, cheapest)
    return _search(costs, losses, _Bound(costs, losses, budget, price, _total(losses, known)), known, max_states)


def _total(values: list[Real], choice: Sequence[int]) -> float:
    """The sum over the layers, rounded as the search rounds it."""
    total = 0.0
    for layer, index in zip(values, choice, strict=True):
        total += float(layer[index])
    return total


def _lagrangian(costs: list[Real], losses: list[Real], budget: float, cheapest: list[int]) -> tuple[float, list[int]]:
    """The least price, about, at which what each layer buys on its own is within the budget; and the best such buy."""

    def buy(price: float) -> list[int]:
        return [int(np.argmin(loss + price * cost)) for cost, loss in zip(costs, losses, strict=True)]

    low, high = 0.0, max((float(np.ptp(loss)) for loss in losses), default=0.0) or 1.0
    for _ in range(PRICES):  # at some price nothing but the cheapest is bought
        if _total(costs, buy(high)) <= budget:
            break
        high *= 2
    known = cheapest
    for _ in range(PRICES):
        price = (low + high) / 2
        bought = buy(price)
        if _total(costs, bought) <= budget:
            high = price
            known = min(known, bought, key=lambda choice: _total(losses, choice))
        else:
            low = price
    return high, known


class _Bound:
    """What partial choices can still become. known: the loss of a choice within the budget; price: 0 or more."""

    def __init__(self, costs: list[Real], losses: list[Real], budget: float, price: float, known: float) -> None:
        paid = [float((loss + price * cost).min()) for cost, loss in zip(costs, losses, strict=True)]
        self._rest = _sums_from(paid)
        self._reserve = _sums_from([float(cost.min()) for cost in costs])
        size = sum(float(np.abs(loss).max() + price * cost.max()) for cost, loss in zip(costs, losses, strict=True))
        self._budget, self._price, self._known = budget, price, known + SLACK * (size + price * budget)

    def worth(self, cost: Real, loss: Real, layers: int) -> npt.NDArray[np.bool_]:
        """Whether choices for the first ``layers`` layers can end within the budget, and not worse than what is known.

        The second by weak duality: what the other layers add to the loss is at least what they would add at a price
        per unit of cost, less that price of all that is left of the budget.
        """
        end = loss + self._rest[layers] - self._price * (self._budget - cost)
        last = layers == len(self._rest) - 1
        limit = self._budget if last else self._budget * (1 + SLACK)
        kept: npt.NDArray[np.bool_] = (cost + self._reserve[layers] <= limit) & (end <= self._known)
        return kept


def _sums_from(values: list[float]) -> Real:
    """The sum of all values from each index on, and 0 at the end."""
    return np.append(np.cumsum(values[::-1])[::-1], 0.0)


def _search(costs: list[Real], losses: list[Real], bound: _Bound, known: list[int], max_states: int) -> tuple[int, ...]:
    """The best choice; ``known`` if thinning has lost all that are as good."""
    cost, loss = np.zeros(1), np.zeros(1)
    steps: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]] = []
    for layers, (more_cost, more_loss) in enumerate(zip(costs, losses, strict=True), start=1):
        cost = (cost[:, None] + more_cost).reshape(-1)
        loss = (loss[:, None] + more_loss).reshape(-1)
        (kept,) = np.nonzero(bound.worth(cost, loss, layers))
        kept = kept[np.lexsort((loss[kept], cost[kept]))]
        kept = kept[_undominated(loss[kept])]
        if len(kept) > max_states:
            kept = kept[_first_of_steps(loss[kept], max_states)]
        if not len(kept):
            return tuple(known)
        cost, loss = cost[kept], loss[kept]
        before, option = np.divmod(kept, len(more_cost))
        steps.append((before.astype(np.int32), option.astype(np.int32)))
    if loss[-1] > _total(losses, known):
        return tuple(known)
    place, choice = -1, []  # the last is the dearest that is worth it: the least loss
    for before, option in reversed(steps):
        choice.append(int(option[place]))
        place = int(before[place])
    return tuple(reversed(choice))


def _undominated(loss: Real) -> npt.NDArray[np.bool_]:
    """Of choices in the order of their cost, those with less loss than every one before."""
    kept = np.ones(len(loss), bool)
    kept[1:] = loss[1:] < np.minimum.accumulate(loss)[:-1]
    return kept


def _first_of_steps(loss: Real, steps: int) -> npt.NDArray[np.bool_]:
    """Of losses in descending order, the first in each of ``steps`` equal intervals."""
    place = np.minimum((loss - loss[-1]) / (loss[0] - loss[-1]) * steps, steps - 1).astype(np.int64)
    kept = np.ones(len(loss), bool)
    kept[1:] = place[1:] != place[:-1]
    return kept
