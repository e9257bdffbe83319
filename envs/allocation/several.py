"""Several budgets at once: each limits the commitments of its own actions, none is overspent.

For each budget that only some actions draw on, a price is searched by bisection, with the knapsack
of ``envs.allocation.knapsack`` inside. What then still overspends is taken back, least efficient
first; what fits after that is granted, most efficient first. Problems of up to
``EXACT_CUSTOMERS`` customers are handed to HiGHS, whose answer is checked in integers.
"""

from collections.abc import Sequence
from dataclasses import replace
from operator import index
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.compiled import kernel
from envs.allocation.hulls import LARGEST_BUDGET
from envs.allocation.knapsack import (
    EXACT_CUSTOMERS,
    Allocation,
    allocate,
    as_arrays,
    entries,
    exact_sum,
)
from envs.allocation.order import smallest, tie_order

EXACT_NODES = 2_000  # of HiGHS's branch and bound: a limit that does not depend on the machine
HALVINGS = 24  # of the logarithm of a price, for a relative precision of about 1e-6
ROUNDS = 3  # over the budgets, whose prices move one another
MOVES = 65_536  # looked at when filling what is left
_LOWEST = 1e-9  # price looked at, relative to the highest


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


class _Problem(NamedTuple):
    """One week's problem; the last row of ``draws`` and ``rooms`` is the budget of all actions."""

    score: NDArray[np.float64]
    commitment: NDArray[np.int64]
    mask: NDArray[np.bool_]
    customer_id: NDArray[np.uint64]
    week: int
    draws: NDArray[np.bool_]
    rooms: NDArray[np.int64]


