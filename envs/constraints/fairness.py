"""Fairness between groups, given eligibility: what the run did, and whether it is within limits.

A customer-week is eligible where some action was allowed. Group is never a feature, so nothing
enforces this: it is an expected constraint that the ledger reports.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.constraints.parameters import Fairness

_GROUPS = 256


class FairnessBooks:
    """Eligible customer-weeks, offers and value offered by group, over a run of n customers."""

    def __init__(self, n: int) -> None:
        self.eligible = np.zeros(_GROUPS, np.int64)
        self.offers = np.zeros(_GROUPS, np.int64)
        self.value = np.zeros(_GROUPS, np.int64)
        self._ever = np.zeros(n, np.bool_)
        self._group = np.zeros(n, np.uint8)

    def add(
        self,
        group: NDArray[np.integer],
        eligible: NDArray[np.bool_],
        offered: NDArray[np.bool_],
        value: NDArray[np.int64],
    ) -> None:
        """Book a week; arrays of shape (n,), ``value`` what each offer is worth at most."""
        self._ever |= eligible
        self._group[:] = group
        for total, of in ((self.eligible, eligible), (self.offers, eligible & offered)):
            total += np.bincount(group[of], minlength=_GROUPS)
        taken = eligible & offered
        worth = np.bincount(group[taken], value[taken].astype(np.float64), _GROUPS)
        self.value += worth.astype(np.int64)

    def customers(self) -> NDArray[np.int64]:
        """Customers who were ever eligible, by group."""
        return np.bincount(self._group[self._ever], minlength=_GROUPS)

    def figures(self, limits: Fairness) -> dict[str, Any]:
        """Rates by group, their ratio and difference (fairlearn's), and whether they are kept.

        Returns
        -------
        dict
            ``groups`` with offer rate and value (minor units) per eligible customer-week; ratio
            least / greatest and difference greatest - least of both; ``kept``; ``judged`` groups.
            Ratios are None where fewer than two groups can be judged.
        """
        customers = self.customers()
        judged = np.flatnonzero((customers >= limits.minimum) & (self.eligible > 0))
        groups = [
            {
                "group": int(at),
                "customers": int(customers[at]),
                "eligible_weeks": int(self.eligible[at]),
                "offer_rate": float(self.offers[at] / self.eligible[at]),
                "value": float(self.value[at] / self.eligible[at]),
                "judged": bool(at in judged),
            }
            for at in np.flatnonzero(self.eligible)
        ]
        found: dict[str, Any] = {"groups": groups, "judged": len(judged), "kept": True}
        found |= dict.fromkeys(
            ("offer_rate_ratio", "offer_rate_difference", "value_ratio", "value_difference")
        )
        if len(judged) < 2:
            return found
        found |= self._compared(judged)
        found["kept"] = all(use <= 1.0 for use in uses(limits, found).values())
        return found

    def _compared(self, judged: NDArray[np.integer]) -> dict[str, float]:
        from fairlearn.metrics import (
            MetricFrame,
            demographic_parity_difference,
            demographic_parity_ratio,
            mean_prediction,
        )

        # Two rows a group, weighted by customer-weeks: with an offer, and without.
        rows = [(at, 1, self.offers[at]) for at in judged]
        rows += [(at, 0, self.eligible[at] - self.offers[at]) for at in judged]
        group, offered, weight = (np.array(column) for column in zip(*rows, strict=True))
        parity = {"sensitive_features": group, "sample_weight": weight}
        none = np.zeros(len(group), np.int64)
        value = MetricFrame(
            metrics=mean_prediction,
            y_true=np.zeros(len(judged)),
            y_pred=self.value[judged] / self.eligible[judged],
            sensitive_features=judged,
        )
        greatest = float(value.group_max())
        return {
            "offer_rate_ratio": _ratio(demographic_parity_ratio(none, offered, **parity)),
            "offer_rate_difference": float(demographic_parity_difference(none, offered, **parity)),
            "value_ratio": float(value.group_min()) / greatest if greatest > 0 else 1.0,
            "value_difference": float(value.difference()),
        }


def _ratio(ratio: float) -> float:
    """Nobody got anything in any group: equal."""
    return 1.0 if np.isnan(ratio) else float(ratio)


def uses(limits: Fairness, figures: dict[str, Any]) -> dict[str, float]:
    """How much of each limit was used, by name, above 1 where it was not kept; empty where
    fewer than two groups could be judged (``FairnessBooks.figures``).
    """
    if figures["offer_rate_ratio"] is None:
        return {}
    least = min(figures["offer_rate_ratio"], figures["value_ratio"])
    found = {"least_ratio": _share(1.0 - least, 1.0 - limits.least_ratio)}
    for name, of in (
        ("largest_difference", "offer_rate_difference"),
        ("largest_value_difference", "value_difference"),
    ):
        limit = getattr(limits, name)
        if limit is not None:
            found[name] = _share(figures[of], limit)
    return found


def _share(used: float, limit: float) -> float:
    """Of a limit; a last digit is no breach."""
    use = used / max(limit, 1e-9)
    return min(use, 1.0) if used <= limit + 1e-12 else use
