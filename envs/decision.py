"""From a policy's scores to this week's actions: the one path of every run and of scoring."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from envs.allocation.knapsack import allocate
from envs.constraints import (
    Constraint,
    ConstraintAudit,
    ConstraintParameters,
    blocking,
    limits_record,
)
from envs.features import observe
from sim.market import FirmView
from sim.offers import ActionTable


class DecisionContext(NamedTuple):
    """What a policy knows besides observation and mask."""

    week: int
    customer_id: NDArray[np.uint64]
    table: ActionTable


class Policy(Protocol):
    """Who decides. ``name`` is its name in reports."""

    name: str

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Score every action, shape (n, n_actions).

        The score is the gain over action 0, in any scale common to the customers; at or below 0
        (or -inf) an action is not worth taking. Masked actions may be scored: the mask binds
        later, and the decision then names what bound it.
        """


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
    budget: int | None,
    customer_id: NDArray[np.uint64],
    week: int,
) -> Decision:
    """Allocate within masks and budget, and say what bound each proposal.

    Parameters
    ----------
    score
        Shape (n, A); see ``Policy.propose``.
    blocked
        Constraint blocking each action, shape (n, A), 0 = allowed.
    budget
        Newly reservable commitment in minor units, None = no limit.
    """
    allocation = allocate(score, table.commitment, blocked == 0, budget, customer_id, week)
    wish = np.array(score, dtype=np.float64, copy=True)
    wish[:, 0] = 0.0
    proposed = wish.argmax(axis=1).astype(np.int16)
    binding = blocked[np.arange(proposed.size), proposed].copy()
    binding[(proposed != allocation.action) & (binding == 0)] = Constraint.OFFER_BUDGET
    offer = table.actions["offer"]
    binding[offer[proposed] == offer[allocation.action]] = Constraint.NONE
    return Decision(
        proposed,
        allocation.action,
        binding,
        allocation.shadow_price,
        allocation.committed,
        int(table.commitment[allocation.wanted].sum()),
    )


class GovernedPolicy:
    """A policy under constraints: the ``Decider`` of every market that has a programme to run.

    Parameters
    ----------
    policy
        Proposes.
    constraints
        Bind, whatever it proposes.
    n
        Customers in the market, for budget limits.
    """

    def __init__(self, policy: Policy, constraints: ConstraintParameters, n: int) -> None:
        self.policy = policy
        self.constraints = constraints
        self.n = n
        self.limits = limits_record(constraints)
        self.budget_refused = 0.0
        self.proposals = 0
        self.overrides = 0
        self.audit: ConstraintAudit | None = None
        self._settled = 0
        self.last: Decision | None = None

    def available(self, view: FirmView) -> int | None:
        """Newly reservable commitment this week, minor units."""
        ledger = view.ledger
        return self.constraints.offer_budget.available(
            self.n, ledger.open_commitment, ledger.settled
        )

    def decide(self, view: FirmView) -> NDArray[np.integer]:
        """Actions of this week, shape (n,)."""
        if self.audit is None:
            self.audit = ConstraintAudit(self.constraints, view.table, self.n)
        else:
            self._audit_week(self.audit, view)
        available = self.available(view)
        blocked = blocking(view.account, view.profile, view.table, self.limits)
        observation = observe(
            view.profile,
            view.week,
            view.rules,
            self.constraints.offer_budget.free_share(self.n, available),
            self.budget_refused,
        )
        context = DecisionContext(view.week, view.customer_id, view.table)
        score = self.policy.propose(observation, blocked == 0, context)
        decision = decide(score, blocked, view.table, available, view.customer_id, view.week)
        self.budget_refused = decision.budget_refused
        asked = decision.proposed > 0
        self.proposals += int(asked.sum())
        self.overrides += int((asked & (decision.proposed != decision.executed)).sum())
        self.audit.decided(decision.executed, view.account, view.profile)
        self._settled = view.ledger.settled
        self.last = decision
        return decision.executed

    def finish(self, view: FirmView) -> None:
        """Audit what the last week settled."""
        if self.audit is not None:
            self._audit_week(self.audit, view)

    def _audit_week(self, audit: ConstraintAudit, view: FirmView) -> None:
        audit.settled_week(view.ledger.settled - self._settled)

    @property
    def override_rate(self) -> float:
        """Share of proposals so far that were not executed as proposed."""
        return self.overrides / max(self.proposals, 1)
