"""A rollout that also sees latent traits and states: a reference that tells apart two losses.

What it misses of the clairvoyant's gain is the cost of learning; what the deployable rollout
misses of its gain is what a firm cannot see.
"""

import numpy as np
from numpy.typing import NDArray

from agents.records import Customers
from envs.constraints.parameters import ConstraintParameters
from envs.decision import DecisionContext, GovernedPolicy, Policy
from envs.features import CENTRE, SCALE

_LOGGED = ("hazard", "spend_mean")  # of many sizes, all above 0
_TRAITS = (
    "log_rate", *_LOGGED, "spend_shape", "response", "openness", "goal_gradient",
    "fatigue_sensitivity", "redemption", "price_sensitivity", "deal_learning", "influence",
)  # fmt: skip
_STATES = (
    "drift", "fatigue", "momentum", "recent_reward", "pull_forward", "deals", "no_deals",
    "satisfaction", "tier_change", "buzz", "defections", "habit", "alive",
)  # fmt: skip


def latent_columns(customers: Customers) -> NDArray[np.float32]:
    """Traits and states that no firm sees, shape (n, L)."""
    n = customers.n
    columns = []
    for rows, names in ((customers.traits, _TRAITS), (customers.state, _STATES)):
        for name in names:
            values = rows[name].reshape(n, -1).astype(np.float64)
            columns.append(np.log(values + 1e-6) if name in _LOGGED else values)
    return np.hstack(columns).astype(np.float32)


class LatentScaling:
    """Centre and scale of the features and of the latent columns of some customers."""

    def __init__(self, customers: Customers) -> None:
        columns = latent_columns(customers).astype(np.float64)
        self.centre = np.concatenate([CENTRE, columns.mean(axis=0)])
        self.scale = np.concatenate([SCALE, np.maximum(columns.std(axis=0), 1e-3)])


class Seeing:
    """A policy whose network is also shown latent columns."""

    def __init__(self, policy: Policy) -> None:
        self.name = policy.name
        self.policy = policy
        self.customers: Customers

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Its scores."""
        whole = np.hstack([observation, latent_columns(self.customers)])
        return self.policy.propose(whole, mask, context)


class SeeingDecider(GovernedPolicy):
    """A ``LatentDecider``: shows its policy the market's customers; the same masks and budgets."""

    def __init__(self, policy: Seeing, constraints: ConstraintParameters, n: int) -> None:
        self._seeing = policy
        super().__init__(self._seeing, constraints, n)

    def see(self, customers: Customers) -> None:
        """Take the market's customers, latent fields and all; before each decision."""
        self._seeing.customers = customers


def govern(policy: Policy, constraints: ConstraintParameters, n: int) -> GovernedPolicy:
    """A policy under constraints, be it one that sees latent columns."""
    if isinstance(policy, Seeing):
        return SeeingDecider(policy, constraints, n)
    return GovernedPolicy(policy, constraints, n)
