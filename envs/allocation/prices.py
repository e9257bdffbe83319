"""Prices of several budgets: each just high enough that its budget is kept, given the others."""

import numpy as np
from numpy.typing import NDArray

from envs.allocation.knapsack import Allocation, allocate
from envs.allocation.order import smallest, tie_order
from envs.allocation.problem import Problem, left_of

# Of the logarithms of the prices, coarse to fine; prices move one another, so the last is repeated.
WIDTHS: tuple[float, ...] = (1.0, 0.1, 1e-2, 1e-3, 1e-4, 1e-4)
SAMPLE = 50_000  # customers among whom prices are sought first
PAIRED = 256  # customers nearest to the prices, among whom pairs are looked for
_LOWEST = 1e-9  # price looked at, relative to the highest


def near_prices(problem: Problem, prices: NDArray[np.float64]) -> NDArray[np.int64]:
    """Customers whose best and second best action differ least at the prices, in tie order."""
    reduced = problem.score - (prices @ problem.draws) * problem.commitment
    reduced[~problem.mask] = -np.inf
    reduced[:, 0] = 0.0
    two = np.partition(reduced, -2, axis=1)[:, -2:] if reduced.shape[1] > 1 else reduced
    order = tie_order(problem.customer_id, problem.week)
    near = smallest(two[:, -1] - two[:, 0], order, PAIRED)
    return near[np.argsort(order[near])]


def prices_of(problem: Problem) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Prices of all budgets but the last, each just high enough and just too low given the others;
    0 where a budget needs none. Found coarsely first; for many customers, among some of them.
    """
    parts = len(problem.rooms) - 1
    high, low = np.zeros(parts + 1), np.zeros(parts + 1)
    widths = WIDTHS
    if len(problem.score) > SAMPLE:
        high, low = prices_of(_sample(problem))
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


def _sample(problem: Problem) -> Problem:
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
    problem: Problem,
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
        return bool(left_of(problem, at_prices(problem, trial).action)[part] >= 0)

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


def at_prices(problem: Problem, prices: NDArray[np.float64], core: bool = False) -> Allocation:
    """The knapsack with each action charged for the budgets it draws on but the last."""
    charge = prices[:-1] @ problem.draws[:-1]
    reduced = problem.score - charge * problem.commitment
    return allocate(
        reduced, problem.commitment, problem.mask, int(problem.rooms[-1]), problem.customer_id,
        problem.week, core=core,
    )  # fmt: skip
