"""Decisions to learn from: customers along a policy's trajectories, and branches from there."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from agents.records import Customers
from agents.rng import Purpose, draw_uniforms
from envs.constraints.masks import blocking, limits_record
from envs.constraints.parameters import ConstraintParameters
from envs.decision import DecisionContext, Policy
from envs.features import observe
from policies.heuristics import Random
from policies.rollout.clairvoyant import Seeing, govern
from policies.rollout.ensemble import Data, LowerGain
from policies.rollout.parameters import RolloutParameters
from sim.expected_values import Continuation, expected_values
from sim.market import LoyaltyMarket
from sim.world import World

_EXPLORING_DRAW = 2  # index of the draw; Random has 0 and 1


class States(NamedTuple):
    """Decisions about n customers: who they were, what was seen, what was allowed."""

    customers: Customers
    observation: NDArray[np.float32]
    allowed: NDArray[np.bool_]

    def rows(self, chosen: slice) -> "States":
        """Some of them."""
        return States(self.customers.take(chosen), self.observation[chosen], self.allowed[chosen])


class _Watched:
    """A policy that keeps what it last saw, and sends random offers to some customers."""

    def __init__(self, policy: Policy, key: np.uint64, exploring: float) -> None:
        self.name = policy.name
        self.observation: NDArray[np.float32]
        self.allowed: NDArray[np.bool_]
        self._policy = policy
        self._random = Random(key, 0.5)
        self._key = key
        self._exploring = exploring

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """The policy's scores; random ones for those who explore."""
        self.observation, self.allowed = observation.copy(), mask.copy()
        score = self._policy.propose(observation, mask, context)
        ids = context.customer_id
        explores = draw_uniforms(self._key, ids, Purpose.POLICY, _EXPLORING_DRAW) < self._exploring
        tried = self._random.propose(observation, mask, context)
        return np.where(explores[:, None], tried, score)


def sample_states(
    world: World,
    pool: Customers,
    policy: Policy,
    constraints: ConstraintParameters,
    weeks: int,
    n: int,
    key: np.uint64,
    replica: int,
    exploring: float,
    latent: bool = False,
) -> States:
    """About ``n`` decisions at random weeks of a run of the pool under the governed policy.

    Only of customers whom something may be offered. ``replica`` numbers the luck; ``latent``
    shows the policy what no firm sees, and keeps it with the observations.
    """
    customers = pool.take(slice(None))
    customers.state["replica"] = replica
    watched = _Watched(policy, key ^ np.uint64(replica), exploring)
    governed = govern(Seeing(watched) if latent else watched, constraints, customers.n)
    market = LoyaltyMarket(world, customers, key, decider=governed)
    rng = np.random.default_rng([int(key), replica])
    share = rng.multinomial(n, np.full(weeks, 1.0 / weeks))
    found: list[tuple[Customers, NDArray[np.float32], NDArray[np.bool_]]] = []
    for week in range(weeks):
        before = customers.take(slice(None))
        market.step()
        eligible = np.flatnonzero(watched.allowed[:, 1:].any(axis=1))
        rows = rng.permutation(eligible)[: share[week]]
        found.append((before.take(rows), watched.observation[rows], watched.allowed[rows]))
    whole = Customers(*(np.concatenate(part) for part in zip(*(f[0] for f in found), strict=True)))
    order = rng.permutation(whole.n)  # so that the first of them are of all weeks
    return States(
        whole.take(order),
        np.concatenate([f[1] for f in found])[order],
        np.concatenate([f[2] for f in found])[order],
    )


def following(
    scores: LowerGain, world: World, constraints: ConstraintParameters, price: float
) -> Continuation:
    """What the policy does in a branch: its best allowed action above the budget's price.

    ``price`` is what a minor unit of commitment must bring, the mean shadow price of the policy's
    own run: branches are too many to share a budget.
    """
    table = world.table
    rules = world.rules()
    limits = limits_record(constraints, table.categories)
    charge = torch.tensor(price * table.commitment, dtype=torch.float32)

    def choose(
        account: NDArray[np.void], profile: NDArray[np.void], week: NDArray[np.int64]
    ) -> NDArray[np.integer]:
        action = np.zeros(account.shape[0], np.uint8)
        allowed = blocking(account, profile, table, limits) == 0
        rows = np.flatnonzero(allowed[:, 1:].any(axis=1))
        if rows.size == 0:
            return action
        seen = observe(profile[rows], week[rows], rules, allowed=constraints.features)
        with torch.no_grad():
            worth = scores(torch.from_numpy(seen)) - charge
        worth[~torch.from_numpy(allowed[rows])] = -torch.inf
        worth[:, 0] = 0.0
        action[rows] = worth.argmax(dim=1).numpy()
        return action

    return choose


def branch(
    world: World,
    states: States,
    parameters: RolloutParameters,
    key: np.uint64,
    first_replica: int,
    follow: Continuation | None,
) -> Data:
    """Gain of every allowed action by expectations, and the cost of its own offer."""
    found = expected_values(
        world, states.customers, states.allowed, key, parameters.weeks, parameters.replicas,
        first_replica=first_replica, onward_weeks=parameters.onward_weeks, follow=follow,
    )  # fmt: skip
    cost = found.cost
    if follow is not None:  # which has offers of its own in these costs
        alone = expected_values(
            world, states.customers, states.allowed, key, int(world.table.offers["weeks"].max()),
            parameters.replicas, first_replica=first_replica,
        )  # fmt: skip
        cost = alone.cost
    ids = states.customers.traits["id"].astype(np.int64)
    return Data(states.observation, found.gain, cost, ids)
