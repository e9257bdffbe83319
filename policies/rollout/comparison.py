"""Policies against each other on customers held out, by expectations: far less noise, same mean."""

import numpy as np
from numpy.typing import NDArray

from agents.records import Customers
from envs.constraints.parameters import ConstraintParameters
from envs.decision import GovernedPolicy, Policy
from sim.expected_engine import ExpectedMarket
from sim.world import World


def expected_profit(
    world: World,
    customers: Customers,
    policy: Policy,
    constraints: ConstraintParameters,
    weeks: int,
    key: np.uint64,
) -> NDArray[np.float64]:
    """Expected profit per customer under a governed policy, minor units, shape (n,).

    Comparisons of policies on one key share their luck. ``customers`` are not changed.
    """
    own = customers.take(slice(None))
    governed = GovernedPolicy(policy, constraints, own.n)
    market = ExpectedMarket(world, own, key, decider=governed)
    for _ in range(weeks):
        market.step()
    profit: NDArray[np.float64] = market.scores["profit"].copy()
    return profit
