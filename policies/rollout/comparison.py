"""Policies against each other on customers held out, by expectations: far less noise, same mean."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.records import Customers
from envs.constraints.parameters import ConstraintParameters
from envs.decision import NoOffers, Policy
from envs.task import OfferTask
from policies.rollout.clairvoyant import govern
from sim.expected_engine import ExpectedMarket
from sim.world import World


class Outcome(NamedTuple):
    """Expected profit per customer, minor units, shape (n,); mean shadow price of the budget."""

    profit: NDArray[np.float64]
    price: float


def expected_outcome(
    world: World,
    customers: Customers,
    policy: Policy,
    constraints: ConstraintParameters,
    weeks: int,
    onward_weeks: float,
    key: np.uint64,
) -> Outcome:
    """What customers bring in expectation under a governed policy, and in the weeks after it.

    Comparisons of policies on one key share their luck. ``customers`` are not changed.
    """
    own = customers.take(slice(None))
    governed = govern(policy, constraints, own.n)
    market = ExpectedMarket(world, own, key, decider=governed)
    prices = []
    for _ in range(weeks):
        market.step()
        prices.append(governed.last.shadow_price if governed.last is not None else 0.0)
    market.engine.add_onward(onward_weeks)
    return Outcome(market.scores["profit"].copy(), float(np.mean(prices)))


class Change(NamedTuple):
    """What runs bring above others, as a share of the profit without offers; standard error."""

    mean: float
    error: float


class HeldOut:
    """Customers whom nothing is learned from, in every world of a task.

    Gains are shares of the profit without offers, so that worlds weigh alike.

    Parameters
    ----------
    task
        Worlds and constraints.
    pools
        Customers of each world.
    weeks, onward_weeks
        Length of a run, and weeks after it whose margin counts in closed form.
    key
        Its luck.
    """

    def __init__(
        self,
        task: OfferTask,
        pools: list[Customers],
        weeks: int,
        onward_weeks: float,
        key: np.uint64,
    ) -> None:
        self._task = task
        self._pools = pools
        self._weeks, self._onward = weeks, onward_weeks
        self._key = key
        ids = np.concatenate([pool.traits["id"] for pool in pools])
        _, self._customer = np.unique(ids, return_inverse=True)
        self.control = self.run(NoOffers())

    def run(self, policy: Policy) -> list[Outcome]:
        """Outcome of a policy in each world."""
        task = self._task
        return [
            expected_outcome(
                world, pool, policy, task.constraints, self._weeks, self._onward, self._key
            )
            for world, pool in zip(task.worlds, self._pools, strict=True)
        ]

    def change(self, new: list[Outcome], old: list[Outcome]) -> Change:
        """Mean over worlds; a customer may live in several, so errors are summed by customer."""
        means, shares = [], []
        for one, other, control in zip(new, old, self.control, strict=True):
            change = (one.profit - other.profit) / abs(control.profit.mean())
            means.append(change.mean())
            shares.append((change - change.mean()) / change.size)
        off = np.bincount(self._customer, np.concatenate(shares))
        error = float(np.sqrt(np.square(off).sum())) / len(means)
        return Change(float(np.mean(means)), error)

    def utility(self, runs: list[Outcome], loss_aversion: float) -> float:
        """Mean gain over worlds, less the mean loss ``loss_aversion`` times more."""
        gains = self.gains(runs)
        return float(gains.mean() + loss_aversion * np.minimum(gains, 0.0).mean())

    def gains(self, runs: list[Outcome]) -> NDArray[np.float64]:
        """Gain over no offers in each world, shape (worlds,)."""
        return np.array(
            [
                (run.profit.mean() - control.profit.mean()) / abs(control.profit.mean())
                for run, control in zip(runs, self.control, strict=True)
            ]
        )
