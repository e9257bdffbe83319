"""Rules by customer value: the most valuable first, or the most value at risk first."""

import numpy as np
from numpy.typing import NDArray

from agents.ranges import check_range
from agents.records import KINDS
from policies.base import DecisionContext, actions_of_kind, feature
from policies.heuristics.rulebook import RuleBook, Treatment


class ClvGreedy(RuleBook):
    """Offers in order of residual value, of the kind that the customer uses most.

    Residual value is the margin that the firm's own model expects of the next weeks (cf. Venkatesan
    & Kumar 2004). The rule treats who is worth most, not who is moved most: that is its weakness.
    """

    name = "clv_greedy"
    otherwise = "No further margin is expected of this customer."

    def treatments(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> tuple[Treatment, ...]:
        """Priority per unit of commitment is the residual value."""
        value = feature(observation, "residual_value")
        actions = {kind: actions_of_kind(context.table, kind) for kind in KINDS}
        use = np.column_stack(
            [
                feature(observation, f"redemption_rate_{kind}")
                if actions[kind].size
                else np.full_like(value, -1.0)
                for kind in KINDS
            ]
        )
        favourite = use.argmax(axis=1)
        return tuple(
            Treatment(
                (favourite == at) & (value > 0) & (actions[kind].size > 0),
                actions[kind],
                value,
                "Customers are served in order of the margin expected of them; this one uses "
                f"offers of kind {kind} most.",
                by_commitment=True,
            )
            for at, kind in enumerate(KINDS)
        )


class ChurnClv(RuleBook):
    """Value at risk: residual value × probability of having left silently (cf. Neslin et al. 2006).

    Parameters
    ----------
    gaps
        Only customers silent for that many of their usual gaps.
    """

    name = "churn_clv"
    otherwise = "Not silent for longer than usual: no value seems at risk."

    def __init__(self, gaps: float = 1.5) -> None:
        check_range("gaps", gaps, 0.0, 520.0)
        self.gaps = gaps

    def treatments(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> tuple[Treatment, ...]:
        """Priority per unit of commitment is the value at risk.

        Residual value already counts the chance that the customer is still there, so the product
        is largest where they may be lost but are not yet.
        """
        at_risk = feature(observation, "residual_value") * (1 - feature(observation, "p_alive"))
        silent = (feature(observation, "gap_ratio") >= self.gaps) & (at_risk > 0)
        return (
            Treatment(
                silent,
                actions_of_kind(context.table, "discount"),
                at_risk,
                f"Silent for {self.gaps:g} of their usual gaps or more: much margin is expected "
                "if they are still there, and they may be leaving.",
                by_commitment=True,
            ),
        )
