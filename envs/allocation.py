"""Who gets which offer within the budget: a multiple-choice knapsack, never overspent.

One action per customer, the largest total score, commitments within the budget:

1. each customer's actions are reduced to the upper concave hull of (commitment, score), a chain
   of steps of falling efficiency (score per minor unit);
2. the price is bisected, 65,536 ways at a time over the bits of its float, with integer sums;
3. steps above the price are taken, steps at the price in order of a hash of (customer, week),
   then what still fits, most efficient first;
4. customers near the price, the core, are solved again over all their actions, by a dynamic
   programme over undominated (commitment, score) states with a linear bound, as in Pisinger
   (1995), "A minimal algorithm for the multiple-choice knapsack problem",
   https://doi.org/10.1016/0377-2217(95)00015-I.
"""

from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import ArrayLike, NDArray

from agents.compiled import kernel, parallel_kernel

EXACT_CUSTOMERS = 200  # up to here every customer may enter the core
CORE_CUSTOMERS = 256
CORE_STATES = 1 << 15  # kept at once
CORE_NODES = 1 << 21  # decisions remembered
CORE_WORK = 1 << 26  # states looked at, for a problem that is to be solved exactly
CORE_WORK_LARGE = 1 << 22  # and for a larger one, where the gap before the core is small
FILL_STEPS = 4096
EXACT_GAP = 1e-13  # relative gap to the linear bound at which a small problem is solved
LARGE_GAP = 1e-6  # and a larger one
LARGEST_SCORE = 1e150  # sums and ratios of scores stay finite
LARGEST_BUDGET = 2**62 - 1  # sums and differences of commitments stay within int64

_ROWS = 2048  # rows per parallel block


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
    bound_by_budget
        Where ``wanted`` was not granted, ``shape (n,)``, bool.
    """

    action: NDArray[np.int16]
    shadow_price: float
    committed: int
    wanted: NDArray[np.int16]
    bound_by_budget: NDArray[np.bool_]


def allocate(
    score: ArrayLike,
    commitment: ArrayLike,
    mask: ArrayLike,
    budget: int | None,
    customer_id: ArrayLike,
    week: int,
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

    Raises
    ------
    TypeError
        If the budget is not an integer.
    ValueError
        If a score is NaN or at least ``LARGEST_SCORE`` (row and column are named, masked or
        not), a commitment is negative or not 0 in column 0, the budget is negative, or shapes
        or dtypes do not fit.
    """
    score, commitment, mask, customer_id = _checked(score, commitment, mask, customer_id)
    limit = LARGEST_BUDGET if budget is None else min(index(budget), LARGEST_BUDGET)
    if limit < 0:
        raise ValueError(f"budget={budget}: must be at least 0")
    n = len(score)

    wanted = np.zeros(n, np.int16)
    fault = np.zeros(n, np.int16)
    _want(score, commitment, mask, wanted, fault)
    _refuse(score, commitment, fault)
    cost = _of(commitment, wanted)
    if budget is None or _fits(cost, limit):
        return Allocation(wanted, 0.0, _total(cost), wanted.copy(), np.zeros(n, np.bool_))

    action, price = _within(score, commitment, mask, limit, wanted, _rank(customer_id, week))
    return Allocation(action, price, _total(_of(commitment, action)), wanted, wanted != action)


