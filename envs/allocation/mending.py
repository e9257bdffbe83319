"""An answer mended: nothing overspent, nothing left unspent that a small change can use."""

import numpy as np
from numpy.typing import NDArray

from agents.compiled import kernel
from envs.allocation.knapsack import entries
from envs.allocation.order import smallest, tie_order
from envs.allocation.problem import Problem, left_of

MOVES = 65_536  # looked at when filling what is left
PASSES = 20  # over the customers nearest to the prices


def mended(
    problem: Problem, action: NDArray[np.int16], near: NDArray[np.int64]
) -> NDArray[np.int16]:
    """Nothing overspent, nothing left unspent that a single change, or a pair among ``near``, can
    use.
    """
    action = action.copy()
    left = left_of(problem, action).astype(np.int64)
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
