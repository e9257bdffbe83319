"""Who gets which offer within one budget: a multiple-choice knapsack, never overspent.

One action per customer, the largest total score, commitments within the budget:

1. each customer's actions are reduced to the upper concave hull of (commitment, score), a chain
   of steps of falling efficiency (score per minor unit);
2. the price is bisected, 65,536 ways at a time over the bits of its float, with integer sums;
3. steps above the price are taken, steps at the price in order of a hash of (customer, week),
   then what still fits, most efficient first;
4. customers near the price are solved again over all their actions (``envs.allocation.core``).
"""

from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from envs.allocation.core import core_customers, search
from envs.allocation.hulls import (
    LARGEST_BUDGET,
    LARGEST_SCORE,
    fill_steps,
    fits,
    hull_steps,
    take_above,
    threshold,
    upper_hulls,
    want,
)
from envs.allocation.order import smallest, tie_order

EXACT_CUSTOMERS = 200  # up to here every customer may enter the core
CORE_WORK = 1 << 26  # states looked at, for a problem that is to be solved exactly
CORE_WORK_LARGE = 1 << 22  # and for a larger one, where the gap before the core is small
FILL_STEPS = 4096
EXACT_GAP = 1e-13  # relative gap to the linear bound at which a small problem is solved
LARGE_GAP = 1e-6  # and a larger one


@dataclass(frozen=True)
class Allocation:
    """What every customer gets.

    Parameters
    ----------
    action
        Executed action, ``shape (n,)``, int16; 0 = nothing.
    shadow_price
        Score per minor unit of budget. 0 if and only if every wanted action is granted. At this
        price each customer's action is its best affordable one, but for the marginal customers
        of fill and core. Where all affordable actions fit and only actions dearer than the whole
        budget are refused, it is the highest price at which the granted ones stay best.
    committed
        Sum of the commitments of ``action`` in minor units, at most the budget.
    wanted
        Best action within the mask at price 0, ``shape (n,)``, int16.
    bound_by
        Where ``wanted`` was not granted, 1 + the number of the budget that refused it (its place
        among those given), else 0; ``shape (n,)``, uint8.
    """

    action: NDArray[np.int16]
    shadow_price: float
    committed: int
    wanted: NDArray[np.int16]
    bound_by: NDArray[np.uint8]


def allocate(
    score: ArrayLike,
    commitment: ArrayLike,
    mask: ArrayLike,
    budget: int | None,
    customer_id: ArrayLike,
    week: int,
    core: bool = True,
) -> Allocation:
    """Choose one action per customer within mask and budget.

    Only an action with a positive score is worth choosing. Among equal scores the smaller
    commitment, then the lower column is wanted. The result never exceeds the budget, depends on
    nothing but the arguments, and follows the customers when rows are permuted, provided that
    ids are distinct.

    Up to ``EXACT_CUSTOMERS`` the total is the integer optimum (to the rounding of sums) unless
    the core stops at ``CORE_WORK`` or drops states beyond ``CORE_STATES``, which takes
    adversarial input: scores almost proportional to large commitments. In any case, and for any
    number of customers, the total is within the score of one hull step of the optimum, and the
    optimum is at most ``sum(max(score - price * commitment)) + price * budget`` over affordable
    actions.

    Parameters
    ----------
    score
        Gain over action 0 in any common scale, ``shape (n, n_actions)``, float64; −inf: not
        proposed. Column 0 is not read.
    commitment
        Most that an action can cost in minor units, ``shape (n_actions,)`` or
        ``(n, n_actions)``, integer ≥ 0, 0 in column 0.
    mask
        Allowed actions, ``shape (n, n_actions)``, bool. Column 0 is always allowed.
    budget
        Limit on the sum of commitments in minor units, ≥ 0; None: no limit. Limits above
        ``LARGEST_BUDGET`` are that.
    customer_id
        ``shape (n,)``, uint64, distinct.
    week
        With the id it breaks ties, so that no customer is always last.
    core
        Solve customers near the price again; without it the total is only that of hull steps,
        sooner.

    Raises
    ------
    TypeError
        If the budget is not an integer.
    ValueError
        If a score is NaN or at least ``LARGEST_SCORE`` (row and column are named, masked or
        not), a commitment is negative or not 0 in column 0, the budget is negative, or shapes
        or dtypes do not fit.
    """
    score, commitment, mask, customer_id = as_arrays(score, commitment, mask, customer_id)
    limit = LARGEST_BUDGET if budget is None else min(index(budget), LARGEST_BUDGET)
    if limit < 0:
        raise ValueError(f"budget={budget}: must be at least 0")
    n = len(score)

    wanted = np.zeros(n, np.int16)
    fault = np.zeros(n, np.int16)
    want(score, commitment, mask, wanted, fault)
    _refuse(score, commitment, fault)
    cost = entries(commitment, wanted)
    if budget is None or fits(cost, limit):
        return Allocation(wanted, 0.0, exact_sum(cost), wanted.copy(), np.zeros(n, np.uint8))

    action, price = _within(
        score, commitment, mask, limit, wanted, tie_order(customer_id, week), core
    )
    return Allocation(
        action,
        price,
        exact_sum(entries(commitment, action)),
        wanted,
        (wanted != action).astype(np.uint8),
    )


