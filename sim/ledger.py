"""Integer money and points: conversions, accrual and the invariants they obey.

Liability is held in micro minor units (10**-6 cent), so accrual is exact; see docs/contracts.md §7.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import literal_unroll, prange
from numpy.typing import NDArray

from agents.compiled import kernel, parallel_kernel
from agents.records import Customers

MICRO = 1_000_000
BASIS = 10_000


def to_minor(amount: float) -> int:
    """Currency units to minor units, rounded half up."""
    return math.floor(amount * 100 + 0.5)


@kernel
def share_of(amount, basis_points):  # type: ignore[no-untyped-def]
    """``amount`` × basis points / 10,000, rounded half up, in integers."""
    return (np.int64(amount) * basis_points + BASIS // 2) // BASIS


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


@dataclass(frozen=True)
class WeekTotals:
    """Exact totals of one week over a cohort, as Python integers in minor units or points."""

    purchases: int
    gross: int
    discount: int
    margin: int
    item_cost: int
    contact_cost: int
    reward_cost: int
    voucher: int
    fees: int
    points_earned: int
    points_redeemed: int
    points_expired: int
    reserved: int
    settled: int
    released: int
    liability_change: int
    contacts: int
    opened: int
    redeemed: int
    opted_out: int
    closed: int
    rewards: int
    left: int
    enrolled: int
    joined: int
    referred: int
    promoters: int
    detractors: int
    answers: int
    satisfied: int
    rose: int
    fell: int

    @property
    def revenue(self) -> int:
        """What customers paid: baskets after discounts and vouchers, and fees."""
        return self.gross - self.discount - self.voucher + self.fees

    @property
    def nps(self) -> float:
        """Net promoter score of this week's answers, -100 to 100; NaN without any."""
        return 100 * (self.promoters - self.detractors) / self.answers if self.answers else math.nan

    @property
    def csat(self) -> float:
        """Share of this week's answers that are 4 or 5 of 5; NaN without any."""
        return self.satisfied / self.answers if self.answers else math.nan

    @property
    def cash_cost(self) -> int:
        """Discount, items, contacts and rewards handed out."""
        return sum(int(getattr(self, name)) for name in CASH)

    @property
    def profit(self) -> float:
        """Margin less cash cost less change of points liability, minor units."""
        return float(profit(self.margin, self.cash_cost, self.liability_change))


_COUNTED = (
    "contacts", "joined", "referred", "promoters", "detractors", "answers", "satisfied",
    "rose", "fell",
)  # fmt: skip
_SUMMED = tuple(name for name in WeekTotals.__dataclass_fields__ if name not in _COUNTED)
_BLOCK = 4096


@kernel
def _sum_rows(outcome, sums):  # type: ignore[no-untyped-def]
    for row in range(outcome.shape[0]):
        one = outcome[row]
        at = 0
        for name in literal_unroll(_SUMMED):
            sums[at] += one[name]
            at += 1
        counted = (
            one.action > 0,
            one.joined > 0,
            one.joined == 2,
            one.nps > 9,
            0 < one.nps <= 7,
            one.nps > 0,
            one.csat >= 4,
            one.tier_change > 0,
            one.tier_change < 0,
        )
        for yes in counted:
            sums[at] += yes
            at += 1


@parallel_kernel
def _sum_blocks(outcome, sums):  # type: ignore[no-untyped-def]
    for block in prange(sums.shape[0]):
        first = np.int64(block) * _BLOCK
        _sum_rows(outcome[first : first + _BLOCK], sums[block])


def week_totals(customers: Customers) -> WeekTotals:
    """Totals of the cohort's last week; integer sums, so no order or thread changes a digit."""
    names = (*_SUMMED, *_COUNTED)
    sums = np.zeros((max(1, -(-customers.n // _BLOCK)), len(names)), np.int64)
    _sum_blocks(customers.outcome, sums)
    return WeekTotals(**dict(zip(names, (int(total) for total in sums.sum(axis=0)), strict=True)))


@dataclass
class Ledger:
    """Running totals of a market, checked against the customers' own accounts.

    Attributes are in minor units and points; ``liability`` in micro minor units.
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

    def add(self, week: WeekTotals) -> None:
        """Book one week."""
        self.earned += week.points_earned
        self.redeemed += week.points_redeemed
        self.expired += week.points_expired
        self.reserved += week.reserved
        self.settled += week.settled
        self.released += week.released
        self.liability += week.liability_change

    @property
    def open_commitment(self) -> int:
        """Reserved, neither settled nor released."""
        return self.opening_commitment + self.reserved - self.settled - self.released

    def imbalances(self, customers: Customers) -> dict[str, int]:
        """Broken invariants by name with the difference; empty when the books balance."""
        outstanding = points_outstanding(customers)
        account = customers.account
        differences = {
            "points": self.opening_points
            + self.earned
            - self.redeemed
            - self.expired
            - outstanding,
            "lots": int((account["lots"].sum(axis=1, dtype=np.int64) - account["points"]).any()),
            "liability": self.liability - outstanding * self.liability_per_point,
            "commitment": self.open_commitment - int(account["commitment"].sum(dtype=np.int64)),
        }
        return {name: value for name, value in differences.items() if value != 0}


def points_outstanding(customers: Customers) -> int:
    """Spendable and pending points of the cohort."""
    account = customers.account
    return int(account["points"].sum(dtype=np.int64) + account["pending"].sum(dtype=np.int64))
