"""Sufficient statistics: what the models read of a log, in place of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agents.calibration.log import MINOR_UNITS, SECONDS_PER_DAY, SECONDS_PER_WEEK, TransactionLog
from agents.errors import InputError

LAGS = (13, 26, 39, 52, 78, 104)
"""Weeks. Shorter lags also carry the regularity of shopping, which Poisson counts lack."""

MOMENT_FLOOR = 1e-3
"""Relative error granted to every moment: no model is trusted beyond it."""

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


def purchase_histories(log: TransactionLog) -> PurchaseHistories:
    """Distinct (x, t_x, T) triples of a log."""
    summary = log.summary()
    days = np.stack(
        [summary.frequency, np.rint(summary.recency * 7), np.rint(summary.age * 7)], axis=1
    ).astype(np.int64)
    distinct, customers = np.unique(days, axis=0, return_counts=True)
    return PurchaseHistories(
        distinct[:, 0], distinct[:, 1] / 7, distinct[:, 2] / 7, customers.astype(np.int64)
    )


def count_moments(log: TransactionLog, lags: Sequence[int] = LAGS) -> CountMoments:
    """Moments of the weekly counts of a log.

    With origin `first_purchase` the week of the first purchase is left out: it is conditioned
    upon. Lags that leave fewer than 4 weeks are dropped.

    Raises
    ------
    InputError
        If a moment is 0: purchases are too rare.
    """
    counts = log.weekly_counts().astype(float)
    start = np.zeros(log.n_customers, np.int64)
    if log.origin == "first_purchase":
        start = log.first_time() // SECONDS_PER_WEEK + 1
    age = np.arange(log.weeks)[None, :] - start[:, None]
    seen = age >= 0
    counts = np.where(seen, counts, 0.0)
    late = seen & (age > np.median(age[seen]))
    every, every_influence, every_age = _mean(counts, age, seen)
    rows = [_mean(counts, age, seen & ~late), _mean(counts, age, late)]
    factorial, influence, _ = _mean(counts * (counts - 1), age, seen)
    rows.append((factorial - 2 * every, influence - 2 * every_influence, every_age))
    kept = [lag for lag in lags if log.weeks - lag >= 4 and seen[:, :-lag].any()]
    for lag in kept:
        now, later, both = counts[:, :-lag], counts[:, lag:], seen[:, :-lag]
        product, influence, first_age = _mean(now * later, age[:, :-lag], both)
        first, first_influence, _ = _mean(now, age[:, :-lag], both)
        second, second_influence, _ = _mean(later, age[:, :-lag], both)
        ratio = influence - first_influence - second_influence
        rows.append((product - first - second, ratio, first_age))
    moments = np.array([row[0] for row in rows])
    if not np.isfinite(moments).all():
        raise InputError(
            f"{log.name}: no customer bought twice at a distance the drift model reads; "
            "allowed: more purchases, or model pareto_nbd"
        )
    influences = np.stack([row[1] for row in rows], axis=1)
    n = log.n_customers
    covariance = influences.T @ influences / n**2 + MOMENT_FLOOR**2 * np.eye(len(rows))
    ages = np.array([row[2] for row in rows])
    return CountMoments(moments, covariance, ages, np.array(kept, float), float(np.exp(every)))


def _mean(values: Floats, age: Integers, use: npt.NDArray[np.bool_]) -> tuple[float, Floats, float]:
    """Log of a mean over used cells, its influence per customer, and the cells' mean age."""
    total, cells = np.where(use, values, 0.0).sum(axis=1), use.sum(axis=1)
    if not total.sum() > 0:
        return -np.inf, np.zeros(len(values)), 0.0
    influence = len(values) * (total / total.sum() - cells / cells.sum())
    return float(np.log(total.sum() / cells.sum())), influence, float(age[use].mean())


def spend_totals(log: TransactionLog) -> SpendTotals:
    """Spend statistics per customer with at least one positive basket; zero amounts left out."""
    paid = log.amount > 0
    customer, amount = log.customer[paid], log.amount[paid] / MINOR_UNITS
    n = log.n_customers
    baskets = np.bincount(customer, minlength=n).astype(float)
    spend = np.bincount(customer, weights=amount, minlength=n).astype(float)
    log_spend = np.bincount(customer, weights=np.log(amount), minlength=n).astype(float)
    clock = log.first_time() if log.origin == "first_purchase" else np.zeros(n, np.int64)
    observed = np.maximum(log.end_time - clock, SECONDS_PER_DAY) / SECONDS_PER_WEEK
    purchases = np.bincount(log.customer, minlength=n)
    if log.origin == "first_purchase":
        purchases = np.maximum(purchases - 1, 0)
    log_rate = np.log((purchases + 0.5) / observed)
    some = baskets > 0
    return SpendTotals(baskets[some], spend[some], log_spend[some], log_rate[some])
