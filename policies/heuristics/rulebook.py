"""A heuristic as a list of treatments: scores and explanations come from the same rules."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.policy import Reasons
from policies.base import DecisionContext, no_scores, prefer


class Treatment(NamedTuple):
    """One rule: whom it means, what they should get, how urgent it is, and why.

    Parameters
    ----------
    rows
        Who is meant, shape (n,).
    actions
        In order of preference; the first that is allowed is asked for.
    priority
        Score, shape (n,), above 0.
    reason
        A sentence that a person can read.
    by_commitment
        The priority is per unit of commitment, so that customers are served in its order,
        whatever their offers may cost.
    """

    rows: NDArray[np.bool_]
    actions: NDArray[np.intp]
    priority: NDArray[np.float64]
    reason: str
    by_commitment: bool = False


class RuleBook(ABC):
    """A policy made of treatments; where several mean one customer, the highest score counts."""

    name: str
    otherwise = "No rule of this policy speaks for this customer this week."

    @abstractmethod
    def treatments(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> tuple[Treatment, ...]:
        """The rules, applied to these customers; always as many, in the same order."""

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Scores of the treatments, shape (n, n_actions)."""
        return self._scores(self.treatments(observation, mask, context), observation, mask, context)

    def explain(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> Reasons:
        """The treatment behind the best score of each customer.

        Whether the offer is then given is up to masks and budgets; the decision names what
        bound it.
        """
        treatments = self.treatments(observation, mask, context)
        best = self._scores(treatments, observation, mask, context).max(axis=1)
        code = np.zeros(observation.shape[0], np.int16)
        for number, one in enumerate(treatments, start=1):
            alone = self._scores((one,), observation, mask, context).max(axis=1)
            code[(alone > 0) & (alone >= best) & (code == 0)] = number
        return Reasons(code, (self.otherwise, *(one.reason for one in treatments)))

    def _scores(
        self,
        treatments: tuple[Treatment, ...],
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        score = no_scores(observation, context.table)
        for one in treatments:
            weight = context.table.commitment if one.by_commitment else None
            prefer(score, one.rows, one.actions, one.priority, mask, weight)
        return score
