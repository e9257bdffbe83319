"""Several budgets at once: each limits the commitments of its own actions, none is overspent.

For each budget that only some actions draw on, a price is bracketed ever closer, with the knapsack
of ``envs.allocation.knapsack`` inside. What then still overspends is taken back, least efficient
first; what fits after that is granted, most efficient first; then pairs of customers near the
prices change places, one spending more and one less, while that gains.
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
    Allocation,
    allocate,
    as_arrays,
    entries,
    exact_sum,
)
from envs.allocation.order import smallest, tie_order

# Of the logarithms of the prices, coarse to fine; prices move one another, so the last is repeated.
WIDTHS: tuple[float, ...] = (1.0, 0.1, 1e-2, 1e-3, 1e-4, 1e-4)
SAMPLE = 50_000  # customers among whom prices are sought first
MOVES = 65_536  # looked at when filling what is left
PAIRED = 256  # customers nearest to the prices, among whom pairs are looked for
PASSES = 20  # over them
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
    problem = _Problem(*arrays, week, np.array(draws), np.array(rooms, np.int64))
    if (_left(problem, first.action) >= 0).all():
        return replace(first, bound_by=(first.bound_by * places[-1]).astype(np.uint8))

    action, prices = _priced_and_mended(problem, first.action)
    drawn = np.where(problem.draws[:, first.wanted], prices[:, None], -1.0)
    refused = np.where(first.wanted != action, places[drawn.argmax(axis=0)], 0)
    if (_left(problem, action) < 0).any():
        raise AssertionError(f"budgets overspent: {_left(problem, action)} left")
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


def _priced_and_mended(
    problem: _Problem, unpriced: NDArray[np.int16]
) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """The best of three answers, unpriced and at prices just high and just too low, and the high
    prices.
    """
    last = len(problem.rooms) - 1
    high, low = _prices(problem)
    answer = _at(problem, high)
    high[last] = answer.shadow_price
    near = _near(problem, high)
    answers = [unpriced, *(_at(problem, at, core=True).action for at in (high, low))]
    answers = [_mended(problem, action, near) for action in answers]
    return max(answers, key=lambda action: _total(problem, action)), high


def _near(problem: _Problem, prices: NDArray[np.float64]) -> NDArray[np.int64]:
    """Customers whose best and second best action differ least at the prices, in tie order."""
    reduced = problem.score - (prices @ problem.draws) * problem.commitment
    reduced[~problem.mask] = -np.inf
    reduced[:, 0] = 0.0
    two = np.partition(reduced, -2, axis=1)[:, -2:] if reduced.shape[1] > 1 else reduced
    order = tie_order(problem.customer_id, problem.week)
    near = smallest(two[:, -1] - two[:, 0], order, PAIRED)
    return near[np.argsort(order[near])]


def _prices(problem: _Problem) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Prices of all budgets but the last, each just high enough and just too low given the others;
    0 where a budget needs none. Found coarsely first; for many customers, among some of them.
    """
    parts = len(problem.rooms) - 1
    high, low = np.zeros(parts + 1), np.zeros(parts + 1)
    widths = WIDTHS
    if len(problem.score) > SAMPLE:
        high, low = _prices(_sample(problem))
        widths = WIDTHS[2:]
    worth = problem.mask & (problem.score > 0) & (problem.commitment > 0)
    worth[:, 0] = False
    ratio = np.where(worth, problem.score, 0.0) / np.maximum(problem.commitment, 1)
    top = float(ratio.max()) * (1 + 1e-9)
    for width, finer in zip(widths, (*widths[1:], widths[-1]), strict=True):
        before = high.copy()
        for part in range(parts):
            high[part], low[part] = _bracket(problem, part, high, top, width, finer)
        if width == widths[-1] and np.allclose(high, before, rtol=10 * width, atol=0.0):
            break
    return high, low


def _sample(problem: _Problem) -> _Problem:
    """The first customers in tie order, with their share of the rooms."""
    order = tie_order(problem.customer_id, problem.week)
    rows = smallest(np.zeros(len(order)), order, SAMPLE)
    shared = len(problem.commitment) == 1
    return problem._replace(
        score=problem.score[rows],
        commitment=problem.commitment if shared else problem.commitment[rows],
        mask=problem.mask[rows],
        customer_id=problem.customer_id[rows],
        rooms=(problem.rooms * (SAMPLE / len(order))).astype(np.int64),
    )


