"""The transaction log every calibration starts from: one row per purchase, integers only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

SECONDS_PER_DAY = 86_400
SECONDS_PER_WEEK = 604_800
MINOR_UNITS = 100

Origin = Literal["first_purchase", "log_start"]


@dataclass(frozen=True)
class CustomerSummary:
    """Recency, frequency and monetary value per customer, at day resolution.

    Purchases of one customer on one day count once, as in the published CDNOW summaries. Time
    is days / 7. With origin `first_purchase` the first purchase day starts the clock and is not
    counted; with `log_start` every purchase day counts and clocks start with the log.

    Attributes
    ----------
    frequency : int64, shape (n,)
        Purchase days after the clock started.
    recency : float64, shape (n,)
        Weeks from the clock's start to the last counted purchase day, 0 without one.
    age : float64, shape (n,)
        Weeks from the clock's start to the last observed day.
    mean_spend : float64, shape (n,)
        Mean spend per counted purchase day, in currency units; NaN where `frequency` is 0.
    """

    frequency: npt.NDArray[np.int64]
    recency: npt.NDArray[np.float64]
    age: npt.NDArray[np.float64]
    mean_spend: npt.NDArray[np.float64]


@dataclass(frozen=True)
class TransactionLog:
    """Purchases of a set of customers over an observed period.

    Attributes
    ----------
    name : str
        Where the log comes from, for reports.
    customer : int64, shape (rows,)
        Customer code 0..n-1. Rows are sorted by (customer, time).
    time : int64, shape (rows,)
        Seconds of local wall-clock time since the start of week 0.
    amount : int64, shape (rows,)
        What was paid, in minor units.
    customer_label : str, shape (n,)
        The customers' own identifiers. Customers without a row are allowed.
    start : pandas.Timestamp
        Start of week 0, local wall-clock time, without zone.
    end_time : int
        End of observation (exclusive), seconds since `start`.
    origin : {"first_purchase", "log_start"}
        When customers' clocks start: at their first purchase, which the log contains, or with
        the log, because the customers existed before it.
    time_zone : str
        Zone of the wall clock.
    contactable : bool, shape (n,), optional
        Customers whom any campaign reached, where the source knows it.
    notice : str
        Terms of the source, empty if it has none.

    Raises
    ------
    ValueError
        If the arrays disagree in length, rows are not sorted, or a time or code is out of range.
    """

    name: str
    customer: npt.NDArray[np.int64]
    time: npt.NDArray[np.int64]
    amount: npt.NDArray[np.int64]
    customer_label: npt.NDArray[Any]
    start: pd.Timestamp
    end_time: int
    origin: Origin
    time_zone: str
    contactable: npt.NDArray[np.bool_] | None = None
    notice: str = ""

    def __post_init__(self) -> None:
        rows = len(self.customer)
        if not rows == len(self.time) == len(self.amount):
            raise ValueError("customer, time and amount must have one value per row")
        if self.origin not in ("first_purchase", "log_start"):
            raise ValueError(f"origin is {self.origin!r}; allowed: first_purchase, log_start")
        if self.contactable is not None and len(self.contactable) != self.n_customers:
            raise ValueError("contactable must have one value per customer")
        if not rows:
            return
        if self.customer.min() < 0 or self.customer.max() >= self.n_customers:
            raise ValueError(f"customer codes must lie in 0..{self.n_customers - 1}")
        if self.time.min() < 0 or self.time.max() >= self.end_time:
            raise ValueError(f"times must lie in 0..{self.end_time - 1} (end_time - 1)")
        step = np.diff(self.customer)
        if (step < 0).any() or (np.diff(self.time)[step == 0] < 0).any():
            raise ValueError("rows must be sorted by (customer, time)")

    @property
    def n_customers(self) -> int:
        """Customers in the log, those without a row included."""
        return len(self.customer_label)

    @property
    def n_transactions(self) -> int:
        """Rows."""
        return len(self.customer)

    @property
    def weeks(self) -> int:
        """Whole observed weeks."""
        return self.end_time // SECONDS_PER_WEEK

    def first_time(self) -> npt.NDArray[np.int64]:
        """Time of each customer's first purchase, `end_time` without one; shape (n,)."""
        first = np.full(self.n_customers, self.end_time, np.int64)
        index = np.flatnonzero(np.diff(self.customer, prepend=-1))
        first[self.customer[index]] = self.time[index]
        return first

    def weekly_counts(self) -> npt.NDArray[np.int32]:
        """Purchases per customer and whole week, shape (n, weeks)."""
        week = self.time // SECONDS_PER_WEEK
        whole = week < self.weeks
        cell = self.customer[whole] * self.weeks + week[whole]
        counts = np.bincount(cell, minlength=self.n_customers * self.weeks)
        return counts.astype(np.int32).reshape(self.n_customers, self.weeks)

    def spend_per_customer(self) -> npt.NDArray[np.int64]:
        """What each customer paid in whole weeks, in minor units; shape (n,)."""
        whole = self.time < self.weeks * SECONDS_PER_WEEK
        total = np.zeros(self.n_customers, np.int64)
        np.add.at(total, self.customer[whole], self.amount[whole])
        return total

    def purchase_days(
        self,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Customer, day and amount with purchases of one day added up, clock's first day left out.

        Returns
        -------
        customer, day, amount : int64
            Sorted by (customer, day). With origin `first_purchase` each customer's first
            purchase day is left out, as it starts the clock.
        """
        day = self.time // SECONDS_PER_DAY
        first_row = np.ones(len(day), bool)
        first_row[1:] = (np.diff(self.customer) != 0) | (np.diff(day) != 0)
        index = np.flatnonzero(first_row)
        amount = np.add.reduceat(self.amount, index) if len(index) else self.amount
        customer, day = self.customer[index], day[index]
        if self.origin == "first_purchase":
            repeat = np.zeros(len(customer), bool)
            repeat[1:] = np.diff(customer) == 0
            customer, day, amount = customer[repeat], day[repeat], amount[repeat]
        return customer, day, amount

    def summary(self) -> CustomerSummary:
        """Recency, frequency, age and mean spend per customer."""
        customer, day, amount = self.purchase_days()
        n = self.n_customers
        clock = np.zeros(n, np.int64)
        if self.origin == "first_purchase":
            clock = self.first_time() // SECONDS_PER_DAY
        frequency = np.bincount(customer, minlength=n).astype(np.int64)
        last = clock.copy()
        np.maximum.at(last, customer, day)
        total = np.bincount(customer, weights=amount, minlength=n)
        mean = np.divide(
            total / MINOR_UNITS, frequency, out=np.full(n, np.nan), where=frequency > 0
        )
        last_day = (self.end_time - 1) // SECONDS_PER_DAY
        age = np.maximum(last_day - clock, 0) / 7
        return CustomerSummary(frequency, (last - clock) / 7, age, mean)

    def select(self, customers: Sequence[int] | npt.NDArray[Any]) -> TransactionLog:
        """The log of some customers, given by code; they are renumbered in increasing order.

        Raises
        ------
        ValueError
            If a code does not exist.
        """
        codes = np.unique(np.asarray(customers, np.int64))
        if len(codes) and (codes[0] < 0 or codes[-1] >= self.n_customers):
            raise ValueError(f"customer codes must lie in 0..{self.n_customers - 1}")
        new_code = np.full(self.n_customers, -1, np.int64)
        new_code[codes] = np.arange(len(codes))
        row = new_code[self.customer] >= 0
        return replace(
            self,
            customer=new_code[self.customer[row]],
            time=self.time[row],
            amount=self.amount[row],
            customer_label=self.customer_label[codes],
            contactable=None if self.contactable is None else self.contactable[codes],
        )

    def parts(self, customers: int) -> Iterator[TransactionLog]:
        """Logs of so many customers each, in order, renumbered from 0; cheap."""
        bounds = np.arange(0, self.n_customers, customers)
        rows = np.searchsorted(self.customer, np.append(bounds, self.n_customers))
        for begin, first, last in zip(bounds, rows[:-1], rows[1:], strict=True):
            who = slice(int(begin), int(begin) + customers)
            yield replace(
                self,
                customer=self.customer[first:last] - begin,
                time=self.time[first:last],
                amount=self.amount[first:last],
                customer_label=self.customer_label[who],
                contactable=None if self.contactable is None else self.contactable[who],
            )

    def split(self, week: int) -> tuple[TransactionLog, TransactionLog]:
        """Cut the log at the start of a week into calibration and hold-out.

        Both parts hold the same customers under the same codes. Customers whose clock has not
        started by then (origin `first_purchase`) are in neither. The hold-out's week 0 is `week`
        and its origin is `log_start`: its customers existed before it.

        Raises
        ------
        ValueError
            If `week` leaves either part without a whole week.
        """
        if not 1 <= week < self.weeks:
            raise ValueError(f"week is {week}; allowed: 1..{self.weeks - 1}")
        import pandas as pd

        cut = week * SECONDS_PER_WEEK
        known = self
        if self.origin == "first_purchase":
            known = self.select(np.flatnonzero(self.first_time() < cut))
        before = known.time < cut
        after = ~before
        calibration = replace(
            known,
            customer=known.customer[before],
            time=known.time[before],
            amount=known.amount[before],
            end_time=cut,
        )
        holdout = replace(
            known,
            customer=known.customer[after],
            time=known.time[after] - cut,
            amount=known.amount[after],
            start=self.start + pd.Timedelta(weeks=week),
            end_time=self.end_time - cut,
            origin="log_start",
        )
        return calibration, holdout


def joined(parts: Sequence[TransactionLog]) -> TransactionLog:
    """One log of the customers of several, in order; all else is the first's."""
    codes = np.cumsum([0, *(part.n_customers for part in parts)])
    return replace(
        parts[0],
        customer=np.concatenate(
            [part.customer + first for part, first in zip(parts, codes, strict=False)]
        ),
        time=np.concatenate([part.time for part in parts]),
        amount=np.concatenate([part.amount for part in parts]),
        customer_label=np.concatenate([part.customer_label for part in parts]),
    )
