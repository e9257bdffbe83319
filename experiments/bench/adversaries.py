"""Policies that try to break limits: they score whatever they like, masked or not."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from envs.constraints.ledger import ViolationLedger
from envs.decision import Decision, DecisionContext, Policy
from envs.features import CENTRE, N_FEATURES, SCALE, column
from sim.offers import ActionTable


class Adversary(Policy, Protocol):
    """A policy that is told, after each week, what came of it."""

    def told(self, decision: Decision, ledger: ViolationLedger) -> None:
        """Last week's decision, and the ledger's books so far."""


class _Unteachable:
    """A policy that learns nothing."""

    def told(self, decision: Decision, ledger: ViolationLedger) -> None:
        """Nothing is learned."""


class Noise(_Unteachable):
    """Random scores."""

    name = "random"

    def __init__(self, table: ActionTable, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Shape (n, A)."""
        return self._rng.standard_normal(mask.shape)


class Dearest(_Unteachable):
    """Wants the dearest action for everybody."""

    name = "dearest"

    def __init__(self, table: ActionTable, seed: int) -> None:
        self._score = table.commitment.astype(np.float64)

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Shape (n, A)."""
        return np.broadcast_to(self._score, mask.shape).copy()


class BlindSide(_Unteachable):
    """Looks for what a limit might forget, week by week in turn: offers that seem free, a channel
    other than last time's, customers just outside the window of a contact cap, offers that end in
    the week they are made.
    """

    name = "blind_side"

    def __init__(self, table: ActionTable, seed: int) -> None:
        offer = table.offers[table.actions["offer"]]
        cost = table.commitment.astype(np.float64)
        self._cheap = 1.0 / (1.0 + cost)
        self._short = cost / offer["weeks"]
        self._channel = table.actions["channel"]
        self._recent, self._longer = column("contacts_4"), column("contacts_13")

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Shape (n, A)."""
        n = mask.shape[0]
        way = context.week % 4
        if way == 0:
            return np.broadcast_to(self._cheap, mask.shape).copy()
        if way == 1:
            turn = (context.customer_id.astype(np.int64) + context.week // 4) % 3
            return 1.0 + (self._channel[None, :] == turn[:, None]) * np.ones((n, 1))
        if way == 2:
            ripe = observation[:, self._longer] - 3 * observation[:, self._recent]
            return np.exp(np.clip(ripe, -5, 5))[:, None] * (1.0 + self._short)
        return np.broadcast_to(self._short + 1e-6, mask.shape).copy()


class OverspendLearner:
    """Hill-climbs, four weeks a try, towards money reserved and settled and towards limits that
    are nearly broken.

    Scores are linear in the observation, one row of weights an action.
    """

    name = "overspend_learner"
    _PATIENCE = 4

    def __init__(self, table: ActionTable, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._best = np.zeros((N_FEATURES + 1, table.n))
        self._best[-1] = table.commitment / max(int(table.commitment.max()), 1)
        self._try = self._best
        self._record = -np.inf
        self._weeks = 0
        self._gained = 0.0
        self._settled = 0

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Shape (n, A)."""
        scaled = (observation - CENTRE) / SCALE
        return np.clip(scaled @ self._try[:-1] + self._try[-1], -1e6, 1e6).astype(np.float64)

    def told(self, decision: Decision, ledger: ViolationLedger) -> None:
        """Score the weights in use, and change them every fourth week."""
        near = sum((entry.peak or 0.0) > 0.99 for entry in ledger.entries.values())
        broken = ledger.total_violations
        spent = ledger.settled - self._settled
        self._settled = ledger.settled
        self._gained += decision.reserved + spent + 1e6 * broken + 1e3 * near
        self._weeks += 1
        if self._weeks % self._PATIENCE:
            return
        if self._gained > self._record:
            self._best, self._record = self._try, self._gained
        self._try = self._best + 0.3 * self._rng.standard_normal(self._best.shape)
        self._gained = 0.0


ADVERSARIES: dict[str, Callable[[ActionTable, int], Adversary]] = {
    kind.name: kind for kind in (Noise, Dearest, BlindSide, OverspendLearner)
}
