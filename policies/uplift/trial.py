"""A randomised trial in simulated markets: what a firm would have measured before modelling uplift.

Every week every customer is drawn by lot to get a random allowed offer or none (a
micro-randomised trial, Klasnja et al. 2015, https://doi.org/10.1037/hea0000305). Nothing in the
data is counterfactual.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.records import Customers
from envs.constraints.parameters import ConstraintParameters, OfferBudget
from envs.decision import GovernedPolicy
from policies.base import DecisionContext
from policies.feedback import weekly_profit
from policies.heuristics.baselines import Random
from sim.market import LoyaltyMarket
from sim.world import World


@dataclass(frozen=True)
class TrialData:
    """One row per customer and week of decision; money in minor units.

    Attributes
    ----------
    customer
        Customer id, shape (n,): rows of one customer are not independent.
    observation, action
        What was seen and done, shapes (n, F) and (n,).
    propensity
        Probability of each action, shape (n, A).
    margin
        Profit of the window after the decision with the cost of offers added back, shape (n,).
    cost
        Cost of offers settled in the window, shape (n,).
    """

    customer: NDArray[np.uint64]
    observation: NDArray[np.float32]
    action: NDArray[np.int64]
    propensity: NDArray[np.float64]
    margin: NDArray[np.float64]
    cost: NDArray[np.float64]

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.action.size)


class _Recording(Random):
    """The lottery, and a record of what was seen, done and observed."""

    def __init__(self, key: np.uint64, share: float) -> None:
        super().__init__(key, share)
        self.weeks: list[dict[str, NDArray[Any]]] = []

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        self._chance = self.propensity(mask)
        return super().propose(observation, mask, context)

    def learn_week(
        self,
        observation: NDArray[np.float32],
        executed: NDArray[np.integer],
        outcome: NDArray[np.void],
    ) -> None:
        settled = outcome["settled"].astype(np.float64)
        self.weeks.append(
            {
                "observation": observation,
                "action": executed.astype(np.int64),
                "propensity": self._chance,
                "margin": weekly_profit(outcome) + settled,
                "cost": settled,
            }
        )


def run_trial(
    world: World,
    customers: Customers,
    constraints: ConstraintParameters,
    key: np.uint64,
    replica: int,
    weeks: int,
    window: int,
    share: float,
) -> TrialData:
    """Run the lottery in one market.

    Parameters
    ----------
    world, customers
        Copied, not changed.
    constraints
        Masks bind in the trial too; budgets do not, so that chances are known exactly.
    key, replica
        Luck of market and lottery; another replica has the same customers and other luck.
    weeks, window
        Weeks of decisions, and weeks whose outcome counts.
    share
        Share of customers who are to get an offer each week.
    """
    market_customers = customers.take(slice(None))
    market_customers.state["replica"] = replica
    unlimited = replace(constraints, offer_budget=OfferBudget(), discount_exposure=None)
    lottery = _Recording(key ^ np.uint64(replica), share)
    decider = GovernedPolicy(lottery, unlimited, customers.n)
    market = LoyaltyMarket(world, market_customers, key, decider=decider)
    for _ in range(weeks + window - 1):
        market.step()
    market.finish()
    seen = {name: np.stack([one[name] for one in lottery.weeks]) for name in lottery.weeks[0]}
    for name in ("margin", "cost"):
        sums = np.concatenate([np.zeros((1, customers.n)), seen[name].cumsum(axis=0)])
        seen[name] = sums[window:] - sums[:-window]
    # Without a choice there was no lottery.
    drawn = seen["propensity"][:weeks, :, 0] < 1.0
    ids = np.broadcast_to(customers.traits["id"], drawn.shape)
    return TrialData(ids[drawn], **{name: value[:weeks][drawn] for name, value in seen.items()})


def joined(parts: list[TrialData]) -> TrialData:
    """Several trials as one."""
    return TrialData(
        *(
            np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(parts[0])
        )
    )