def _bracket(
    problem: _Problem,
    part: int,
    prices: NDArray[np.float64],
    top: float,
    width: float,
    finer: float,
) -> tuple[float, float]:
    """Prices of one budget, given the others', at which it is just kept and just overspent.

    Steps away from the present price, ``width`` of its logarithm and more, then halves.
    """
    trial = prices.copy()

    def kept(price: float) -> bool:
        trial[part] = price
        return bool(_left(problem, _at(problem, trial).action)[part] >= 0)

    if kept(0.0):
        return 0.0, 0.0
    lowest = max(top * _LOWEST, float(np.finfo(float).tiny))
    price = max(float(prices[part]) or top / 10, lowest)
    step = width
    if kept(price):
        high, low = price, price * np.exp(-step)
        while low > lowest and kept(low):
            step *= 2
            high, low = low, low * np.exp(-step)
        low = max(low, lowest / 2)
    else:
        low, high = price, price * np.exp(step)
        while high < top and not kept(high):
            step *= 2
            low, high = high, high * np.exp(step)
    while np.log(high / low) > finer:
        middle = float(np.sqrt(high) * np.sqrt(low))
        if not low < middle < high:  # next to each other, or below what floats can tell apart
            break
        high, low = (middle, low) if kept(middle) else (high, middle)
    return float(high), float(low)


def _at(problem: _Problem, prices: NDArray[np.float64], core: bool = False) -> Allocation:
    """The knapsack with each action charged for the budgets it draws on but the last."""
    charge = prices[:-1] @ problem.draws[:-1]
    reduced = problem.score - charge * problem.commitment
    return allocate(
        reduced, problem.commitment, problem.mask, int(problem.rooms[-1]), problem.customer_id,
        problem.week, core=core,
    )  # fmt: skip


def _mended(
    problem: _Problem, action: NDArray[np.int16], near: NDArray[np.int64]
) -> NDArray[np.int16]:
    """Nothing overspent, nothing left unspent that a single change, or a pair among ``near``, can
    use.
    """
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
    _exchange(near, score, commitment, mask, draws, action, left)
    return action


@kernel
def _take_back(held, score, commitment, mask, draws, action, left):  # type: ignore[no-untyped-def]
    """Move customers, in this order, off each overspent budget: to their best action that draws
    on none that the present one does not draw on, and no more, or to nothing.
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
                fit = commitment[own, column] <= cost and not draws[budget, column]
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


@kernel
def _change(row, column, commitment, draws, action, more):  # type: ignore[no-untyped-def]
    """What a change of action draws more from each budget, added to ``more``."""
    own = 0 if len(commitment) == 1 else row
    present = action[row]
    for budget in range(len(more)):
        if draws[budget, column]:
            more[budget] += commitment[own, column]
        if draws[budget, present]:
            more[budget] -= commitment[own, present]


@kernel
def _exchange(near, score, commitment, mask, draws, action, left):  # type: ignore[no-untyped-def]
    """Changes of one customer, or of two at once, that gain and fit, until there is none."""
    n_actions = score.shape[1]
    budgets = len(left)
    one, both = np.empty(budgets, np.int64), np.empty(budgets, np.int64)
    for _ in range(PASSES):
        changed = False
        for row in near:
            for column in range(n_actions):
                present = action[row]
                if column == present or (column > 0 and not mask[row, column]):
                    continue
                now = score[row, present] if present > 0 else 0.0
                gain = (score[row, column] if column > 0 else 0.0) - now
                if not gain > 0.0:
                    continue
                one[:] = 0
                _change(row, column, commitment, draws, action, one)
                best, partner, to = 0.0, -1, 0
                if (one <= left).all():
                    best, partner = gain, row
                for other in near:
                    if other == row or partner == row:
                        continue
                    held = action[other]
                    worth = score[other, held] if held > 0 else 0.0
                    for place in range(n_actions):
                        if place == held or (place > 0 and not mask[other, place]):
                            continue
                        pair = gain + (score[other, place] if place > 0 else 0.0) - worth
                        if not pair > best + 1e-12 * gain:
                            continue
                        both[:] = one
                        _change(other, place, commitment, draws, action, both)
                        if (both <= left).all():
                            best, partner, to = pair, other, place
                if partner < 0:
                    continue
                both[:] = one
                if partner != row:
                    _change(partner, to, commitment, draws, action, both)
                    action[partner] = to
                action[row] = column
                left -= both
                changed = True
        if not changed:
            break
