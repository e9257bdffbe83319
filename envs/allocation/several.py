"""Several budgets at once: each limits the commitments of its own actions, none is overspent.

For each budget that only some actions draw on, a price is bracketed ever closer, with the knapsack
of ``envs.allocation.knapsack`` inside. What then still overspends is taken back, least efficient
first; what fits after that is granted, most efficient first; then pairs of customers near the
prices change places, one spending more and one less, while that gains.
"""

from collections.abc import Sequence
from dataclasses import replace
from operator import index
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from envs.allocation.hulls import LARGEST_BUDGET
from envs.allocation.knapsack import Allocation, allocate, as_arrays, entries, exact_sum
from envs.allocation.mending import mended
from envs.allocation.prices import at_prices, near_prices, prices_of
from envs.allocation.problem import Problem, left_of


class Budget(NamedTuple):
    """A limit on the commitments of some actions.

    Parameters
    ----------
    room
        What may be newly committed, in minor units, ≥ 0; None: no limit.
    draws
        Which actions draw on it, ``shape (n_actions,)``, bool; None: all.
    """

    room: int | None
    draws: NDArray[np.bool_] | None = None


def allocate_within(
    score: ArrayLike,
    commitment: ArrayLike,
    mask: ArrayLike,
    budgets: Sequence[Budget],
    customer_id: ArrayLike,
    week: int,
) -> Allocation:
    """Choose one action per customer within mask and all budgets.

    Where only budgets of all actions bind it is ``allocate``, with its promises. Otherwise
    ``shadow_price`` is that of the tightest of these, and the total comes close to the integer
    optimum (docs/performance.md has by how much) without a promise. Deterministic, and follows the
    customers when rows are permuted.

    Parameters
    ----------
    score, commitment, mask, customer_id, week
        As for ``allocate``.
    budgets
        Any number. ``Allocation.bound_by`` is 1 + the place among them of the budget that refused
        what was wanted, the one with the highest price.

    Raises
    ------
    TypeError
        If a room is not an integer.
    ValueError
        As ``allocate``; if a room is negative or ``draws`` does not fit the actions.
    """
    arrays = as_arrays(score, commitment, mask, customer_id)
    n_actions = arrays[0].shape[1]
    limited = _limited(budgets, n_actions)
    everything = [at for at in limited if _draws(budgets[at], n_actions).all()]
    tightest = min(everything, key=lambda at: (budgets[at].room, at), default=None)
    parts = [at for at in limited if at not in everything]
    whole = None if tightest is None else budgets[tightest].room
    places = np.array([*parts, -1 if tightest is None else tightest]) + 1

    first = allocate(*arrays[:3], whole, arrays[3], week)
    rooms = [min(int(budgets[at].room or 0), LARGEST_BUDGET) for at in parts]
    rooms.append(LARGEST_BUDGET if whole is None else min(whole, LARGEST_BUDGET))
    draws = [_draws(budgets[at], n_actions) for at in parts]
    draws.append(np.ones(n_actions, np.bool_))
    problem = Problem(*arrays, week, np.array(draws), np.array(rooms, np.int64))
    if (left_of(problem, first.action) >= 0).all():
        return replace(first, bound_by=(first.bound_by * places[-1]).astype(np.uint8))

    action, prices = _priced_and_mended(problem, first.action)
    drawn = np.where(problem.draws[:, first.wanted], prices[:, None], -1.0)
    refused = np.where(first.wanted != action, places[drawn.argmax(axis=0)], 0)
    if (left_of(problem, action) < 0).any():
        raise AssertionError(f"budgets overspent: {left_of(problem, action)} left")
    committed = exact_sum(entries(problem.commitment, action))
    return Allocation(action, float(prices[-1]), committed, first.wanted, refused.astype(np.uint8))


def _limited(budgets: Sequence[Budget], n_actions: int) -> list[int]:
    """Places of the budgets that have a limit, all checked."""
    for at, budget in enumerate(budgets):
        if budget.room is not None and index(budget.room) < 0:
            raise ValueError(f"budgets[{at}].room={budget.room}: must be at least 0")
        if budget.draws is not None and np.shape(budget.draws) != (n_actions,):
            raise ValueError(
                f"budgets[{at}].draws: shape {np.shape(budget.draws)}, must be ({n_actions},)"
            )
    return [at for at, budget in enumerate(budgets) if budget.room is not None]


def _draws(budget: Budget, n_actions: int) -> NDArray[np.bool_]:
    """Which actions draw on it, column 0 always as if."""
    drawn = np.ones(n_actions, np.bool_)
    if budget.draws is not None:
        drawn[1:] = np.asarray(budget.draws, np.bool_)[1:]
    return drawn


def _total(problem: Problem, action: NDArray[np.int16]) -> float:
    """Sum of the scores, in an order that does not depend on that of the rows."""
    taken = np.flatnonzero(action)
    return float(np.sum(np.sort(problem.score[taken, action[taken]])))


def _priced_and_mended(
    problem: Problem, unpriced: NDArray[np.int16]
) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """The best of three answers, unpriced and at prices just high and just too low, and the high
    prices.
    """
    last = len(problem.rooms) - 1
    high, low = prices_of(problem)
    answer = at_prices(problem, high)
    high[last] = answer.shadow_price
    near = near_prices(problem, high)
    answers = [unpriced, *(at_prices(problem, at, core=True).action for at in (high, low))]
    answers = [mended(problem, action, near) for action in answers]
    return max(answers, key=lambda action: _total(problem, action)), high