def _checked(
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
    if given.shape not in ((n_actions,), (n, n_actions)):
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
    """Raise for the first fault that `_want` found."""
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


def _of(table: NDArray[Any], action: NDArray[np.int16]) -> NDArray[Any]:
    """Entry of each customer's action, from a table of one row or n rows."""
    return table[0, action] if len(table) == 1 else table[np.arange(len(action)), action]


def _total(cost: NDArray[np.int64]) -> int:
    """Exact sum, also where it passes int64."""
    return (int(np.sum(cost >> 32)) << 32) + int(np.sum(cost & 0xFFFFFFFF))


def _within(
    score: NDArray[Any],
    commitment: NDArray[Any],
    mask: NDArray[Any],
    budget: int,
    wanted: NDArray[np.int16],
    rank: NDArray[np.uint64],
) -> tuple[NDArray[np.int16], float]:
    """Action and shadow price where not everything wanted fits."""
    n, n_actions = score.shape
    rows = np.arange(n)
    by_cost = np.argsort(commitment[0], kind="stable")
    chain = np.zeros((n, n_actions), np.int16)
    length = np.zeros(n, np.int64)
    _hulls(score, commitment, mask, budget, by_cost, chain, length)
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(length)])
    efficiency = np.empty(start[-1], np.float64)
    cost = np.empty(start[-1], np.int64)
    _steps(score, commitment, chain, start, efficiency, cost)

    if _fits(cost, budget):
        action = chain[rows, length]
        lowest = float(np.min(efficiency, initial=np.inf))
        return action, min(lowest, _best_refused(score, commitment, wanted, action))

    critical = np.uint64(_threshold(efficiency.view(np.uint64), cost, budget))
    price = float(critical.view(np.float64))
    level = np.zeros(n, np.int64)
    room = budget - _take_above(efficiency, cost, start, price, level)

    def fill(steps: NDArray[np.int64], room: int) -> int:
        at = np.searchsorted(start, steps, side="right") - 1
        by_efficiency = np.lexsort((rank[at], -efficiency[steps]))
        return int(_fill(steps[by_efficiency], at[by_efficiency], start, cost, level, room))

    room = fill(np.flatnonzero(efficiency == price), room)
    base = chain[rows, level]
    marginal = np.flatnonzero((efficiency < price) & (cost <= room))
    at = np.searchsorted(start, marginal, side="right") - 1
    fill(marginal[_first(-efficiency[marginal], rank[at], FILL_STEPS)], room)
    action = chain[rows, level]

    # What the fill added, summed in an order that does not depend on that of the rows.
    changed = np.flatnonzero(action != base)
    changed = changed[np.argsort(rank[changed])]
    filled = float(np.sum(_gain(score, changed, base, action)))
    exact = n <= EXACT_CUSTOMERS
    enough = price * (room - (EXACT_GAP if exact else LARGE_GAP) * budget)
    if filled < enough:
        core = _core(score, commitment, mask, base, price, room, filled, rank)
        choice = _search(
            score[core],
            commitment[core] if len(commitment) > 1 else commitment,
            mask[core],
            base[core],
            price,
            room,
            filled,
            enough,
            CORE_WORK if exact else CORE_WORK_LARGE,
        )
        if len(choice):
            action = base
            action[core] = choice
    return action, price


def _core(
    score: NDArray[Any],
    commitment: NDArray[Any],
    mask: NDArray[Any],
    base: NDArray[np.int16],
    price: float,
    room: int,
    filled: float,
    rank: NDArray[np.uint64],
) -> NDArray[np.int64]:
    """Customers near the price, in turn one who may spend more and one who may spend less."""
    up, down = np.empty(len(score)), np.empty(len(score))
    _core_distance(score, commitment, mask, base, price, room, filled, up, down)
    position: dict[int, float] = {}
    for distance, offset in ((up, 0.0), (down, 0.5)):
        near = np.flatnonzero(np.isfinite(distance))
        for place, row in enumerate(near[_first(distance[near], rank[near], CORE_CUSTOMERS)]):
            position[row] = min(position.get(row, np.inf), place + offset)
    return np.array(sorted(position, key=position.__getitem__)[:CORE_CUSTOMERS], np.int64)


