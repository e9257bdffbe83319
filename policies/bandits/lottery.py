"""The lottery of an experiment: one draw per customer, whose chances are known and fit the room."""

import numpy as np
from numpy.typing import NDArray

from envs.allocation.several import Budget
from envs.constraints.budgets import Rooms, discounts
from sim.offers import ActionTable


def mixed(
    arms: NDArray[np.int64],
    shares: NDArray[np.float64],
    mask: NDArray[np.bool_],
    explore_share: float,
) -> NDArray[np.float64]:
    """Probability of every action before thinning, shape (n, A).

    Parameters
    ----------
    arms
        What each arm would do, shape (arms, n).
    shares
        Traffic of the arms.
    mask
        Allowed actions, shape (n, A).
    explore_share
        Share of the contacts that are a random allowed offer.
    """
    rows = np.arange(arms.shape[1])
    propensity = np.zeros(mask.shape)
    for share, action in zip(shares, arms, strict=True):
        propensity[rows, action] += share
    contact = propensity[:, 1:].sum(axis=1)
    options = mask[:, 1:].sum(axis=1)
    explored = explore_share * contact / np.maximum(options, 1)
    propensity[:, 1:] *= 1.0 - explore_share
    propensity[:, 1:] += np.where(mask[:, 1:], explored[:, None], 0.0)
    propensity[:, 0] = 1.0 - propensity[:, 1:].sum(axis=1)
    return propensity


def thin(propensity: NDArray[np.float64], rooms: Rooms, table: ActionTable, safety: float) -> None:
    """Lower the chances of offers until what is drawn fits every room, in place.

    ``safety`` is in standard deviations of what is drawn.
    """
    factor = np.ones(table.n)
    budgets = (
        Budget(rooms.offer_budget),
        Budget(rooms.discount_exposure, discounts(table)),
        *rooms.shares,
    )
    for budget in budgets:
        if budget.room is None:
            continue
        draws = np.ones(table.n, bool) if budget.draws is None else budget.draws
        cost = np.where(draws, table.commitment, 0).astype(np.float64)
        most = _fitting(propensity, cost, float(budget.room), safety)
        factor[cost > 0] = np.minimum(factor[cost > 0], most)
    propensity[:, 1:] *= factor[1:]
    propensity[:, 0] = 1.0 - propensity[:, 1:].sum(axis=1)


def draw(propensity: NDArray[np.float64], uniform: NDArray[np.float64]) -> NDArray[np.int64]:
    """One action per row with these probabilities, shape (n,)."""
    above = propensity.cumsum(axis=1) > uniform[:, None]
    drawn: NDArray[np.int64] = above.argmax(axis=1)  # 0 also where rounding leaves a sum below 1
    return drawn


def _fitting(
    propensity: NDArray[np.float64], cost: NDArray[np.float64], room: float, safety: float
) -> float:
    """Largest factor f with f·mean + safety·√(f·Σ p cost²) within the room, at most 1.

    The root bounds the standard deviation of what independent draws cost.
    """
    mean = float((propensity @ cost).sum())
    if mean <= 0.0:
        return 1.0
    spread = safety * float(np.sqrt((propensity @ np.square(cost)).sum()))
    root = (-spread + np.sqrt(spread**2 + 4.0 * mean * room)) / (2.0 * mean)
    return float(min(1.0, root**2))
