"""Offers without a thought: a lottery, and the same for everybody."""

import numpy as np
from numpy.typing import NDArray

from agents.rng import Purpose, draw_uniforms
from envs.policy import Reasons
from policies.base import DecisionContext, actions_of_kind, no_scores
from policies.heuristics.rulebook import RuleBook, Treatment


class Random:
    """A random allowed action for a random share of customers.

    Parameters
    ----------
    key
        64-bit seed; draws are addressed by customer and week.
    share
        Share of customers to contact each week.
    """

    name = "random"

    def __init__(self, key: np.uint64, share: float = 0.25) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share={share} is outside [0, 1]")
        self.key = np.uint64(key)
        self.share = share

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Equal scores per unit of commitment: who is served is a lottery."""
        allowed = mask[:, 1:].cumsum(axis=1)
        options = allowed[:, -1]
        pick = draw_uniforms(self.key, context.customer_id, Purpose.POLICY, 1, context.week)
        target = np.minimum((pick * options).astype(np.int64), np.maximum(options - 1, 0)) + 1
        action = 1 + (allowed >= target[:, None]).argmax(axis=1)
        score = no_scores(observation, context.table)
        rows = np.flatnonzero(self._drawn(mask, context))
        score[rows, action[rows]] = np.maximum(context.table.commitment[action[rows]], 1)
        return score

    def propensity(self, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Probability that each action is asked for, shape (n, n_actions); rows sum to 1."""
        options = mask[:, 1:].sum(axis=1)
        chance = np.where(mask, (self.share / np.maximum(options, 1))[:, None], 0.0)
        chance[:, 0] = np.where(options > 0, 1.0 - self.share, 1.0)
        return chance

    def explain(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> Reasons:
        """Who was drawn."""
        code = self._drawn(mask, context).astype(np.int16)
        drawn = f"Drawn by lot: each week {self.share:.0%} of customers get a random offer."
        return Reasons(code, ("Not drawn in this week's lottery, or no offer is allowed.", drawn))

    def _drawn(self, mask: NDArray[np.bool_], context: DecisionContext) -> NDArray[np.bool_]:
        drawn = draw_uniforms(self.key, context.customer_id, Purpose.POLICY, 0, context.week)
        who: NDArray[np.bool_] = (drawn < self.share) & mask[:, 1:].any(axis=1)
        return who


class Blanket(RuleBook):
    """The same offer for everybody who may have one: the shallowest discount."""

    name = "blanket"

    def treatments(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> tuple[Treatment, ...]:
        """The cheapest discount through any allowed channel."""
        everyone = np.ones(observation.shape[0], bool)
        actions = actions_of_kind(context.table, "discount")
        reason = "Everybody who may be contacted gets the smallest discount."
        return (Treatment(everyone, actions, everyone.astype(np.float64), reason),)
