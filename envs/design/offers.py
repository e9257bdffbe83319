"""The offers inside a programme: a policy under constraints and a budget split by kind."""

import numpy as np
from numpy.typing import NDArray

from agents.records import KINDS
from envs.allocation.several import Budget
from envs.constraints.budgets import Rooms
from envs.constraints.parameters import ConstraintParameters
from envs.decision import DecisionContext, GovernedPolicy, NoOffers, Policy
from envs.design.ledger import DesignLedger
from sim.ledger import to_minor
from sim.market import FirmView
from sim.offers import ActionTable


class Lottery:
    """Every allowed offer is worth what it commits: who gets one is a lottery in the budget."""

    name = "lottery"

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Equal scores per unit of commitment."""
        score = np.where(mask, np.maximum(context.table.commitment, 1), -np.inf)
        score[:, 0] = 0.0
        return score


NAMED: dict[str, type[NoOffers] | type[Lottery]] = {
    policy.name: policy for policy in (NoOffers, Lottery)
}


def policy_named(policy: Policy | str) -> Policy:
    """The policy, or the one of that name.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if not isinstance(policy, str):
        return policy
    if policy not in NAMED:
        raise ValueError(f"policy={policy!r}: give an object or one of {', '.join(NAMED)}")
    return NAMED[policy]()


class SplitBudget(GovernedPolicy):
    """The market's decider: a policy under all constraints and a budget with a share per kind.

    In every week open and new commitments are at most ``limit``, those of a kind at most its share
    of it. What was promised before the budget fell stays promised; until it is used or over, then,
    nothing new is given. The constraints' own limits come on top.

    Parameters
    ----------
    policy, constraints, n
        As for ``GovernedPolicy``.
    kinds
        Kinds of offer that share the budget.

    Attributes
    ----------
    ledger
        Watches the shares, if there is one.
    """

    def __init__(
        self, policy: Policy, constraints: ConstraintParameters, kinds: tuple[str, ...], n: int
    ) -> None:
        super().__init__(policy, constraints, n)
        self.kinds = kinds
        self.limit = 0
        self.kind_limits: tuple[int, ...] = (0,) * len(kinds)
        self.ledger: DesignLedger | None = None

    def set_budget(self, weekly_per_customer: float, split: tuple[float, ...]) -> None:
        """Weekly budget in currency units per customer, and the share of each kind."""
        self.limit = to_minor(weekly_per_customer * self.n)
        self.kind_limits = tuple(int(share * self.limit) for share in split)

    def rooms(self, view: FirmView) -> Rooms:
        """What may be newly committed this week, in all and by kind."""
        open_, kind = open_by_kind(view.account, view.table), kinds_of_actions(view.table)
        shares = [Budget(max(0, self.limit - view.ledger.open_commitment))]
        for name, limit in zip(self.kinds, self.kind_limits, strict=True):
            of_kind = KINDS.index(name)
            shares.append(Budget(max(0, limit - int(open_[of_kind])), kind == of_kind))
        return super().rooms(view)._replace(shares=tuple(shares))

    def decide(self, view: FirmView) -> NDArray[np.integer]:
        """Actions of this week, shape (n,)."""
        actions = super().decide(view)
        if self.ledger is not None:
            limits = dict(zip(self.kinds, self.kind_limits, strict=True))
            self.ledger.decided(actions, view.account, view.table, self.limit, limits)
        return actions

    def free_share(self, rooms: Rooms) -> float:
        """Free share of the budget, which the policy sees."""
        room = rooms.shares[0].room or 0
        if rooms.offer_budget is not None:
            room = min(room, rooms.offer_budget)
        return min(1.0, room / self.limit) if self.limit > 0 else 0.0


def kinds_of_actions(table: ActionTable) -> NDArray[np.int64]:
    """Kind of each action's offer, -1 for nothing, shape (n_actions,)."""
    offer = table.actions["offer"]
    return np.where(offer >= 0, table.offers["kind"][np.maximum(offer, 0)], -1).astype(np.int64)


def open_by_kind(account: NDArray[np.void], table: ActionTable) -> NDArray[np.int64]:
    """Open commitments by kind of offer, minor units, shape (len(KINDS),)."""
    holding = np.flatnonzero(account["offer"])
    kind = table.offers["kind"][account["offer"][holding].astype(np.int64) - 1]
    total = np.zeros(len(KINDS), np.int64)
    np.add.at(total, kind, account["commitment"][holding].astype(np.int64))
    return total
