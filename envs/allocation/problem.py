"""A week's allocation problem with several budgets, and what an answer leaves of them."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.allocation.knapsack import entries, exact_sum


class Problem(NamedTuple):
    """One week's problem; the last row of ``draws`` and ``rooms`` is the budget of all actions."""

    score: NDArray[np.float64]
    commitment: NDArray[np.int64]
    mask: NDArray[np.bool_]
    customer_id: NDArray[np.uint64]
    week: int
    draws: NDArray[np.bool_]
    rooms: NDArray[np.int64]


def left_of(problem: Problem, action: NDArray[np.int16]) -> NDArray[Any]:
    """What is left of each budget; below 0 where it is overspent."""
    cost = entries(problem.commitment, action)
    used = [exact_sum(cost[drawn[action]]) for drawn in problem.draws]
    left: NDArray[Any] = np.array([int(room) for room in problem.rooms], object)
    left -= np.array(used, object)
    return left
