"""Policies against each other on customers held out, by expectations: far less noise, same mean."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.records import Customers
from envs.constraints.parameters import ConstraintParameters
from envs.decision import GovernedPolicy, Policy
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
    key: np.uint64,
) -> Outcome:
    """What customers bring in expectation under a governed policy.

    Comparisons of policies on one key share their luck. ``customers`` are not changed.
    """
    own = customers.take(slice(None))
    governed = GovernedPolicy(policy, constraints, own.n)
    market = ExpectedMarket(world, own, key, decider=governed)
    prices = []
    for _ in range(weeks):
        market.step()
        prices.append(governed.last.shadow_price if governed.last is not None else 0.0)
    return Outcome(market.scores["profit"].copy(), float(np.mean(prices)))