def as_arrays(
    score: ArrayLike, commitment: ArrayLike, mask: ArrayLike, customer_id: ArrayLike
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Contiguous arrays of the documented dtypes; commitment gets one row or n rows."""
    score = np.ascontiguousarray(score, np.float64)
    if score.ndim != 2 or not 1 <= score.shape[1] <= np.iinfo(np.int16).max:
        raise ValueError(f"score: shape {score.shape}, must be (n, n_actions)")
    n, n_actions = score.shape
    given = np.asarray(commitment)
    if given.dtype.kind not in "iu":
        raise ValueError(f"commitment: dtype {given.dtype}, must be an integer (minor units)")
    if given.shape not in ((n_actions,), (1, n_actions), (n, n_actions)):
        raise ValueError(
            f"commitment: shape {given.shape}, must be ({n_actions},) or ({n}, {n_actions})"
        )
    if given.dtype == np.uint64 and given.size and given.max() > np.iinfo(np.int64).max:
        raise ValueError(f"commitment: {given.max()} does not fit int64")
    allowed = np.ascontiguousarray(mask)
    if allowed.dtype != np.bool_ or allowed.shape != (n, n_actions):
        raise ValueError(
            f"mask: {allowed.dtype} of shape {allowed.shape}, must be bool ({n}, {n_actions})"
        )
    ids = np.ascontiguousarray(customer_id, np.uint64)
    if ids.shape != (n,):
        raise ValueError(f"customer_id: shape {ids.shape}, must be ({n},)")
    minor_units = np.ascontiguousarray(given, np.int64).reshape(-1, n_actions)
    return score, minor_units, allowed, ids


def _refuse(score: NDArray[Any], commitment: NDArray[Any], fault: NDArray[np.int16]) -> None:
    """Raise for the first fault that `want` found."""
    for row in np.flatnonzero(fault)[:1]:
        column = abs(int(fault[row])) - 1
        if fault[row] > 0:
            raise ValueError(
                f"score[{row}, {column}]={score[row, column]}: "
                f"must be a number below {LARGEST_SCORE:g} (−inf: not proposed)"
            )
        value = commitment[row if len(commitment) > 1 else 0, column]
        rule = "be 0 in column 0" if column == 0 else "be at least 0"
        raise ValueError(
            f"commitment of customer row {row}, action {column} is {value}: must {rule}"
        )


def entries(table: NDArray[Any], action: NDArray[np.int16]) -> NDArray[Any]:
    """Entry of each customer's action, from a table of one row or n rows."""
    return table[0, action] if len(table) == 1 else table[np.arange(len(action)), action]


def exact_sum(cost: NDArray[np.int64]) -> int:
    """Exact sum, also where it passes int64."""
    return (int(np.sum(cost >> 32)) << 32) + int(np.sum(cost & 0xFFFFFFFF))


def _within(
    score: NDArray[Any],
    commitment: NDArray[Any],
    mask: NDArray[Any],
    budget: int,
    wanted: NDArray[np.int16],
    rank: NDArray[np.uint64],
    core: bool,
) -> tuple[NDArray[np.int16], float]:
    """Action and shadow price where not everything wanted fits."""
    n, n_actions = score.shape
    rows = np.arange(n)
    by_cost = np.argsort(commitment[0], kind="stable")
    chain = np.zeros((n, n_actions), np.int16)
    length = np.zeros(n, np.int64)
    upper_hulls(score, commitment, mask, budget, by_cost, chain, length)
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(length)])
    efficiency = np.empty(start[-1], np.float64)
    cost = np.empty(start[-1], np.int64)
    hull_steps(score, commitment, chain, start, efficiency, cost)

    if fits(cost, budget):
        action = chain[rows, length]
        lowest = float(np.min(efficiency, initial=np.inf))
        return action, min(lowest, _best_refused(score, commitment, wanted, action))

    critical = np.uint64(threshold(efficiency.view(np.uint64), cost, budget))
    price = float(critical.view(np.float64))
    level = np.zeros(n, np.int64)
    room = budget - take_above(efficiency, cost, start, price, level)

    def fill(steps: NDArray[np.int64], room: int) -> int:
        at = np.searchsorted(start, steps, side="right") - 1
        by_efficiency = np.lexsort((rank[at], -efficiency[steps]))
        return int(fill_steps(steps[by_efficiency], at[by_efficiency], start, cost, level, room))

    room = fill(np.flatnonzero(efficiency == price), room)
    base = chain[rows, level]
    marginal = np.flatnonzero((efficiency < price) & (cost <= room))
    at = np.searchsorted(start, marginal, side="right") - 1
    fill(marginal[smallest(-efficiency[marginal], rank[at], FILL_STEPS)], room)
    action = chain[rows, level]

    # What the fill added, summed in an order that does not depend on that of the rows.
    changed = np.flatnonzero(action != base)
    changed = changed[np.argsort(rank[changed])]
    filled = float(np.sum(gain(score, changed, base, action)))
    exact = n <= EXACT_CUSTOMERS
    enough = price * (room - (EXACT_GAP if exact else LARGE_GAP) * budget)
    if core and filled < enough:
        near = core_customers(score, commitment, mask, base, price, room, filled, rank)
        choice = search(
            score[near],
            commitment[near] if len(commitment) > 1 else commitment,
            mask[near],
            base[near],
            price,
            room,
            filled,
            enough,
            CORE_WORK if exact else CORE_WORK_LARGE,
        )
        if len(choice):
            action = base
            action[near] = choice
    return action, price


def gain(
    score: NDArray[Any], at: NDArray[np.int64], old: NDArray[Any], new: NDArray[Any]
) -> NDArray[Any]:
    """Score of the new action over the old one, for the customers ``at``."""
    before = np.where(old[at] > 0, score[at, old[at]], 0.0)
    return np.asarray(np.where(new[at] > 0, score[at, new[at]], 0.0) - before)


def _best_refused(
    score: NDArray[Any], commitment: NDArray[Any], wanted: NDArray[Any], action: NDArray[Any]
) -> float:
    """Highest efficiency of a step from an action to the one wanted instead."""
    at = np.flatnonzero(wanted != action)
    more = (entries(commitment, wanted) - entries(commitment, action))[at]
    return float(np.max(gain(score, at, action, wanted) / more))
