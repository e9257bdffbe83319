"""Rules of thumb that a learned policy must beat."""

import numpy as np
from numpy.typing import NDArray

from agents.rng import Purpose, draw_uniforms
from envs.decision import NoOffers
from policies.base import DecisionContext, actions_of_kind, feature, no_scores, prefer

__all__ = ["Blanket", "NoOffers", "Random", "RfmRules", "Triggers"]


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
        ids, week = context.customer_id, context.week
        wanted = draw_uniforms(self.key, ids, Purpose.POLICY, 0, week) < self.share
        pick = draw_uniforms(self.key, ids, Purpose.POLICY, 1, week)
        allowed = mask[:, 1:].cumsum(axis=1)
        options = allowed[:, -1]
        target = np.minimum((pick * options).astype(np.int64), np.maximum(options - 1, 0)) + 1
        action = 1 + (allowed >= target[:, None]).argmax(axis=1)
        score = no_scores(observation, context.table)
        rows = np.flatnonzero(wanted & (options > 0))
        score[rows, action[rows]] = np.maximum(context.table.commitment[action[rows]], 1)
        return score


class Blanket:
    """The same offer for everybody who may have one: the shallowest discount."""

    name = "blanket"

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """The cheapest discount through any allowed channel."""
        score = no_scores(observation, context.table)
        everyone = np.ones(observation.shape[0], bool)
        actions = actions_of_kind(context.table, "discount")
        prefer(score, everyone, actions, everyone.astype(np.float64), mask)
        return score


class RfmRules:
    """Segments by recency, frequency and spend, one treatment each (cf. Hughes 1994).

    At risk (used to buy often, silent for twice their usual gap): the deepest allowed discount.
    Loyal (frequent, recent): bonus points. Best (frequent, recent, top spend): recognition.
    """

    name = "rfm_rules"

    def __init__(self, frequent: float = 0.5, recent_gaps: float = 1.0, lapsed_gaps: float = 2.0):
        self.frequent = frequent
        self.recent_gaps = recent_gaps
        self.lapsed_gaps = lapsed_gaps

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Priority is the value at stake."""
        score = no_scores(observation, context.table)
        rate = feature(observation, "expected_rate")
        gap = feature(observation, "gap_ratio")
        spend = feature(observation, "revenue_slow")
        value = feature(observation, "residual_value")
        frequent = rate >= self.frequent
        recent = gap <= self.recent_gaps
        best = frequent & recent & (spend >= np.quantile(spend, 0.9))
        table = context.table
        at_risk = frequent & (gap >= self.lapsed_gaps)
        prefer(score, at_risk, actions_of_kind(table, "discount")[::-1], value, mask)
        prefer(score, frequent & recent & ~best, actions_of_kind(table, "points"), value, mask)
        prefer(score, best, actions_of_kind(table, "recognition"), value, mask)
        return score


class Triggers:
    """Events of the customer's own path: a gap above the personal norm, a reward in reach.

    Win-back: silent for ``gaps`` usual gaps and probably still alive: a discount.
    Near a reward: at least ``near`` of its points: bonus points.
    """

    name = "triggers"

    def __init__(self, gaps: float = 3.0, near: float = 0.75) -> None:
        self.gaps = gaps
        self.near = near

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Priority is the value at stake."""
        score = no_scores(observation, context.table)
        gap = feature(observation, "gap_ratio")
        progress = feature(observation, "goal_progress")
        alive = feature(observation, "p_alive")
        value = feature(observation, "residual_value")
        silent = (gap >= self.gaps) & (alive >= 0.2)
        near = (progress >= self.near) & (progress < 1.0) & ~silent
        prefer(score, silent, actions_of_kind(context.table, "discount"), value, mask)
        prefer(score, near, actions_of_kind(context.table, "points"), value, mask)
        return score
