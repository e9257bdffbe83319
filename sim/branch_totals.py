"""What a branch brings per customer: sums over its weeks, and where customers stand in the end.

``OUTCOMES`` documents everything that a lift can be taken of.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import literal_unroll, prange
from numpy.typing import NDArray

from agents.compiled import kernel, parallel_kernel
from agents.records import Customers
from sim.ledger import MICRO, cash_cost, profit

ACTIVE_WEEKS = 13

_SUMMED = (
    "purchases", "gross", "discount", "voucher", "fees", "margin", "item_cost", "contact_cost",
    "reward_cost", "liability_change", "points_earned", "points_redeemed", "points_expired",
    "rewards", "reserved", "settled", "redeemed", "opted_out",
)  # fmt: skip
# Sums of OUTCOME over weeks; `contacts` counts offers sent, `recent` purchases of the last weeks.
TOTALS = np.dtype([(name, "i8") for name in (*_SUMMED, "contacts", "recent")])


class Outcome(NamedTuple):
    """What a lift can be taken of: an attribute of ``BranchTotals``, its unit and meaning."""

    name: str
    unit: str
    meaning: str


OUTCOMES = (
    Outcome("purchases", "purchases", "baskets bought"),
    Outcome("revenue", "minor units", "paid by the customer, subscription fees included"),
    Outcome("margin", "minor units", "contribution margin before the costs below"),
    Outcome("offer_cost", "minor units", "discounts, items and messages of offers"),
    Outcome("reward_cost", "minor units", "rewards handed out for points, stamps or tiers"),
    Outcome("cash_cost", "minor units", "offer cost and reward cost"),
    Outcome("liability_change", "minor units", "change of what is owed for points"),
    Outcome("profit", "minor units", "margin less cash cost less the change of points liability"),
    Outcome("points_earned", "points", "points earned, bonuses included"),
    Outcome("points_redeemed", "points", "points spent on rewards"),
    Outcome("points_expired", "points", "points that ran out unused"),
    Outcome("rewards", "rewards", "rewards handed out"),
    Outcome("contacts", "messages", "offers sent"),
    Outcome("redeemed", "offers", "offers used"),
    Outcome("reserved", "minor units", "commitment reserved against the offer budget"),
    Outcome("settled", "minor units", "offer cost settled against the budget"),
    Outcome("redeemed_cost", "minor units", "of it what redemptions cost: all but the messages"),
    Outcome("opted_out", "channels", "channels the customer left"),
    Outcome("alive", "customers", "still there at the end, prospects not: the truth"),
    Outcome("active", "customers", f"bought in the last {ACTIVE_WEEKS} weeks"),
    Outcome("open", "customers", "joined and has an open account at the end: what a firm observes"),
)


@dataclass(frozen=True)
class BranchTotals:
    """Outcomes of one branch per customer, arrays of shape (n,); see ``OUTCOMES``.

    Attributes
    ----------
    sums
        Dtype TOTALS, shape (n,): int64 sums over the weeks, money in minor units,
        ``liability_change`` in micro minor units. Every field reads as an attribute too.
    alive, active, open
        Flags at the end, bool.
    """

    sums: NDArray[np.void]
    alive: NDArray[np.bool_]
    active: NDArray[np.bool_]
    open: NDArray[np.bool_]

    @property
    def n(self) -> int:
        """Number of customers."""
        return int(self.sums.size)

    @property
    def liability_change(self) -> NDArray[np.float64]:
        """Change of what is owed for points, minor units."""
        change: NDArray[np.float64] = self.sums["liability_change"] / MICRO
        return change

    @property
    def revenue(self) -> NDArray[np.int64]:
        """Paid by the customer, minor units."""
        sums = self.sums
        paid: NDArray[np.int64] = sums["gross"] - sums["discount"] - sums["voucher"] + sums["fees"]
        return paid

    @property
    def offer_cost(self) -> NDArray[np.int64]:
        """Discounts, items and messages, minor units."""
        sums = self.sums
        cost: NDArray[np.int64] = sums["discount"] + sums["item_cost"] + sums["contact_cost"]
        return cost

    @property
    def cash_cost(self) -> NDArray[np.int64]:
        """Offer cost and rewards handed out, minor units."""
        return cash_cost(self.sums)

    @property
    def redeemed_cost(self) -> NDArray[np.int64]:
        """Offer cost settled by redemptions, minor units."""
        cost: NDArray[np.int64] = self.sums["settled"] - self.sums["contact_cost"]
        return cost

    @property
    def profit(self) -> NDArray[np.float64]:
        """Margin less cash cost less the change of points liability, minor units."""
        result: NDArray[np.float64] = profit(
            self.sums["margin"], self.cash_cost, self.sums["liability_change"]
        )
        return result

    def __getattr__(self, name: str) -> NDArray[np.int64]:
        if name in _SUMMED or name in ("contacts", "recent"):
            total: NDArray[np.int64] = self.sums[name]
            return total
        raise AttributeError(f"a branch has no outcome {name!r}")

    def outcome(self, name: str) -> NDArray[np.float64]:
        """One of ``OUTCOMES``, shape (n,), float64.

        Raises
        ------
        ValueError
            For a name that is none of them.
        """
        if name not in _NAMES:
            raise ValueError(f"outcome={name!r}: choose one of {', '.join(_NAMES)}")
        values: NDArray[np.float64] = np.asarray(getattr(self, name), np.float64)
        return values


_NAMES = tuple(outcome.name for outcome in OUTCOMES)


@kernel
def _add_row(outcome, sums, recent):  # type: ignore[no-untyped-def]
    for name in literal_unroll(_SUMMED):
        sums[name] += outcome[name]
    sums.contacts += outcome.action > 0
    if recent:
        sums.recent += outcome.purchases


@parallel_kernel
def _add_rows(outcome, sums, recent):  # type: ignore[no-untyped-def]
    for row in prange(outcome.shape[0]):
        _add_row(outcome[row], sums[row], recent)


class RunningTotals:
    """Sums of n customers, week after week; keeps no week.

    Parameters
    ----------
    n
        Number of customers.
    weeks
        Weeks that will be added, so that the last ``ACTIVE_WEEKS`` are known.
    """

    def __init__(self, n: int, weeks: int) -> None:
        self.sums = np.zeros(n, TOTALS)
        self.weeks_left = weeks

    def add(self, outcome: NDArray[np.void]) -> None:
        """Add a week's OUTCOME rows, shape (n,).

        Raises
        ------
        ValueError
            For another shape, as of customers that keep no OUTCOME rows.
        """
        if outcome.shape != self.sums.shape:
            raise ValueError(f"outcome has shape {outcome.shape}, not {self.sums.shape}")
        _add_rows(outcome, self.sums, self.weeks_left <= ACTIVE_WEEKS)
        self.weeks_left -= 1

    def close(self, customers: Customers) -> BranchTotals:
        """The totals, with where these customers stand now."""
        joined = customers.state["prospect"] == 0
        return BranchTotals(
            self.sums,
            alive=joined & (customers.state["alive"] > 0),
            active=self.sums["recent"] > 0,
            open=joined & (customers.account["closed"] == 0),
        )


def add_deadweight(
    wasted: NDArray[np.int64], treated: NDArray[np.void], control: NDArray[np.void]
) -> None:
    """Add what a week's redemptions cost for purchases that the control made too.

    Parameters
    ----------
    wasted
        Sum so far, minor units, shape (n,); changed.
    treated, control
        OUTCOME rows of the same customers and week, shape (n,).
    """
    redeemed = treated["redeemed"].astype(np.int64)
    if not redeemed.any():
        return
    anyway = np.minimum(redeemed, control["purchases"])
    cost = (treated["settled"] - treated["contact_cost"]).astype(np.int64)
    wasted += np.where(redeemed > 0, cost * anyway // np.maximum(redeemed, 1), 0)