def _gain(
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
    more = (_of(commitment, wanted) - _of(commitment, action))[at]
    return float(np.max(_gain(score, at, action, wanted) / more))


def _first(key: NDArray[Any], rank: NDArray[np.uint64], k: int) -> NDArray[np.int64]:
    """Positions of the ``k`` smallest by (key, rank), in that order."""
    chosen = np.arange(len(key))
    if len(key) > k:
        threshold = np.partition(key, k)[k]
        below, equal = np.flatnonzero(key < threshold), np.flatnonzero(key == threshold)
        equal = equal[np.argsort(rank[equal])][: k - len(below)]
        chosen = np.concatenate([below, equal])
    return np.asarray(chosen[np.lexsort((rank[chosen], key[chosen]))])


def _rank(customer_id: NDArray[np.uint64], week: int) -> NDArray[np.uint64]:
    """Hash of (customer, week): distinct for distinct customers of a week."""
    salt = _splitmix64(np.array([int(week) & 0xFFFFFFFFFFFFFFFF], np.uint64))
    return _splitmix64(customer_id ^ salt)


def _splitmix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Output function of splitmix64 (Steele, Lea & Flood 2014), a bijection of 64-bit words.

    https://doi.org/10.1145/2660193.2660195
    """
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@parallel_kernel
def _want(score, commitment, mask, wanted, fault):  # type: ignore[no-untyped-def]
    """Best action at price 0; column + 1 of a refused score, −(column + 1) of a commitment."""
    n, n_actions = score.shape
    shared = len(commitment) == 1
    for block in prange((n + _ROWS - 1) // _ROWS):
        for row in range(block * _ROWS, min(n, (block + 1) * _ROWS)):
            own = 0 if shared else row
            best, best_score, best_cost = 0, 0.0, np.int64(0)
            if commitment[own, 0] != 0:
                fault[row] = -1
            for column in range(1, n_actions):
                value = score[row, column]
                cost = commitment[own, column]
                if not value < LARGEST_SCORE:
                    fault[row] = column + 1
                elif cost < 0:
                    fault[row] = -(column + 1)
                elif (
                    value >= best_score
                    and value > 0.0
                    and mask[row, column]
                    and (value > best_score or cost < best_cost)
                ):
                    best, best_score, best_cost = column, value, cost
            wanted[row] = best


@kernel
def _fits(cost, budget):  # type: ignore[no-untyped-def]
    """Whether the sum is within the budget, without overflow."""
    room = np.int64(budget)
    for c in cost:
        if c > room:
            return False
        room -= c
    return True


@parallel_kernel
def _hulls(score, commitment, mask, budget, by_cost, chain, length):  # type: ignore[no-untyped-def]
    """Actions on each customer's upper hull: best free action, then steps of falling efficiency.

    ``by_cost`` is an order of the columns by commitment, exact or nearly so.
    """
    n, n_actions = score.shape
    shared = len(commitment) == 1
    for block in prange((n + _ROWS - 1) // _ROWS):
        candidate = np.empty(n_actions, np.int64)
        slope = np.empty(n_actions, np.float64)
        for row in range(block * _ROWS, min(n, (block + 1) * _ROWS)):
            own = 0 if shared else row
            free, free_score = 0, 0.0
            m = 0
            for column in by_cost:
                value = score[row, column]
                if column == 0 or not value > 0.0 or not mask[row, column]:
                    continue
                c = commitment[own, column]
                if c == 0:
                    if value > free_score or (value == free_score and column < free):
                        free, free_score = column, value
                elif c <= budget:
                    i = m
                    while i > 0:  # insertion by (commitment, column)
                        other = candidate[i - 1]
                        other_cost = commitment[own, other]
                        if other_cost < c or (other_cost == c and other < column):
                            break
                        candidate[i] = other
                        i -= 1
                    candidate[i] = column
                    m += 1
            chain[row, 0] = free
            h = 0
            top_score, top_cost = free_score, np.int64(0)
            for k in range(m):
                column = candidate[k]
                value, c = score[row, column], commitment[own, column]
                if not value > top_score:
                    continue
                while True:
                    e = np.inf if c == top_cost else (value - top_score) / np.float64(c - top_cost)
                    if h == 0 or e < slope[h]:
                        break
                    h -= 1
                    before = chain[row, h]
                    top_score = free_score if h == 0 else score[row, before]
                    top_cost = commitment[own, before]
                h += 1
                chain[row, h] = column
                slope[h] = e
                top_score, top_cost = value, c
            length[row] = h


@parallel_kernel
def _steps(score, commitment, chain, start, efficiency, cost):  # type: ignore[no-untyped-def]
    """Efficiency and commitment of every step of every hull, flat, ``start[row]`` onwards."""
    n = len(chain)
    shared = len(commitment) == 1
    for block in prange((n + _ROWS - 1) // _ROWS):
        for row in range(block * _ROWS, min(n, (block + 1) * _ROWS)):
            own = 0 if shared else row
            action = chain[row, 0]
            value = score[row, action] if action > 0 else 0.0
            c = commitment[own, action]
            for i in range(start[row + 1] - start[row]):
                action = chain[row, i + 1]
                step = commitment[own, action] - c
                efficiency[start[row] + i] = (score[row, action] - value) / np.float64(step)
                cost[start[row] + i] = step
                value, c = score[row, action], commitment[own, action]


@kernel
def _threshold(bits, weight, limit):  # type: ignore[no-untyped-def]
    """Highest value such that the weights at or above it exceed the limit.

    Bisects the uint64 words 65,536 ways at a time; floats ≥ 0 order like their bits. The total
    of the weights, each ≥ 0, must exceed the limit.
    """
    most = np.int64(np.iinfo(np.int64).max)
    digit_weight = np.empty(1 << 16, np.int64)
    room = np.int64(limit)
    prefix = np.uint64(0)
    for shift in (48, 32, 16, 0):
        digit_weight[:] = 0
        for i in range(len(bits)):
            high = bits[i] >> np.uint64(shift)
            if shift == 48 or (high >> np.uint64(16)) == prefix:
                digit = np.int64(high & np.uint64(0xFFFF))
                digit_weight[digit] += min(weight[i], most - digit_weight[digit])
        top = (1 << 16) - 1
        while digit_weight[top] <= room:
            room -= digit_weight[top]
            top -= 1
        prefix = (prefix << np.uint64(16)) | np.uint64(top)
    return prefix


@kernel
def _take_above(efficiency, cost, start, price, level):  # type: ignore[no-untyped-def]
    """Climb each hull while the step is worth more than the price; returns what that costs."""
    spent = np.int64(0)
    for row in range(len(level)):
        i = start[row]
        while i < start[row + 1] and efficiency[i] > price:
            spent += cost[i]
            i += 1
        level[row] = i - start[row]
    return spent


@kernel
def _fill(steps, rows, start, cost, level, room):  # type: ignore[no-untyped-def]
    """Take in turn each step that is the next of its customer and fits; returns the room left."""
    for i in range(len(steps)):
        row = rows[i]
        if start[row] + level[row] == steps[i] and cost[steps[i]] <= room:
            room -= cost[steps[i]]
            level[row] += 1
    return room


@parallel_kernel
def _core_distance(  # type: ignore[no-untyped-def]
    score, commitment, mask, base, price, room, best, up, down
):
    """Least change of price that moves a customer to a dearer (``up``) or cheaper action.

    Forcing one customer from its base action to another, all others free, is worth at most
    ``gain + price * (room - cost)``; inf where no such action can pass ``best``.
    """
    n, n_actions = score.shape
    shared = len(commitment) == 1
    for block in prange((n + _ROWS - 1) // _ROWS):
        for row in range(block * _ROWS, min(n, (block + 1) * _ROWS)):
            own = 0 if shared else row
            base_cost = commitment[own, base[row]]
            base_score = score[row, base[row]] if base[row] > 0 else 0.0
            up[row] = down[row] = np.inf
            for column in range(n_actions):
                value = score[row, column] if column > 0 else 0.0
                if column > 0 and not (value > 0.0 and mask[row, column]):
                    continue
                cost = commitment[own, column] - base_cost
                gain = value - base_score
                if cost != 0 and gain + price * np.float64(room - cost) > best:
                    least = abs(gain / np.float64(cost) - price)
                    if cost > 0:
                        up[row] = min(up[row], least)
                    else:
                        down[row] = min(down[row], least)


@kernel
def _trace(node, node_before, node_row, node_action, base):  # type: ignore[no-untyped-def]
    """Actions along the nodes back to the root; empty for no node."""
    if node < 0:
        return base[:0].copy()
    choice = base.copy()
    while node >= 0:
        choice[node_row[node]] = node_action[node]
        node = node_before[node]
    return choice


@kernel
def _drop(cost, gain, node, action, held, room, up, down):  # type: ignore[no-untyped-def]
    """Keep `CORE_STATES` states: highest bound, then closest to the budget; returns how many."""
    bound = np.empty(held)
    nearness = np.zeros(held, np.uint64)
    for i in range(held):
        slack = room - cost[i]
        bound[i] = gain[i] + np.float64(slack) * (up if slack >= 0 else down)
        nearness[i] = np.uint64(LARGEST_BUDGET) * np.uint64(2) - np.uint64(abs(slack))
    one = np.ones(held, np.int64)
    bits = bound.view(np.uint64)
    bar = _threshold(bits, one, CORE_STATES)
    places = CORE_STATES
    for i in range(held):
        one[i] = bits[i] == bar
        places -= bits[i] > bar
    near = _threshold(nearness, one, places)
    m = 0
    for i in range(held):
        if bits[i] > bar or (bits[i] == bar and nearness[i] > near):
            cost[m], gain[m], node[m], action[m] = cost[i], gain[i], node[i], action[i]
            m += 1
    return m


@kernel
def _merge(  # type: ignore[no-untyped-def]
    states, n_states, held, n_held, out, more_cost, more_gain, action, room, best, up, down, release
):
    """Merge the held states with all states moved by one action; drop dominated, hopeless ones.

    Returns
    -------
    tuple of int, int
        Number of states in ``out``; which of the moved ones is within the budget and the best so
        far, or −1.
    """
    state_cost, state_gain, state_node, _ = states
    held_cost, held_gain, held_node, held_action = held
    out_cost, out_gain, out_node, out_action = out
    i, j, m, found = 0, 0, 0, -1
    top = -np.inf
    while i < n_held or j < n_states:
        if j < n_states:
            c, g = state_cost[j] + more_cost, state_gain[j] + more_gain
        if j == n_states or (
            i < n_held and (held_cost[i] < c or (held_cost[i] == c and held_gain[i] >= g))
        ):
            if held_gain[i] > top:
                top = held_gain[i]
                out_cost[m], out_gain[m] = held_cost[i], top
                out_node[m], out_action[m] = held_node[i], held_action[i]
                m += 1
            i += 1
            continue
        slack = room - c
        if g > top and slack >= -release:
            bound = g + np.float64(slack) * (up if slack >= 0 else down)
            if bound > best:
                top = g
                out_cost[m], out_gain[m] = c, g
                out_node[m], out_action[m] = state_node[j], action
                if slack >= 0 and g > best:
                    best, found = g, m
                m += 1
        j += 1
    return m, found


@kernel
def _state_arrays(size):  # type: ignore[no-untyped-def]
    """Cost and gain relative to the base actions, node before, action."""
    return (
        np.zeros(size, np.int64),
        np.zeros(size, np.float64),
        np.full(size, -1, np.int32),
        np.full(size, -1, np.int16),
    )


@kernel
def _search(  # type: ignore[no-untyped-def]
    score, commitment, mask, base, price, room, best, enough, work
):
    """Best actions of the core customers, in the given order; empty if none passes ``best``.

    Stops at a gain of ``enough`` or after ``work`` states. States are (cost, gain) relative to
    the base actions, sorted by cost with rising gain; nodes are the decisions behind them.
    """
    n, n_actions = score.shape
    shared = len(commitment) == 1

    # Actions that may be in a better answer, and bounds on the customers from here on.
    gain = np.full((n, n_actions), -np.inf)
    cost = np.zeros((n, n_actions), np.int64)
    up = np.zeros(n + 1)  # most gain per unit more
    down = np.full(n + 1, np.inf)  # least loss per unit less
    release = np.zeros(n + 1, np.int64)  # most that can be given back
    for row in range(n - 1, -1, -1):
        own = 0 if shared else row
        base_cost = commitment[own, base[row]]
        base_score = score[row, base[row]] if base[row] > 0 else 0.0
        up[row], down[row], most = up[row + 1], down[row + 1], np.int64(0)
        for column in range(n_actions):
            value = score[row, column] if column > 0 else 0.0
            if column > 0 and not (value > 0.0 and mask[row, column]):
                continue
            c = commitment[own, column] - base_cost
            g = value - base_score
            if c == 0 or not g + price * np.float64(room - c) > best:
                continue
            gain[row, column], cost[row, column] = g, c
            if c > 0:
                up[row] = max(up[row], g / np.float64(c))
            else:
                down[row] = min(down[row], g / np.float64(c))
                most = max(most, -c)
        release[row] = release[row + 1] + most

    size = 2 * CORE_STATES
    node_before = np.empty(CORE_NODES, np.int32)
    node_row = np.empty(CORE_NODES, np.int16)
    node_action = np.empty(CORE_NODES, np.int16)
    nodes, best_node = 0, -1
    states, held, out = _state_arrays(size), _state_arrays(size), _state_arrays(size)
    n_states = 1

    for row in range(n):
        rest = row + 1
        n_held = 0
        for step in range(-1, n_actions):  # -1: the base action
            if step >= 0 and gain[row, step] == -np.inf:
                continue
            work -= n_held + n_states
            if work < 0 or best >= enough or nodes + size + n_actions > CORE_NODES:
                return _trace(best_node, node_before, node_row, node_action, base)
            n_held, found = _merge(
                states,
                n_states,
                held,
                n_held,
                out,
                cost[row, step] if step >= 0 else 0,
                gain[row, step] if step >= 0 else 0.0,
                step,
                room,
                best,
                up[rest],
                down[rest],
                release[rest],
            )
            held, out = out, held
            if found >= 0:
                best, best_node = held[1][found], nodes
                node_before[nodes] = held[2][found]
                node_row[nodes], node_action[nodes] = row, step
                nodes += 1
            if n_held > CORE_STATES:
                n_held = _drop(
                    held[0], held[1], held[2], held[3], n_held, room, up[rest], down[rest]
                )
        for i in range(n_held):
            if held[3][i] >= 0:
                node_before[nodes] = held[2][i]
                node_row[nodes], node_action[nodes] = row, held[3][i]
                held[2][i] = nodes
                nodes += 1
        states, held = held, states
        n_states = n_held
    return _trace(best_node, node_before, node_row, node_action, base)
