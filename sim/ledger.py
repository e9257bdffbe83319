"""Integer money and points: conversions, accrual and the invariants they obey.

Liability is held in micro minor units (10**-6 cent), so accrual is exact; see docs/contracts.md §7.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agents.compiled import kernel
from agents.records import Customers

if TYPE_CHECKING:
    from sim.totals import WeekTotals

MICRO = 1_000_000
BASIS = 10_000
_BASIS, _HALF_BASIS = np.uint64(BASIS), np.uint64(BASIS // 2)


def to_minor(amount: float) -> int:
    """Currency units to minor units, rounded half up."""
    return math.floor(amount * 100 + 0.5)


@kernel
def share_of(amount, basis_points):  # type: ignore[no-untyped-def]
    """``amount`` × basis points / 10,000, rounded half up, in integers; neither is negative."""
    # Unsigned division by a constant is a multiplication, without the floor's correction of signs.
    return np.int64((np.uint64(amount) * np.uint64(basis_points) + _HALF_BASIS) // _BASIS)


@kernel
def accrue(outcome, points, liability_per_point):  # type: ignore[no-untyped-def]
    """Book a change of points outstanding (micro minor units per point) into the week."""
    outcome.liability_change += np.int64(points) * liability_per_point


@kernel
def reserve(account, outcome, cap, contact_cost):  # type: ignore[no-untyped-def]
    """Reserve an offer's commitment; the contact's share is settled at once."""
    account.commitment += cap
    outcome.reserved += cap + contact_cost
    outcome.settled += contact_cost
    outcome.contact_cost += contact_cost


@kernel
def settle(account, outcome, cap, cost):  # type: ignore[no-untyped-def]
    """Settle one use of an offer: its cost is spent, the rest of its cap released."""
    account.commitment -= cap
    outcome.settled += cost
    outcome.released += cap - cost


@kernel
def release(account, outcome):  # type: ignore[no-untyped-def]
    """Release whatever commitment the offer still holds."""
    outcome.released += account.commitment
    account.commitment = 0


CASH = ("discount", "item_cost", "contact_cost", "reward_cost")


def cash_cost(outcome: NDArray[np.void]) -> NDArray[np.int64]:
    """Discount, items, contacts and rewards handed out, per OUTCOME row, minor units."""
    total = np.zeros(outcome.shape, np.int64)
    for name in CASH:
        total += outcome[name]
    return total


def profit(margin: Any, cash: Any, liability_change: Any) -> Any:
    """Margin less cash cost less change of points liability, minor units; numbers or arrays."""
    return margin - cash - liability_change / MICRO


@dataclass
class Ledger:
    """Running totals of a market, checked against the customers' own accounts.

    Attributes are in minor units and points; ``liability`` in micro minor units, and of it
    ``kept_liability`` what is owed, beyond the value of all points, to those who keep an old price.
    ``revenue`` is what customers paid, ``discounts`` what discount offers took off, both since it
    was opened.
    """

    liability_per_point: int
    opening_points: int = 0
    opening_commitment: int = 0
    earned: int = 0
    redeemed: int = 0
    expired: int = 0
    reserved: int = 0
    settled: int = 0
    released: int = 0
    liability: int = 0
    kept_liability: int = 0
    revenue: int = 0
    discounts: int = 0

    @classmethod
    def open(cls, customers: Customers, liability_per_point: int) -> "Ledger":
        """Start from the balances the customers bring along."""
        points = points_outstanding(customers)
        commitment = int(customers.account["commitment"].sum(dtype=np.int64))
        return cls(
            liability_per_point,
            opening_points=points,
            opening_commitment=commitment,
            liability=points * liability_per_point,
        )

    def add(self, week: "WeekTotals") -> None:
        """Book one week."""
        self.earned += week.points_earned
        self.redeemed += week.points_redeemed
        self.expired += week.points_expired
        self.reserved += week.reserved
        self.settled += week.settled
        self.released += week.released
        self.liability += week.liability_change
        self.revenue += week.revenue
        self.discounts += week.discount

    def revalue(self, customers: Customers, liability_per_point: int) -> int:
        """Value the points outstanding anew; returns the change of the liability."""
        rise = liability_per_point - self.liability_per_point
        change = points_outstanding(customers) * rise
        self.liability += change
        self.liability_per_point = liability_per_point
        return change

    def keep(self, worth: int) -> int:
        """What kept prices are worth now (``sim.redesign.kept_worth``); returns the change."""
        change = worth - self.kept_liability
        self.liability += change
        self.kept_liability = worth
        return change

    @property
    def open_commitment(self) -> int:
        """Reserved, neither settled nor released."""
        return self.opening_commitment + self.reserved - self.settled - self.released

    def imbalances(self, customers: Customers) -> dict[str, int]:
        """Broken invariants by name with the difference; empty when the books balance."""
        outstanding = points_outstanding(customers)
        account, profile = customers.account, customers.profile
        differences = {
            "points": self.opening_points
            + self.earned
            - self.redeemed
            - self.expired
            - outstanding,
            "lots": int((account["lots"].sum(axis=1, dtype=np.int64) - profile["points"]).any()),
            "liability": self.liability
            - self.kept_liability
            - outstanding * self.liability_per_point,
            "commitment": self.open_commitment - int(account["commitment"].sum(dtype=np.int64)),
        }
        return {name: value for name, value in differences.items() if value != 0}


def points_outstanding(customers: Customers) -> int:
    """Spendable and pending points of the cohort."""
    balance = customers.profile["points"].sum(dtype=np.int64)
    return int(balance + customers.account["pending"].sum(dtype=np.int64))
