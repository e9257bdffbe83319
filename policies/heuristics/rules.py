"""Rules by segment and by event, as programmes use them."""

import numpy as np
from numpy.typing import NDArray

from agents.ranges import check_range
from policies.base import DecisionContext, actions_of_kind, feature
from policies.heuristics.rulebook import RuleBook, Treatment


class RfmRules(RuleBook):
    """Segments by recency, frequency and spend, one treatment each (cf. Hughes 1994).

    At risk (used to buy often, silent for twice their usual gap): the deepest allowed discount.
    Loyal (frequent, recent): bonus points. Best (frequent, recent, top spend): recognition.
    """

    name = "rfm_rules"

    def __init__(self, frequent: float = 0.5, recent_gaps: float = 1.0, lapsed_gaps: float = 2.0):
        self.frequent = frequent
        self.recent_gaps = recent_gaps
        self.lapsed_gaps = lapsed_gaps

    def treatments(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> tuple[Treatment, ...]:
        """Priority is the value at stake."""
        table = context.table
        rate = feature(observation, "expected_rate")
        gap = feature(observation, "gap_ratio")
        spend = feature(observation, "revenue_slow")
        value = feature(observation, "residual_value")
        frequent = rate >= self.frequent
        recent = gap <= self.recent_gaps
        best = frequent & recent & (spend >= np.quantile(spend, 0.9))
        at_risk = frequent & (gap >= self.lapsed_gaps)
        often = f"buys at least {self.frequent:g} times a week"
        return (
            Treatment(
                at_risk,
                actions_of_kind(table, "discount")[::-1],
                value,
                f"At risk: usually {often}, but has missed {self.lapsed_gaps:g} purchases or more.",
            ),
            Treatment(
                frequent & recent & ~best,
                actions_of_kind(table, "points"),
                value,
                f"Loyal: {often} and bought lately.",
            ),
            Treatment(
                best,
                actions_of_kind(table, "recognition"),
                value,
                f"Best: {often}, bought lately, and is in the top tenth by spend.",
            ),
        )


class Triggers(RuleBook):
    """Events of the customer's own path: a gap above the personal norm, a reward in reach.

    Parameters
    ----------
    gaps
        Usual gaps of silence from which a customer gets a mild treatment, the smallest discount.
    win_back_gaps
        Usual gaps from which the treatment is stronger: the deepest allowed discount.
    near
        Share of the next reward's points from which bonus points are offered.
    alive
        Probability below which a silent customer is given up.
    """

    name = "triggers"

    def __init__(
        self,
        gaps: float = 3.0,
        near: float = 0.75,
        win_back_gaps: float = 6.0,
        alive: float = 0.2,
    ) -> None:
        check_range("gaps", gaps, 0.0, 520.0)
        check_range("win_back_gaps", win_back_gaps, gaps, 520.0)
        check_range("near", near, 0.0, 1.0)
        check_range("alive", alive, 0.0, 1.0)
        self.gaps = gaps
        self.near = near
        self.win_back_gaps = win_back_gaps
        self.alive = alive

    def treatments(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> tuple[Treatment, ...]:
        """Priority is the value at stake."""
        gap = feature(observation, "gap_ratio")
        progress = feature(observation, "goal_progress")
        value = feature(observation, "residual_value")
        silent = (gap >= self.gaps) & (feature(observation, "p_alive") >= self.alive)
        lost = silent & (gap >= self.win_back_gaps)
        near = (progress >= self.near) & (progress < 1.0) & ~silent
        discounts = actions_of_kind(context.table, "discount")
        return (
            Treatment(
                silent & ~lost,
                discounts,
                value,
                f"Silent for {self.gaps:g} of their usual gaps or more: a small discount.",
            ),
            Treatment(
                lost,
                discounts[::-1],
                value,
                f"Silent for {self.win_back_gaps:g} of their usual gaps or more, and probably "
                "still a customer: win back with the deepest discount allowed.",
            ),
            Treatment(
                near,
                actions_of_kind(context.table, "points"),
                value,
                f"Has {self.near:.0%} or more of the points for the next reward: a few more.",
            ),
        )
