"""What the correlated hierarchy reads of a log: purchases and baskets of each customer together."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from agents.calibration.log import MINOR_UNITS, CustomerSummary, TransactionLog

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CustomerHistories:
    """What the hierarchy reads of each customer; shape (n,).

    Attributes
    ----------
    frequency, recency, age
        As in `CustomerSummary`: purchase days after the clock started, weeks.
    baskets
        Baskets with a positive amount, may be 0.
    mean_log_spend
        Mean log of those baskets, log currency units; anything where there are none.
    log_spend_squares
        Sum of their squared deviations from it.
    covariates : shape (n, c)
        Standardised to mean 0 and sd 1.
    """

    frequency: npt.NDArray[np.int64]
    recency: Floats
    age: Floats
    baskets: npt.NDArray[np.int64]
    mean_log_spend: Floats
    log_spend_squares: Floats
    covariates: Floats

    def take(self, rows: npt.NDArray[np.int64]) -> CustomerHistories:
        """The chosen customers."""
        return CustomerHistories(*(getattr(self, one.name)[rows] for one in fields(self)))


def customer_histories(log: TransactionLog, summary: CustomerSummary) -> CustomerHistories:
    """One row per customer of a log, in the order of their codes, without covariates."""
    n = log.n_customers
    paid = log.amount > 0
    customer, amount = log.customer[paid], np.log(log.amount[paid] / MINOR_UNITS)
    baskets = np.bincount(customer, minlength=n).astype(np.int64)
    mean = np.bincount(customer, weights=amount, minlength=n) / np.maximum(baskets, 1)
    squares = np.bincount(customer, weights=(amount - mean[customer]) ** 2, minlength=n)
    return CustomerHistories(
        summary.frequency,
        summary.recency,
        summary.age,
        baskets,
        np.asarray(mean, np.float64),
        np.asarray(squares, np.float64),
        np.zeros((n, 0)),
    )


def standardised(values: npt.NDArray[np.float64]) -> Floats:
    """Columns with mean 0 and sd 1; one that does not vary is 0. Shape (n, c)."""
    spread = values.std(axis=0)
    return np.asarray((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0))
