"""Sufficient statistics: what the models read of a log, in place of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.calibration.log import MINOR_UNITS, SECONDS_PER_DAY, SECONDS_PER_WEEK, TransactionLog

LAGS = (1, 4, 13, 26, 44)
LARGEST_WEEKLY_COUNT = 255

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
class CountPairs:
    """Distinct pairs of weekly counts (n_t, n_{t+lag}) with their number, by lag and stratum.

    Each lag has an early and a late stratum of customer-weeks; a stratum's `age` is the mean
    number of weeks since its customers' clocks started.

    Attributes
    ----------
    values : int64, shape (m,)
        Distinct weekly counts.
    lags : int64, shape (l,)
        Lags in weeks.
    lag, first, second : int64, shape (k,)
        Index into `lags` and, twice, into `values`.
    age : float64, shape (k,)
        Mean weeks since the clock's start at the first count.
    pairs : float64, shape (k,)
        Number of customer-weeks.
    customer, row, weight : shape (c,)
        Per customer of a subset and row of the table: number of pairs. Serves the variance of
        the composite score.
    """

    values: Integers
    lags: Integers
    lag: Integers
    first: Integers
    second: Integers
    age: Floats
    pairs: Floats
    customer: Integers
    row: Integers
    weight: Floats


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


def count_pairs(
    log: TransactionLog, lags: Sequence[int] = LAGS, score_customers: int = 5_000
) -> CountPairs:
    """Table of weekly count pairs of a log.

    With origin `first_purchase` the week of the first purchase is left out: it is conditioned
    upon.

    Parameters
    ----------
    log : TransactionLog
        At least 8 whole weeks.
    lags : sequence of int
        Lags in weeks; those that leave fewer than 4 weeks are dropped.
    score_customers : int
        Customers in the subset that serves the variance of the score.
    """
    counts = np.minimum(log.weekly_counts(), LARGEST_WEEKLY_COUNT).astype(np.int64)
    values, index = np.unique(counts, return_inverse=True)
    index = index.reshape(counts.shape)
    weeks, m = log.weeks, len(values)
    start = np.zeros(log.n_customers, np.int64)
    if log.origin == "first_purchase":
        start = log.first_time() // SECONDS_PER_WEEK + 1
    kept = np.array([lag for lag in lags if weeks - lag >= 4], np.int64)
    blocks: list[tuple[Any, ...]] = []
    scores: list[tuple[Any, ...]] = []
    offset = 0
    for position, lag in enumerate(kept):
        age = np.arange(weeks - lag)[None, :] - start[:, None]
        customer, week = np.nonzero(age >= 0)
        if not len(customer):
            continue
        age = age[customer, week]
        late = (age > np.median(age)).astype(np.int64)
        cell = (late * m + index[customer, week]) * m + index[customer, week + lag]
        distinct, row, number = np.unique(cell, return_inverse=True, return_counts=True)
        mean_age = np.array([age[late == s].mean() if (late == s).any() else 0.0 for s in (0, 1)])
        stratum, pair = np.divmod(distinct, m * m)
        blocks.append(
            (np.full(len(distinct), position), pair // m, pair % m, mean_age[stratum], number)
        )
        some = customer < score_customers
        key, weight = np.unique(
            customer[some] * len(distinct) + row.reshape(-1)[some], return_counts=True
        )
        scores.append((key // len(distinct), key % len(distinct) + offset, weight))
        offset += len(distinct)
    lag_index, first, second, ages, pairs = (np.concatenate(c) for c in zip(*blocks, strict=True))
    who, row, weight = (np.concatenate(c) for c in zip(*scores, strict=True))
    return CountPairs(
        values, kept, lag_index, first, second, ages, pairs.astype(float), who, row, weight.astype(float)
    )


def spend_totals(log: TransactionLog) -> SpendTotals:
    """Spend statistics per customer with at least one positive basket; zero amounts left out."""
    paid = log.amount > 0
    customer, amount = log.customer[paid], log.amount[paid] / MINOR_UNITS
    n = log.n_customers
    baskets = np.bincount(customer, minlength=n).astype(float)
    spend = np.bincount(customer, weights=amount, minlength=n)
    log_spend = np.bincount(customer, weights=np.log(amount), minlength=n)
    clock = log.first_time() if log.origin == "first_purchase" else np.zeros(n, np.int64)
    observed = np.maximum(log.end_time - clock, SECONDS_PER_DAY) / SECONDS_PER_WEEK
    purchases = np.bincount(log.customer, minlength=n)
    if log.origin == "first_purchase":
        purchases = np.maximum(purchases - 1, 0)
    log_rate = np.log((purchases + 0.5) / observed)
    some = baskets > 0
    return SpendTotals(baskets[some], spend[some], log_spend[some], log_rate[some])
