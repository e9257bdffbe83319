"""The offers inside a programme: a policy under constraints and a budget split by kind.

Every action but 0 belongs to one kind, so the kinds' budgets part the actions: each is a knapsack
of its own (``allocate_by_kind``), a hundred times as fast as budgets that may overlap
(``envs.allocation.several``). 13 weeks a step need that.
"""

import numpy as np
from numpy.typing import NDArray

from agents.records import KINDS
from envs.allocation.knapsack import allocate
from envs.constraints import ConstraintParameters, blocking, limits_record
from envs.decision import DecisionContext, Policy
from envs.features import observe
from sim.ledger import to_minor
from sim.market import FirmView
from sim.offers import ActionTable


class NoOffers:
    """Nobody gets an offer."""

    name = "no_offers"

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Nothing for anyone."""
        score = np.full(mask.shape, -np.inf)
        score[:, 0] = 0.0
        return score


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


class SplitBudget:
    """The market's decider: what a policy proposes, within masks and a budget for each kind.

    In every week open and new commitments are at most ``limit``, those of a kind at most its share
    of it. What was promised before the budget fell stays promised; until it is used or over, then,
    nothing new is given. The constraints' own offer budget comes on top.

    Parameters
    ----------
    kinds
        Kinds of offer that share the budget.
    n
        Customers in the market.
    """

    def __init__(
        self, policy: Policy, constraints: ConstraintParameters, kinds: tuple[str, ...], n: int
    ) -> None:
        self.policy = policy
        self.constraints = constraints
        self.kinds = kinds
        self.n = n
        self.limits = limits_record(constraints)
        self.limit = 0
        self.kind_limits: tuple[int, ...] = (0,) * len(kinds)
        self.refused = 0.0

    def set_budget(self, weekly_per_customer: float, split: tuple[float, ...]) -> None:
        """Weekly budget in currency units per customer, and the share of each kind."""
        self.limit = to_minor(weekly_per_customer * self.n)
        self.kind_limits = tuple(int(share * self.limit) for share in split)

    def decide(self, view: FirmView) -> NDArray[np.integer]:
        """Actions of this week, shape (n,)."""
        blocked = blocking(view.account, view.profile, view.table, self.limits)
        rooms = self.rooms(view)
        free = min(1.0, sum(rooms.values()) / self.limit) if self.limit > 0 else 0.0
        observation = observe(view.profile, view.week, view.rules, free, self.refused)
        context = DecisionContext(view.week, view.customer_id, view.table)
        mask = blocked == 0
        score = self.policy.propose(observation, mask, context)
        action = allocate_by_kind(score, mask, view, rooms)
        commitment = view.table.commitment
        wish = np.where(mask, score, -np.inf)
        wish[:, 0] = 0.0
        asked, granted = (int(commitment[a].sum()) for a in (wish.argmax(axis=1), action))
        self.refused = max(0.0, 1.0 - granted / asked) if asked > 0 else 0.0
        return action

    def rooms(self, view: FirmView) -> dict[str, int]:
        """What may be newly committed this week by kind, minor units."""
        open_ = open_by_kind(view.account, view.table)
        rooms = {
            kind: max(0, limit - int(open_[KINDS.index(kind)]))
            for kind, limit in zip(self.kinds, self.kind_limits, strict=True)
        }
        room = max(0, self.limit - view.ledger.open_commitment)
        own = self.constraints.offer_budget.available(
            self.n, view.ledger.open_commitment, view.ledger.settled
        )
        room = room if own is None else min(room, own)
        total = sum(rooms.values())
        if total > room:
            rooms = {kind: share * room // total for kind, share in rooms.items()}
        return rooms

    def finish(self, view: FirmView) -> None:
        """Nothing to do."""


def allocate_by_kind(
    score: NDArray[np.float64], mask: NDArray[np.bool_], view: FirmView, rooms: dict[str, int]
) -> NDArray[np.int16]:
    """Actions within mask and the room of each kind, shape (n,).

    Everybody asks for the best action; each kind's budget serves those who ask for it
    (``envs.allocation.knapsack.allocate``); whoever is refused asks for the best of another kind.
    Never over budget; each kind is allocated well, their mix is not claimed to be the best.
    """
    commitment, of_kind = view.table.commitment, kinds_of_actions(view.table)
    left = dict(rooms)
    open_ = mask.copy()
    action = np.zeros(len(score), np.int16)
    asking = np.arange(len(score))
    for _ in rooms:
        wish = np.where(open_[asking], score[asking], -np.inf)
        wish[:, 0] = 0.0
        best = wish.argmax(axis=1)
        wanted = of_kind[best]
        refused = []
        for kind in rooms:
            rows, wishes = (part[wanted == KINDS.index(kind)] for part in (asking, best))
            cost = int(commitment[wishes].sum())
            if cost <= left[kind]:
                action[rows] = wishes
                left[kind] -= cost
                continue
            own = open_[rows] & (of_kind == KINDS.index(kind))
            own[:, 0] = True
            answer = allocate(
                score[rows], commitment, own, left[kind], view.customer_id[rows], view.week
            )
            action[rows] = answer.action
            left[kind] -= answer.committed
            refused.append(rows[answer.action == 0])
            open_[np.ix_(refused[-1], np.flatnonzero(of_kind == KINDS.index(kind)))] = False
        asking = np.concatenate(refused) if refused else asking[:0]
        if asking.size == 0:
            break
    return action


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
