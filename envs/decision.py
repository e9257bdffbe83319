"""From a policy's scores to this week's actions: the one path of every run and of scoring."""

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.allocation.knapsack import Allocation
from envs.allocation.several import Budget, allocate_within
from envs.constraints.budgets import FirmBudgets, Rooms, discounts
from envs.constraints.ledger import ViolationLedger
from envs.constraints.masks import blocking, limits_record
from envs.constraints.names import EVERY_CONSTRAINT, Constraint
from envs.constraints.parameters import ConstraintParameters
from envs.constraints.tail import allocate_in_tail
from envs.features import observe
from envs.policy import DecisionContext, Learner, NoOffers, Policy, no_scores
from sim.market import FirmView
from sim.offers import ActionTable

__all__ = [
    "Decision",
    "DecisionContext",
    "GovernedPolicy",
    "NoOffers",
    "Policy",
    "decide",
    "no_scores",
]


@dataclass(frozen=True)
class Decision:
    """One week's decisions, arrays of shape (n,).

    ``reserved`` and ``asked`` are commitments in minor units, granted and wanted within the masks.
    ``proposed`` is the best action before any constraint. ``binding`` names why its offer was not
    given (``Constraint``); 0 where it was, be it through another channel.
    """

    proposed: NDArray[np.int16]
    executed: NDArray[np.int16]
    binding: NDArray[np.uint8]
    shadow_price: float
    reserved: int
    asked: int

    @property
    def budget_refused(self) -> float:
        """Share of the commitment asked for within the masks that the budget refused."""
        return 1.0 - self.reserved / self.asked if self.asked > self.reserved else 0.0

    @property
    def override_rate(self) -> float:
        """Share of proposals that were not executed as proposed."""
        asked = self.proposed > 0
        return float((asked & (self.proposed != self.executed)).sum() / max(asked.sum(), 1))


def decide(
    score: NDArray[np.float64],
    blocked: NDArray[np.uint8],
    table: ActionTable,
    rooms: Rooms | int | None,
    customer_id: NDArray[np.uint64],
    week: int,
) -> Decision:
    """Allocate within masks and budgets, and say what bound each proposal.

    Parameters
    ----------
    score
        Shape (n, A); see ``Policy.propose``.
    blocked
        Constraint blocking each action, shape (n, A), 0 = allowed.
    rooms
        What may be newly committed, in minor units; a number is that of the offer budget alone,
        None = no limit.
    """
    if not isinstance(rooms, Rooms):
        rooms = Rooms(rooms)
    allocation, refused_by = _allocated(score, blocked == 0, table, rooms, customer_id, week)
    wish = np.array(score, dtype=np.float64, copy=True)
    wish[:, 0] = 0.0
    proposed = wish.argmax(axis=1).astype(np.int16)
    binding = blocked[np.arange(proposed.size), proposed].copy()
    # Among allowed actions of equal score the allocation has its own first choice.
    proposed = np.where(binding == 0, allocation.wanted, proposed)
    refused = (proposed != allocation.action) & (binding == 0)
    binding[refused] = refused_by[refused]
    offer = table.actions["offer"]
    binding[offer[proposed] == offer[allocation.action]] = Constraint.NONE
    return Decision(
        proposed,
        allocation.action,
        binding,
        allocation.shadow_price,
        int(table.commitment[allocation.action].sum()),
        int(table.commitment[allocation.wanted].sum()),
    )


def _allocated(
    score: NDArray[np.float64],
    allowed: NDArray[np.bool_],
    table: ActionTable,
    rooms: Rooms,
    customer_id: NDArray[np.uint64],
    week: int,
) -> tuple[Allocation, NDArray[np.uint8]]:
    """The allocation, and the constraint whose budget refused what was wanted, shape (n,)."""
    kind = discounts(table)
    exposure = Budget(rooms.discount_exposure, kind)
    barred = np.zeros(table.n, np.bool_)
    if exposure.room is not None:
        barred = kind & (table.commitment > exposure.room)
    # An action dearer than all the room needs no price to be refused, which is dear to find.
    found, refused_by = _within_budgets(
        score, allowed & ~barred, table, rooms, exposure, customer_id, week
    )
    if barred.any():
        best = np.where(allowed & (score > 0), score, 0.0).argmax(axis=1).astype(np.int16)
        found = replace(found, wanted=np.where(barred[best], best, found.wanted))
        refused_by[barred[best]] = Constraint.DISCOUNT_EXPOSURE
    return found, refused_by


def _within_budgets(
    score: NDArray[np.float64],
    allowed: NDArray[np.bool_],
    table: ActionTable,
    rooms: Rooms,
    exposure: Budget,
    customer_id: NDArray[np.uint64],
    week: int,
) -> tuple[Allocation, NDArray[np.uint8]]:
    if rooms.tail is None:
        budgets = (Budget(rooms.offer_budget), exposure, *rooms.shares)
        codes = [Constraint.NONE, Constraint.OFFER_BUDGET, Constraint.DISCOUNT_EXPOSURE]
        codes += [Constraint.OFFER_BUDGET] * len(rooms.shares)
        found = allocate_within(score, table.commitment, allowed, budgets, customer_id, week)
        return found, np.array(codes, np.uint8)[found.bound_by]
    first = allocate_in_tail(score, table.commitment, allowed, rooms.tail, customer_id, week)
    refused_by = np.where(first.bound_by > 0, Constraint.OFFER_BUDGET, 0).astype(np.uint8)
    # Only what a customer was granted already may still go, so that the first budget stays kept.
    granted = np.zeros_like(allowed)
    granted[np.arange(len(granted)), first.action] = True
    granted[:, 0] = True
    budgets = (exposure, *rooms.shares)
    second = allocate_within(score, table.commitment, granted, budgets, customer_id, week)
    refused_by[second.bound_by == 1] = Constraint.DISCOUNT_EXPOSURE
    refused_by[second.bound_by > 1] = Constraint.OFFER_BUDGET
    return replace(second, wanted=first.wanted, shadow_price=first.shadow_price), refused_by


