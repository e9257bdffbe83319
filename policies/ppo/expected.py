"""Expected constraints as costs of customer-weeks, for Lagrange multipliers.

Every violation is at or below 0 exactly where the constraint is kept in expectation. Groups are
read here, to train; no policy sees them.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.records import Customers
from envs.constraints.parameters import ConstraintParameters, Fairness
from sim.offers import ActionTable

_MEMORY = 0.95  # weight a week of what was counted before, of rates by group
_GROUPS = 256


class Week(NamedTuple):
    """What costs are of: customers and masks as the week began, and what was done.

    Arrays of shape (n,), money in currency units: offer cost settled, change of the points
    liability, liability of a point.
    """

    customers: Customers
    eligible: NDArray[np.bool_]
    executed: NDArray[np.int64]
    settled: NDArray[np.float64]
    liability_change: NDArray[np.float64]
    liability_per_point: NDArray[np.float64]


class ExpectedCosts:
    """Costs of the expected constraints among a firm's limits.

    ==========================  ==============================================================
    name                        violation, mean over customer-weeks
    ==========================  ==============================================================
    offer_budget                (mode tail) settled − weekly_per_customer, currency units
    liability_alarm             points owed − share × revenue of the alarm's weeks, currency
                                units (revenue by its moving average of 26 weeks)
    fairness_ratio              least_ratio × greatest − least offer rate of a group
    fairness_value_ratio        the same of value offered, currency units
    fairness_difference         greatest − least offer rate − largest_difference
    ==========================  ==============================================================

    Charged to a customer-week is what the violation is the mean of, but for the liability: there
    it is the week's change, because what was owed before is nobody's decision. Rates are given
    eligibility, with weights that fade (0.95 a week). Which group has the greatest and the least
    is taken from them, so the charge is the slope of a maximum: it changes sides where groups
    change places.

    Parameters
    ----------
    parameters, table
        The firm's limits and actions.
    """

    def __init__(self, parameters: ConstraintParameters, table: ActionTable) -> None:
        self.parameters = parameters
        worth = (table.commitment - table.actions["contact_cost"]) / 100.0
        self._worth: NDArray[np.float64] = np.asarray(worth, np.float64)
        budget = parameters.offer_budget
        names = []
        if budget.mode == "tail" and budget.weekly_per_customer is not None:
            names.append("offer_budget")
        if parameters.liability_alarm is not None:
            names.append("liability_alarm")
        if parameters.fairness is not None:
            names += ["fairness_ratio", "fairness_value_ratio"]
            if parameters.fairness.largest_difference is not None:
                names.append("fairness_difference")
        self.names = tuple(names)
        self._rows = np.zeros(_GROUPS)
        self._eligible = np.zeros(_GROUPS)
        self._offers = np.zeros(_GROUPS)
        self._value = np.zeros(_GROUPS)

    def of(self, week: Week) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Costs charged, shape (n_constraints, n), and violations, shape (n_constraints,)."""
        costs: list[NDArray[np.float64]] = []
        owing: float | None = None
        budget, alarm = self.parameters.offer_budget, self.parameters.liability_alarm
        if "offer_budget" in self.names:
            assert budget.weekly_per_customer is not None
            costs.append(week.settled - budget.weekly_per_customer / 100.0)
        if alarm is not None:
            profile, account = week.customers.profile, week.customers.account
            owed = (profile["points"] + account["pending"].sum(axis=1)) * week.liability_per_point
            revenue = alarm.weeks * profile["revenue_slow"] / 100.0
            owing = float((owed - alarm.share * revenue).mean())
            costs.append(week.liability_change)
        if self.parameters.fairness is not None:
            costs += self._fairness(week, self.parameters.fairness)
        charged = np.array(costs).reshape(len(self.names), week.executed.size)
        violation = charged.mean(axis=1)
        if owing is not None:
            violation[self.names.index("liability_alarm")] = owing
        return charged, violation

    def _fairness(self, week: Week, limits: Fairness) -> list[NDArray[np.float64]]:
        group = week.customers.account["group"]
        offered = week.eligible & (week.executed > 0)
        value = np.where(offered, self._worth[week.executed], 0.0)
        for total, weights in (
            (self._rows, np.ones(group.size)),
            (self._eligible, week.eligible.astype(np.float64)),
            (self._offers, offered.astype(np.float64)),
            (self._value, value),
        ):
            total *= _MEMORY
            total += np.bincount(group, weights, _GROUPS)
        judged = np.flatnonzero(self._eligible >= limits.minimum)
        costs = [
            self._between(judged, totals, done, group, limits.least_ratio)
            for totals, done in ((self._offers, offered.astype(np.float64)), (self._value, value))
        ]
        if limits.largest_difference is not None:
            gap = self._between(judged, self._offers, offered.astype(np.float64), group, 1.0)
            costs.append(gap - limits.largest_difference)
        return costs

    def _between(
        self,
        judged: NDArray[np.intp],
        totals: NDArray[np.float64],
        done: NDArray[np.float64],
        group: NDArray[np.integer],
        ratio: float,
    ) -> NDArray[np.float64]:
        """Cost of each row whose mean is ratio × greatest − least rate, shape (n,)."""
        if judged.size < 2:
            return np.zeros(group.size)
        rates = totals[judged] / self._eligible[judged]
        most, least = judged[rates.argmax()], judged[rates.argmin()]
        share = self._eligible / self._rows.sum()
        weight = np.zeros(_GROUPS)
        weight[most] += ratio / share[most]
        weight[least] -= 1.0 / share[least]
        cost: NDArray[np.float64] = weight[group] * done
        return cost

    def state(self) -> dict[str, Any]:
        """What ``restore`` needs."""
        counted = (self._rows, self._eligible, self._offers, self._value)
        return {"counted": [total.copy() for total in counted]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a ``state``."""
        self._rows, self._eligible, self._offers, self._value = state["counted"]
