"""Limits that all rows of a vector environment share: budgets, alarm, features withheld."""

import numpy as np
from numpy.typing import NDArray

from agents.records import Customers
from envs.constraints.budgets import FirmBudgets, Rooms
from envs.constraints.masks import limits_record
from envs.constraints.names import EVERY_CONSTRAINT
from envs.constraints.parameters import ConstraintParameters
from envs.decision import decide
from envs.features import column, withhold
from sim.offers import ActionTable
from sim.world import Rules

_BUDGET_LEFT, _BUDGET_REFUSED = column("budget_left"), column("budget_refused")


class SharedLimits:
    """What the firm may still commit, week by week, and what it shows policies of that.

    Parameters
    ----------
    parameters, table, n
        Limits, actions, rows.
    per_point
        Liability of a point by world, micro minor units.
    enforced
        Bit set of the constraints that bind (``envs.constraints.names``).

    Attributes
    ----------
    record
        LIMITS of the masks, shape (1,); the alarm changes it.
    bind
        Whether any limit is shared.
    opened
        Whether the books are open; before, no step is taken.
    """

    def __init__(
        self,
        parameters: ConstraintParameters,
        table: ActionTable,
        n: int,
        per_point: NDArray[np.int64],
        enforced: int = EVERY_CONSTRAINT,
    ) -> None:
        self.parameters = parameters
        self.table = table
        self.n = n
        self.record = limits_record(parameters, table.categories, enforced)
        self.bind = (
            parameters.offer_budget.weekly_per_customer is not None
            or parameters.discount_exposure is not None
            or parameters.liability_alarm is not None
        )
        self._per_point = per_point
        self._enforced = enforced
        self.opened = False
        self._budgets: FirmBudgets | None = None
        self._rooms = Rooms()
        self._refused = 0.0

    def open(self, profile: NDArray[np.void]) -> None:
        """Open the books with PROFILE rows, shape (n,): no week is closed, nothing refused."""
        self.opened = True
        self._refused = 0.0
        if self.bind:
            self._budgets = FirmBudgets(
                self.parameters, self.table, self.n, profile, self._enforced
            )

    def close_week(self, paid: NDArray[np.int64], discounts: NDArray[np.int64]) -> None:
        """Book revenue paid and discounts given by row, shape (n,), minor units."""
        if self._budgets is not None:
            self._budgets.books.close_week(int(paid.sum()), int(discounts.sum()))

    def look(
        self, customers: Customers, world: NDArray[np.int64], settled: NDArray[np.int64]
    ) -> bool:
        """What may be committed now; whether the alarm has changed the masks.

        Parameters
        ----------
        world, settled
            Of each row: its world, and offer cost settled since its episode began, minor units.
            What ended episodes settled counts no more.
        """
        if self._budgets is None:
            return False
        self._rooms = self._budgets.rooms(customers.account, customers.profile, int(settled.sum()))
        points = customers.profile["points"] + customers.account["pending"].sum(
            axis=1, dtype=np.int64
        )
        stops = self._budgets.stops_points(int((points * self._per_point[world]).sum()))
        changed = bool(self.record["points_stopped"][0]) != stops
        self.record["points_stopped"] = stops
        return changed

    def within(
        self,
        wanted: NDArray[np.int64],
        blocked: NDArray[np.uint8],
        customer_id: NDArray[np.uint64],
        week: int,
    ) -> NDArray[np.int64]:
        """What masks and budgets leave of the actions, shape (n,)."""
        rows = np.arange(self.n)
        allowed = np.where(blocked[rows, wanted] == 0, wanted, 0)
        rooms, commitment = self._rooms, self.table.commitment
        available = rooms.offer_budget
        one_limit = rooms.tail is None and rooms.discount_exposure is None
        if one_limit and (available is None or int(commitment[allowed].sum()) <= available):
            self._refused = 0.0
            return allowed
        # The learner gives actions, not values: a lottery at equal efficiency among those asked.
        score = np.full((self.n, self.table.n), -np.inf)
        score[rows, allowed] = commitment[allowed]
        score[:, 0] = 0.0
        decision = decide(score, blocked, self.table, rooms, customer_id, week)
        self._refused = decision.budget_refused
        free = commitment[allowed] == 0
        return np.where(free, allowed, decision.executed.astype(np.int64))

    def show(self, observation: NDArray[np.float32]) -> None:
        """Write the budget's features, which depend on all rows; withhold what is not allowed."""
        if self.bind:
            budget = self.parameters.offer_budget
            free = budget.free_share(self.n, self._rooms.offer_budget)
            observation[:, _BUDGET_LEFT] = free
            observation[:, _BUDGET_REFUSED] = self._refused
        withhold(observation, self.parameters.features)


def liability_by_world(rules: Rules) -> NDArray[np.int64]:
    """Liability of a point, micro minor units, shape (worlds,)."""
    found: NDArray[np.int64] = rules["programme"]["liability_per_point"].astype(np.int64)
    return found