class GovernedPolicy:
    """A policy under constraints: the ``Decider`` of every market that has a programme to run.

    Parameters
    ----------
    policy
        Proposes. A ``Learner`` is also told each week what came of its last decision; the market
        must then keep OUTCOME rows.
    constraints
        Bind, whatever it proposes.
    n
        Customers in the market, for budget limits.
    enforced
        Bit set of the constraints that bind; less than all of them only where a check must see
        that the ledger finds what a missing constraint lets through.
    """

    def __init__(
        self,
        policy: Policy,
        constraints: ConstraintParameters,
        n: int,
        enforced: int = EVERY_CONSTRAINT,
    ) -> None:
        self.policy = policy
        self.constraints = constraints
        self.n = n
        self.enforced = enforced
        self.budget_refused = 0.0
        self.proposals = 0
        self.overrides = 0
        self.audit: ViolationLedger | None = None
        self.last: Decision | None = None
        self._learner = policy if isinstance(policy, Learner) else None
        self._observed: NDArray[np.float32] | None = None

    def _begin(self, view: FirmView) -> ViolationLedger:
        self.limits = limits_record(self.constraints, view.table.categories, self.enforced)
        self.budgets = FirmBudgets(
            self.constraints, view.table, self.n, view.profile, self.enforced
        )
        self.audit = ViolationLedger(self.constraints, view.table, self.n, view.profile)
        self._booked = _Booked.of(view)
        # Copies: what a policy does to them changes no limit, and leads to no latent trait.
        self._shown = deepcopy(view.table)
        self._ids = view.customer_id.copy()
        return self.audit

    def decide(self, view: FirmView) -> NDArray[np.integer]:
        """Actions of this week, shape (n,)."""
        if self.audit is None:
            audit = self._begin(view)
        else:
            audit = self.audit
            self._close_week(audit, view)
            if view.table is not self.budgets.table:  # offers of points commit another cost
                self.budgets.table = audit.table = view.table
                self._shown = deepcopy(view.table)
        ledger = view.ledger
        rooms = self.rooms(view)
        self.limits["points_stopped"] = self.budgets.stops_points(ledger.liability)
        blocked = blocking(view.account, view.profile, view.table, self.limits)
        observation = observe(
            view.profile,
            view.week,
            view.rules,
            self.free_share(rooms),
            self.budget_refused,
            self.constraints.features,
        )
        context = DecisionContext(view.week, self._ids, self._shown, rooms)
        if self._learner is not None:
            self._observed = observation.copy()
        score = self.policy.propose(observation, blocked == 0, context)
        decision = decide(score, blocked, view.table, rooms, view.customer_id, view.week)
        self.budget_refused = decision.budget_refused
        asked = decision.proposed > 0
        self.proposals += int(asked.sum())
        self.overrides += int((asked & (decision.proposed != decision.executed)).sum())
        audit.decided(
            decision.executed,
            view.account,
            view.profile,
            decision.binding,
            (blocked[:, 1:] == 0).any(axis=1),
            ledger.liability,
        )
        self.last = decision
        return decision.executed

    def rooms(self, view: FirmView) -> Rooms:
        """What may be newly committed this week."""
        return self.budgets.rooms(view.account, view.profile, view.ledger.settled)

    def free_share(self, rooms: Rooms) -> float:
        """Free share of the weekly budget, which the policy sees."""
        return self.constraints.offer_budget.free_share(self.n, rooms.offer_budget)

    def finish(self, view: FirmView) -> None:
        """Audit what the last week settled."""
        if self.audit is not None:
            self._close_week(self.audit, view)

    def _close_week(self, audit: ViolationLedger, view: FirmView) -> None:
        now = _Booked.of(view)
        settled, revenue, discounted = (b - a for a, b in zip(self._booked, now, strict=True))
        self.budgets.books.close_week(revenue, discounted)
        audit.settled_week(settled, revenue, discounted)
        self._booked = now
        if self._learner is not None and self._observed is not None and self.last is not None:
            if view.outcome is None:
                raise ValueError(
                    f"policy {self.policy.name} learns from what it observes, but this market "
                    "keeps no OUTCOME rows: give it customers that do"
                )
            self._learner.learn_week(self._observed, self.last.executed.copy(), view.outcome)

    @property
    def override_rate(self) -> float:
        """Share of proposals so far that were not executed as proposed."""
        return self.overrides / max(self.proposals, 1)


class _Booked(NamedTuple):
    """Running totals of the firm's ledger, minor units."""

    settled: int
    revenue: int
    discounts: int

    @classmethod
    def of(cls, view: FirmView) -> "_Booked":
        return cls(view.ledger.settled, view.ledger.revenue, view.ledger.discounts)
