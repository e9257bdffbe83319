"""What may be newly committed this week, from the accounts and the firm's trailing books."""

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.records import KINDS, WEEKS_PER_QUARTER
from envs.allocation.several import Budget
from envs.constraints.names import EVERY_CONSTRAINT, Constraint, enforces
from envs.constraints.parameters import ConstraintParameters
from envs.constraints.tail import TailRoom, tail_room
from sim.ledger import MICRO
from sim.offers import ActionTable

_DISCOUNT = KINDS.index("discount")
_LONGEST = 52


class Rooms(NamedTuple):
    """What may be newly committed this week, minor units; None = no limit.

    Parameters
    ----------
    offer_budget
        By all offers.
    discount_exposure
        By offers of kind discount.
    tail
        The offer budget in mode ``tail``, which then decides in place of ``offer_budget``.
    shares
        Further budgets, which a design gives to kinds of offers.
    """

    offer_budget: int | None = None
    discount_exposure: int | None = None
    tail: TailRoom | None = None
    shares: tuple[Budget, ...] = ()


def discounts(table: ActionTable) -> NDArray[np.bool_]:
    """Which actions are of kind discount, shape (n_actions,)."""
    found: NDArray[np.bool_] = table.offers["kind"][table.actions["offer"]] == _DISCOUNT
    found[0] = False
    return found


class TrailingBooks:
    """Revenue and discounts of the last weeks, as the firm closes them.

    Weeks before the books were opened count with the moving averages that the profiles bring
    along as revenue, and with no discount.

    Parameters
    ----------
    profile
        PROFILE rows at opening, shape (n,).
    """

    def __init__(self, profile: NDArray[np.void]) -> None:
        joined = profile["joined"] >= 0
        self._before = float(profile["revenue_slow"][joined].sum(dtype=np.float64))
        self._revenue: deque[int] = deque(maxlen=_LONGEST)
        self._discounts: deque[int] = deque(maxlen=_LONGEST)

    def close_week(self, revenue: int, discounts: int) -> None:
        """Book a week, minor units."""
        self._revenue.append(revenue)
        self._discounts.append(discounts)

    def revenue(self, weeks: int) -> int:
        """Revenue of the last ``weeks`` weeks, at most 52, minor units."""
        known = list(self._revenue)[-weeks:]
        return sum(known) + int(self._before * (weeks - len(known)))

    def discounts(self, weeks: int) -> int:
        """Discounts of the last ``weeks`` weeks, minor units."""
        return sum(list(self._discounts)[-weeks:])


class FirmBudgets:
    """Rooms and alarm of a firm, week after week, for whoever decides.

    Parameters
    ----------
    parameters, table, n
        Limits, actions and customers.
    profile
        PROFILE rows before the first decision, shape (n,).
    enforced
        Bit set of the constraints that bind (``envs.constraints.names``).
    """

    def __init__(
        self,
        parameters: ConstraintParameters,
        table: ActionTable,
        n: int,
        profile: NDArray[np.void],
        enforced: int = EVERY_CONSTRAINT,
    ) -> None:
        self.parameters = parameters
        self.table = table
        self.n = n
        self.books = TrailingBooks(profile)
        self.enforced = enforced

    def rooms(
        self, account: NDArray[np.void], profile: NDArray[np.void], settled: int = 0
    ) -> Rooms:
        """What may be newly committed, given accounts and profiles, shape (n,) each.

        Parameters
        ----------
        settled
            Offer cost settled so far, which a total budget counts, minor units.
        """
        room, tail = None, None
        budget = self.parameters.offer_budget
        limit = budget.reservable(self.n, settled)
        if limit is not None and enforces(self.enforced, Constraint.OFFER_BUDGET):
            held = int(account["commitment"].sum(dtype=np.int64))
            if budget.mode == "tail":
                tail = tail_room(account, profile, self.table, limit, budget.delta)
                held = min(held, int(np.ceil(tail.reserved(0.0, 0, 0.0))))
            room = max(0, limit - held)
        return Rooms(room, self._discount_room(account), tail)

    def _discount_room(self, account: NDArray[np.void]) -> int | None:
        exposure = self.parameters.discount_exposure
        if exposure is None or not enforces(self.enforced, Constraint.DISCOUNT_EXPOSURE):
            return None
        held = (account["offer"] > 0) & (
            self.table.offers["kind"][account["offer"].astype(np.int64) - 1] == _DISCOUNT
        )
        open_discounts = int(account["commitment"][held].sum(dtype=np.int64))
        limit = int(exposure.share * self.books.revenue(WEEKS_PER_QUARTER))
        return max(0, limit - self.books.discounts(WEEKS_PER_QUARTER) - open_discounts)

    def alarm(self, liability: int) -> bool:
        """Whether the points liability, micro minor units, is above its limit."""
        limit = self.parameters.liability_alarm
        if limit is None:
            return False
        return liability > limit.share * self.books.revenue(limit.weeks) * MICRO

    def stops_points(self, liability: int) -> bool:
        """Whether the alarm sounds and stops offers of points."""
        limit = self.parameters.liability_alarm
        return limit is not None and limit.stops_bonus_points and self.alarm(liability)
