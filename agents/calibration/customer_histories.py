"""What the correlated hierarchy reads of a log: purchases and baskets of each customer together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agents.calibration.log import MINOR_UNITS, TransactionLog

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


def customer_histories(
    log: TransactionLog, covariates: npt.NDArray[np.float64] | None = None
) -> CustomerHistories:
    """One row per customer of a log, in the order of their codes.

    ``covariates``, shape (n, c), are standardised here; a column that does not vary stays 0.
    """
    summary = log.summary()
    n = log.n_customers
    paid = log.amount > 0
    customer, amount = log.customer[paid], np.log(log.amount[paid] / MINOR_UNITS)
    baskets = np.bincount(customer, minlength=n).astype(np.int64)
    mean = np.bincount(customer, weights=amount, minlength=n) / np.maximum(baskets, 1)
    squares = np.bincount(customer, weights=(amount - mean[customer]) ** 2, minlength=n)
    given = np.zeros((n, 0)) if covariates is None else np.asarray(covariates, np.float64)
    spread: Floats = given.std(axis=0)
    return CustomerHistories(
        summary.frequency,
        summary.recency,
        summary.age,
        baskets,
        np.asarray(mean, np.float64),
        np.asarray(squares, np.float64),
        np.asarray((given - given.mean(axis=0)) / np.where(spread > 0, spread, 1.0), np.float64),
    )
