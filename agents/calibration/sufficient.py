"""Sufficient statistics: what the models read of a log, in place of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.calibration.customer_histories import CustomerHistories, customer_histories
from agents.calibration.log import (
    MINOR_UNITS,
    SECONDS_PER_DAY,
    SECONDS_PER_WEEK,
    Origin,
    TransactionLog,
)
from agents.errors import InputError

LAGS = (13, 26, 39, 52, 78, 104)
"""Weeks. Shorter lags also carry the regularity of shopping, which Poisson counts lack."""

MOMENT_FLOOR = 1e-3
"""Relative error granted to every moment: no model is trusted beyond it."""

FEWEST_PAIRS = 4
"""Pairs of weeks that a lag must leave."""

CHUNK_CUSTOMERS = 20_000
_MATRIX_CELLS = 4_000_000

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PurchaseHistories:
    """Distinct (frequency, recency, age) triples with their number of customers; shape (k,)."""

    frequency: Integers
    recency: Floats
    age: Floats
    customers: Integers


@dataclass(frozen=True)
class CountMoments:
    """Logs of moments of weekly counts, and their covariance over customers.

    In order: mean count in the early and in the late half; second factorial moment over the
    squared mean; per lag, mean product n_t n_{t+lag} over the product of the two means. Dividing
    by the means takes out what moves all customers together.

    Attributes
    ----------
    moments : float64, shape (3 + l,)
        Logs of the moments.
    covariance : float64, shape (3 + l, 3 + l)
        Covariance of `moments` by the delta method; customers are independent.
    age : float64, shape (3 + l,)
        Mean weeks since the clock's start of the (first) counts in each moment.
    lags : float64, shape (l,)
        Lags in weeks.
    mean_count : float
        Mean weekly count.
    """

    moments: Floats
    covariance: Floats
    age: Floats
    lags: Floats
    mean_count: float


@dataclass(frozen=True)
class SpendTotals:
    """Per customer with a positive basket: number, sum and sum of logs, and log rate; shape (n,).

    Amounts are in currency units. `log_rate` is the log of (purchases + 1/2) per observed week.
    """

    baskets: Floats
    spend: Floats
    log_spend: Floats
    log_rate: Floats


@dataclass(frozen=True)
class RepeatSpend:
    """Customers with a counted purchase day and spend: how many such days, and mean spend a day.

    Attributes
    ----------
    frequency : int64, shape (n,)
        Counted purchase days (`CustomerSummary.frequency`).
    mean_spend : float64, shape (n,)
        Mean spend per counted purchase day, in currency units; above 0.
    """

    frequency: Integers
    mean_spend: Floats


@dataclass(frozen=True)
class LogStatistics:
    """All that fitting reads of a log: no rows, no customer's identity.

    Attributes
    ----------
    name, notice, time_zone, origin
        As those of `TransactionLog`.
    start : str
        Start of week 0, local wall-clock time (ISO 8601).
    end_time : int
        End of observation (exclusive), seconds since `start`.
    n_customers, n_transactions : int
        Customers, those without a row included, and rows.
    repeat_customers : int
        Customers with at least two purchases.
    repeat_day_customers : int
        Customers with enough purchase days to tell a rate: one after the first with origin
        `first_purchase`, two with `log_start`.
    most_purchases_of_a_customer : int
    smallest_amount, largest_amount : int
        Of all purchases, in minor units; 0 without a purchase.
    smallest_paid : int
        Smallest amount above 0, in minor units; 0 without one.
    histories : PurchaseHistories
        For Pareto/NBD.
    moments : CountMoments or None
        For the drift model; None if the log is too short for them or purchases are too rare (see
        `required_moments`).
    spend : SpendTotals
        For lognormal-Gamma.
    repeat_spend : RepeatSpend
        For Gamma-Gamma.
    customers : CustomerHistories
        For the correlated hierarchy; everybody, in order.
    refunds : str
        What was done with negative amounts, empty if there were none.
    """

    name: str
    notice: str
    start: str
    time_zone: str
    origin: Origin
    end_time: int
    n_customers: int
    n_transactions: int
    repeat_customers: int
    repeat_day_customers: int
    most_purchases_of_a_customer: int
    smallest_amount: int
    largest_amount: int
    smallest_paid: int
    histories: PurchaseHistories
    moments: CountMoments | None
    spend: SpendTotals
    repeat_spend: RepeatSpend
    customers: CustomerHistories
    refunds: str = ""

    @property
    def weeks(self) -> int:
        """Whole observed weeks."""
        return self.end_time // SECONDS_PER_WEEK

    @property
    def amounts_vary(self) -> bool:
        """Are there two different amounts above 0?"""
        return 0 < self.smallest_paid < self.largest_amount

    def required_moments(self) -> CountMoments:
        """The moments of weekly counts.

        Raises
        ------
        InputError
            If the log is too short for them, or purchases are too rare.
        """
        if self.moments is None:
            raise InputError(
                f"{self.name}: no customer bought twice at a distance the drift model reads; "
                "allowed: more purchases, or model pareto_nbd"
            )
        return self.moments


def statistics_of(log: TransactionLog, *, customers: int = CHUNK_CUSTOMERS) -> LogStatistics:
    """Statistics of a log in memory; `aggregate.aggregate_file` gives the same of a file.

    `customers` are taken at a time; the result does not depend on it.
    """
    sums = LogSums(log.origin, log.end_time, log.n_customers, *_first_weeks(log))
    for part in log.parts(customers):
        sums.add(part)
    return sums.statistics(log.name, log.start.isoformat(), log.time_zone, log.notice)


class LogSums:
    """Adds up the statistics of a log that arrives in parts of some customers each.

    Sums are of integers, so how customers are parted changes no digit.

    Parameters
    ----------
    origin, end_time, n_customers
        Those of the whole log.
    first_week, customers : int64, shape (k,)
        Weeks in which customers first bought, and how many did.
    """

    def __init__(
        self,
        origin: Origin,
        end_time: int,
        n_customers: int,
        first_week: Integers,
        customers: Integers,
    ) -> None:
        self._origin: Origin = origin
        self._end_time = end_time
        self._n = n_customers
        weeks = end_time // SECONDS_PER_WEEK
        start, number = np.zeros(1, np.int64), np.array([n_customers], np.int64)
        if origin == "first_purchase":
            start, number = first_week + 1, customers
        self._moments = _MomentSums(weeks, start, number, LAGS) if weeks else None
        self._transactions = self._added = self._repeat = self._repeat_days = self._most = 0
        self._amounts: list[tuple[int, int, int]] = []
        self._histories: list[tuple[Integers, Integers]] = []
        self._spend: list[SpendTotals] = []
        self._repeat_spend: list[RepeatSpend] = []
        self._customers: list[CustomerHistories] = []

    def add(self, part: TransactionLog) -> None:
        """Add customers; their codes in the part count from 0."""
        part = _ordered(part)
        self._added += part.n_customers
        self._transactions += part.n_transactions
        purchases = np.bincount(part.customer, minlength=part.n_customers)
        self._repeat += int((purchases >= 2).sum())
        self._most = max(self._most, int(purchases.max(initial=0)))
        summary = part.summary()
        enough = 1 if self._origin == "first_purchase" else 2
        self._repeat_days += int((summary.frequency >= enough).sum())
        if part.n_transactions:
            smallest, largest = int(part.amount.min()), int(part.amount.max())
            paid = part.amount[part.amount > 0]
            self._amounts.append((smallest, largest, int(paid.min()) if len(paid) else 0))
        self._histories.append(
            _distinct(summary.frequency, summary.recency, summary.age, self._end_time)
        )
        self._spend.append(spend_totals(part))
        some = (summary.frequency > 0) & (summary.mean_spend > 0)
        self._repeat_spend.append(RepeatSpend(summary.frequency[some], summary.mean_spend[some]))
        self._customers.append(customer_histories(part, summary))
        if self._moments is not None:
            self._moments.add(part)

    def statistics(
        self, name: str, start: str, time_zone: str, notice: str = "", refunds: str = ""
    ) -> LogStatistics:
        """The statistics of everybody that was added.

        Raises
        ------
        ValueError
            If that is not everybody.
        """
        if self._added != self._n:
            raise ValueError(f"{self._added} of {self._n} customers were added")
        paid = [smallest for _, _, smallest in self._amounts if smallest]
        return LogStatistics(
            name=name,
            notice=notice,
            start=start,
            time_zone=time_zone,
            origin=self._origin,
            end_time=self._end_time,
            n_customers=self._n,
            n_transactions=self._transactions,
            repeat_customers=self._repeat,
            repeat_day_customers=self._repeat_days,
            most_purchases_of_a_customer=self._most,
            smallest_amount=min((low for low, _, _ in self._amounts), default=0),
            largest_amount=max((high for _, high, _ in self._amounts), default=0),
            smallest_paid=min(paid, default=0),
            histories=_joined_histories(self._histories, self._end_time),
            moments=self._moments.moments(self._n) if self._moments is not None else None,
            spend=_joined(SpendTotals, self._spend),
            customers=_joined(CustomerHistories, self._customers),
            repeat_spend=_joined(RepeatSpend, self._repeat_spend),
            refunds=refunds,
        )


def purchase_histories(log: TransactionLog) -> PurchaseHistories:
    """Distinct (x, t_x, T) triples of a log."""
    summary = log.summary()
    part = _distinct(summary.frequency, summary.recency, summary.age, log.end_time)
    return _joined_histories([part], log.end_time)


def count_moments(log: TransactionLog, lags: Sequence[int] = LAGS) -> CountMoments:
    """Moments of the weekly counts of a log.

    With origin `first_purchase` the week of the first purchase is left out: it is conditioned
    upon. Lags that leave fewer than 4 weeks are dropped.

    Raises
    ------
    InputError
        If a moment is 0: purchases are too rare.
    """
    start, customers = np.zeros(1, np.int64), np.array([log.n_customers])
    if log.origin == "first_purchase":
        start, customers = _first_weeks(log)
        start = start + 1
    sums = _MomentSums(log.weeks, start, customers, lags)
    sums.add(log)
    found = sums.moments(log.n_customers)
    if found is None:
        raise InputError(
            f"{log.name}: no customer bought twice at a distance the drift model reads; "
            "allowed: more purchases, or model pareto_nbd"
        )
    return found


def spend_totals(log: TransactionLog) -> SpendTotals:
    """Spend statistics per customer with at least one positive basket; zero amounts left out."""
    every = spend_of_everybody(log)
    some = every.baskets > 0
    return SpendTotals(
        every.baskets[some], every.spend[some], every.log_spend[some], every.log_rate[some]
    )


def spend_of_everybody(log: TransactionLog) -> SpendTotals:
    """The same with a row for every customer, those without a positive basket included."""
    paid = log.amount > 0
    customer, amount = log.customer[paid], log.amount[paid]
    n = log.n_customers
    baskets = np.bincount(customer, minlength=n).astype(float)
    spend = np.bincount(customer, weights=amount, minlength=n) / MINOR_UNITS
    log_spend = np.bincount(customer, weights=np.log(amount / MINOR_UNITS), minlength=n)
    clock = log.first_time() if log.origin == "first_purchase" else np.zeros(n, np.int64)
    observed = np.maximum(log.end_time - clock, SECONDS_PER_DAY) / SECONDS_PER_WEEK
    purchases = np.bincount(log.customer, minlength=n)
    if log.origin == "first_purchase":
        purchases = np.maximum(purchases - 1, 0)
    log_rate = np.log((purchases + 0.5) / observed)
    return SpendTotals(baskets, spend, log_spend.astype(float), log_rate)


class _MomentSums:
    """Sums over customers of which the moments of weekly counts are made.

    A customer's row holds, per moment's mean, its total over the weeks used and their number.
    Means, and their covariance by the delta method, follow from the sums of these rows and of
    their products.

    Parameters
    ----------
    weeks : int
        Whole observed weeks.
    start, customers : int64, shape (k,)
        First weeks used of a customer, and customers with each.
    lags : sequence of int
        Lags in weeks.
    """

    def __init__(
        self, weeks: int, start: Integers, customers: Integers, lags: Sequence[int]
    ) -> None:
        self._weeks = weeks
        span = np.maximum(weeks - start, 0)
        # Customers by number of weeks used, and cells of each age: the median age is exact.
        by_span = np.bincount(span, weights=customers, minlength=weeks + 1).astype(np.int64)
        cells = by_span[::-1].cumsum()[::-1][1:]
        self._early = 0
        if cells.sum():
            total = int(cells.sum())
            middle = np.searchsorted(cells.cumsum(), [(total + 1) // 2, total // 2 + 1])
            # Ages at or below the median are early.
            self._early = int(middle.mean()) + 1
        self._lags = [lag for lag in lags if weeks - lag >= FEWEST_PAIRS and (span - lag > 0).any()]
        self._span, self._customers = span, customers
        columns = 3 + 3 * len(self._lags) + 2 + len(self._lags)
        self._sum = np.zeros(columns)
        self._products = np.zeros((columns, columns))

    def add(self, log: TransactionLog) -> None:
        """Add customers; their codes count from 0."""
        start = np.zeros(log.n_customers, np.int64)
        if log.origin == "first_purchase":
            start = log.first_time() // SECONDS_PER_WEEK + 1
        step = max(_MATRIX_CELLS // self._weeks, 1)
        week = log.time // SECONDS_PER_WEEK
        used = (week < self._weeks) & (week >= start[log.customer])
        customer, week = log.customer[used], week[used]
        for begin in range(0, log.n_customers, step):
            end = min(begin + step, log.n_customers)
            first, last = np.searchsorted(customer, [begin, end])
            cell = (customer[first:last] - begin) * self._weeks + week[first:last]
            counts = np.bincount(cell, minlength=(end - begin) * self._weeks)
            rows = self._rows(counts.reshape(end - begin, self._weeks), start[begin:end])
            self._sum += rows.sum(axis=0)
            self._products += rows.T @ rows

    def _rows(self, counts: Any, start: Integers) -> Floats:
        """One row per customer: totals, then numbers of weeks; shape (n, columns)."""
        weeks = self._weeks
        values = counts.astype(float)
        before = np.zeros((len(values), weeks + 1))
        np.cumsum(values, axis=1, out=before[:, 1:])
        every = before[:, -1]
        at = np.arange(len(values))
        early = before[at, np.minimum(start + self._early, weeks)]
        totals = [early, every - early, np.einsum("ij,ij->i", values, values) - every]
        span = np.maximum(weeks - start, 0)
        used = [np.minimum(span, self._early), np.maximum(span - self._early, 0)]
        for lag in self._lags:
            totals.append(np.einsum("ij,ij->i", values[:, :-lag], values[:, lag:]))
            totals.append(before[:, weeks - lag])
            totals.append(every - before[at, np.minimum(start + lag, weeks)])
            used.append(np.maximum(span - lag, 0))
        return np.stack([*totals, *used], axis=1).astype(float)

    def moments(self, n: int) -> CountMoments | None:
        """The moments, None if one of them is 0."""
        lags = len(self._lags)
        early, late, factorial = np.eye(len(self._sum))[:3]
        weeks_early, weeks_late = np.eye(len(self._sum))[3 + 3 * lags : 5 + 3 * lags]
        every, weeks_every = early + late, weeks_early + weeks_late
        means = [(early, weeks_early), (late, weeks_late)]
        # Per moment: means that enter it, with their power.
        powers = [[(0, 1)], [(1, 1)], [(2, 1), (3, -2)]]
        means += [(factorial, weeks_every), (every, weeks_every)]
        for at in range(lags):
            product, now, later = np.eye(len(self._sum))[3 + 3 * at : 6 + 3 * at]
            pairs = np.eye(len(self._sum))[5 + 3 * lags + at]
            powers.append([(len(means), 1), (len(means) + 1, -1), (len(means) + 2, -1)])
            means += [(product, pairs), (now, pairs), (later, pairs)]
        sums = [(float(total @ self._sum), float(cells @ self._sum)) for total, cells in means]
        if not all(total > 0 and cells > 0 for total, cells in sums):
            return None
        logs = [np.log(total / cells) for total, cells in sums]
        influence = [
            total / sums[at][0] - cells / sums[at][1] for at, (total, cells) in enumerate(means)
        ]
        moments = np.array([sum(power * logs[at] for at, power in row) for row in powers])
        weights = np.array([sum(power * influence[at] for at, power in row) for row in powers])
        covariance = weights @ self._products @ weights.T + MOMENT_FLOOR**2 * np.eye(len(powers))
        return CountMoments(
            moments,
            (covariance + covariance.T) / 2,
            np.array([*self._ages(), *(self._age(0, lag) for lag in self._lags)]),
            np.array(self._lags, float),
            float(np.exp(logs[3])),
        )

    def _ages(self) -> list[float]:
        """Mean age of early weeks, late weeks and all."""
        early = np.minimum(self._span, self._early)
        whole = float((self._customers * self._span).sum())
        first = float((self._customers * early).sum())
        inside = float((self._customers * early * (early - 1)).sum()) / 2
        every = float((self._customers * self._span * (self._span - 1)).sum()) / 2
        return [inside / first, (every - inside) / (whole - first), every / whole]

    def _age(self, begin: int, lag: int) -> float:
        """Mean age of weeks that have another one `lag` weeks later."""
        span = np.maximum(self._span - lag, 0)
        cells = float((self._customers * span).sum())
        return begin + float((self._customers * span * (span - 1)).sum()) / 2 / cells


def _first_weeks(log: TransactionLog) -> tuple[Integers, Integers]:
    week, customers = np.unique(log.first_time() // SECONDS_PER_WEEK, return_counts=True)
    return week, customers.astype(np.int64)


def _ordered(log: TransactionLog) -> TransactionLog:
    """Purchases at the same time by amount: sums of logs depend on their order in the last bit."""
    together = (np.diff(log.customer) == 0) & (np.diff(log.time) == 0)
    if not (together & (np.diff(log.amount) < 0)).any():
        return log
    order = np.lexsort((log.amount, log.time, log.customer))
    return replace(log, amount=log.amount[order])


def _distinct(
    frequency: Integers, recency: Floats, age: Floats, end_time: int
) -> tuple[Integers, Integers]:
    """Distinct triples, each packed into one number in the order of (x, t_x, T), and customers."""
    days = end_time // SECONDS_PER_DAY + 2
    last, whole = (np.rint(weeks * 7).astype(np.int64) for weeks in (recency, age))
    packed, customers = np.unique((frequency * days + last) * days + whole, return_counts=True)
    return packed, customers.astype(np.int64)


def _joined_histories(parts: list[tuple[Integers, Integers]], end_time: int) -> PurchaseHistories:
    days = end_time // SECONDS_PER_DAY + 2
    every = np.concatenate([packed for packed, _ in parts]) if parts else np.zeros(0, np.int64)
    number = np.concatenate([count for _, count in parts]) if parts else every
    distinct, at = np.unique(every, return_inverse=True)
    customers = np.bincount(at, weights=number, minlength=len(distinct)).astype(np.int64)
    return PurchaseHistories(
        distinct // days**2, distinct // days % days / 7, distinct % days / 7, customers
    )


def _joined(kind: Any, parts: list[Any]) -> Any:
    """One dataclass of arrays from several."""
    names = kind.__dataclass_fields__
    return kind(
        **{
            name: np.concatenate([getattr(part, name) for part in parts]) if parts else np.zeros(0)
            for name in names
        }
    )