def allocate_within(
    score: ArrayLike,
    commitment: ArrayLike,
    mask: ArrayLike,
    budgets: Sequence[Budget],
    customer_id: ArrayLike,
    week: int,
) -> Allocation:
    """Choose one action per customer within mask and all budgets.

    Where only budgets of all actions bind it is ``allocate``. Otherwise ``shadow_price`` is that
    of the tightest of these, and the total is the integer optimum up to ``EXACT_CUSTOMERS`` where
    HiGHS proves it within ``EXACT_NODES``. Deterministic, and follows the customers when rows are
    permuted.

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
    problem = _Problem(*arrays, week, np.array(draws), np.array(rooms, np.int64))
    if (_left(problem, first.action) >= 0).all():
        return replace(first, bound_by=(first.bound_by * places[-1]).astype(np.uint8))

    action, prices = _priced_and_mended(problem)
    if len(arrays[0]) <= EXACT_CUSTOMERS:
        exact = _by_highs(problem)
        if exact is not None and _total(problem, exact) > _total(problem, action):
            action = exact
    drawn = np.where(problem.draws[:, first.wanted], prices[:, None], -1.0)
    refused = np.where(first.wanted != action, places[drawn.argmax(axis=0)], 0)
    committed = exact_sum(entries(problem.commitment, action))
    return Allocation(action, prices[-1], committed, first.wanted, refused.astype(np.uint8))


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


def _left(problem: _Problem, action: NDArray[np.int16]) -> NDArray[Any]:
    """What is left of each budget; below 0 where it is overspent."""
    cost = entries(problem.commitment, action)
    used = [exact_sum(cost[drawn[action]]) for drawn in problem.draws]
    left: NDArray[Any] = np.array([int(room) for room in problem.rooms], object)
    left -= np.array(used, object)
    return left


def _total(problem: _Problem, action: NDArray[np.int16]) -> float:
    """Sum of the scores, in an order that does not depend on that of the rows."""
    taken = np.flatnonzero(action)
    return float(np.sum(np.sort(problem.score[taken, action[taken]])))


def _priced_and_mended(problem: _Problem) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """The better of two answers, at prices just high and just too low; and the high prices."""
    last = len(problem.rooms) - 1
    worth = problem.mask & (problem.score > 0) & (problem.commitment > 0)
    worth[:, 0] = False
    ratio = np.where(worth, problem.score, 0.0) / np.maximum(problem.commitment, 1)
    top = float(ratio.max()) * (1 + 1e-9)
    high, low = np.zeros(last + 1), np.zeros(last + 1)
    for _ in range(ROUNDS):
        for part in range(last):
            high[part] = low[part] = 0.0
            if _left(problem, _at(problem, high).action)[part] < 0:
                _bisect(problem, part, top, high, low)
        answer = _at(problem, high)
        if (_left(problem, answer.action) >= 0).all():
            break
    high[last] = answer.shadow_price
    answers = [_mended(problem, answer.action), _mended(problem, _at(problem, low).action)]
    return max(answers, key=lambda action: _total(problem, action)), high


def _bisect(
    problem: _Problem,
    part: int,
    top: float,
    high: NDArray[np.float64],
    low: NDArray[np.float64],
) -> None:
    """Bracket the least price at which one budget is kept, in place."""
    above, below = np.log(top), np.log(top * _LOWEST)
    for _ in range(HALVINGS):
        middle = (above + below) / 2
        high[part] = np.exp(middle)
        if _left(problem, _at(problem, high).action)[part] >= 0:
            above = middle
        else:
            below = middle
    high[part], low[part] = np.exp(above), np.exp(below)


def _at(problem: _Problem, prices: NDArray[np.float64]) -> Allocation:
    """The knapsack with each action charged for the budgets it draws on but the last."""
    charge = prices[:-1] @ problem.draws[:-1]
    reduced = problem.score - charge * problem.commitment
    return allocate(
        reduced, problem.commitment, problem.mask, int(problem.rooms[-1]), problem.customer_id,
        problem.week,
    )  # fmt: skip


def _mended(problem: _Problem, action: NDArray[np.int16]) -> NDArray[np.int16]:
    """Nothing overspent, and nothing left unspent that a single change can use."""
    action = action.copy()
    left = _left(problem, action).astype(np.int64)
    order = tie_order(problem.customer_id, problem.week)
    held = np.flatnonzero(action)
    efficiency = problem.score[held, action[held]] / np.maximum(
        entries(problem.commitment, action)[held], 1
    )
    held = held[np.lexsort((order[held], efficiency))]
    score, commitment, mask, draws = problem.score, problem.commitment, problem.mask, problem.draws
    _take_back(held, score, commitment, mask, draws, action, left)

    now = np.where(action > 0, score[np.arange(len(action)), action], 0.0)
    more = score - now[:, None]
    extra = commitment - entries(commitment, action)[:, None]
    row, column = np.nonzero(mask & (more > 0) & (extra <= left[-1]))
    row, column = row[column > 0], column[column > 0]
    key = -more[row, column] / np.maximum(extra[row, column], 1)
    with np.errstate(over="ignore"):
        ties = order[row] + column.astype(np.uint64)
    chosen = smallest(key, ties, MOVES)
    _grant(row[chosen], column[chosen], score, commitment, draws, action, left)
    return action


@kernel
def _take_back(held, score, commitment, mask, draws, action, left):  # type: ignore[no-untyped-def]
    """Move customers, in this order, off each overspent budget: to their best action that draws
    on no other budget more than the present one does, or to nothing.
    """
    n_actions = score.shape[1]
    shared = len(commitment) == 1
    for budget in range(len(left)):
        for row in held:
            if left[budget] >= 0:
                break
            present = action[row]
            if present == 0 or not draws[budget, present]:
                continue
            own = 0 if shared else row
            cost = commitment[own, present]
            best, best_score = 0, 0.0
            for column in range(1, n_actions):
                if not mask[row, column] or not score[row, column] > best_score:
                    continue
                spared = cost - commitment[own, column]
                fit = spared >= 0 and (spared > 0 or not draws[budget, column])
                for other in range(len(left)):
                    fit = fit and (draws[other, present] or not draws[other, column])
                if fit:
                    best, best_score = column, score[row, column]
            for other in range(len(left)):
                if draws[other, present]:
                    left[other] += cost
                if draws[other, best]:
                    left[other] -= commitment[own, best]
            action[row] = best


@kernel
def _grant(rows, columns, score, commitment, draws, action, left):  # type: ignore[no-untyped-def]
    """Make each change in turn that gains and fits every budget."""
    shared = len(commitment) == 1
    for i in range(len(rows)):
        row, column = rows[i], columns[i]
        present = action[row]
        own = 0 if shared else row
        cost, new = commitment[own, present], commitment[own, column]
        fit = score[row, column] > (score[row, present] if present > 0 else 0.0)
        for budget in range(len(left)):
            more = (new if draws[budget, column] else 0) - (cost if draws[budget, present] else 0)
            fit = fit and more <= left[budget]
        if fit:
            for budget in range(len(left)):
                left[budget] += cost if draws[budget, present] else 0
                left[budget] -= new if draws[budget, column] else 0
            action[row] = column


def _by_highs(problem: _Problem) -> NDArray[np.int16] | None:
    """The integer optimum, or None where HiGHS has no answer that holds in integers."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    worth = problem.mask & (problem.score > 0)
    worth[:, 0] = False
    row, column = np.nonzero(worth)
    order = np.lexsort((column, tie_order(problem.customer_id, problem.week)[row]))
    row, column = row[order], column[order]
    cost = np.broadcast_to(problem.commitment, problem.score.shape)[row, column].astype(np.float64)
    gain = problem.score[row, column]
    one_each = csr_array((np.ones(len(row)), (row, np.arange(len(row)))))
    found = milp(
        -gain / gain.max(),
        constraints=[
            LinearConstraint(one_each, -np.inf, 1),
            LinearConstraint(problem.draws[:, column] * cost, -np.inf, problem.rooms),
        ],
        integrality=np.ones(len(row)),
        bounds=Bounds(0, 1),
        options={"node_limit": EXACT_NODES, "mip_rel_gap": 1e-9},
    )
    if found.x is None:
        return None
    action = np.zeros(len(problem.score), np.int16)
    taken = np.flatnonzero(found.x > 0.5)
    action[row[taken]] = column[taken]
    return action if (_left(problem, action) >= 0).all() else None
