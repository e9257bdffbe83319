"""What the correlated hierarchy reads of a log: purchases and baskets of each customer together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from agents.calibration.log import MINOR_UNITS, CustomerSummary, TransactionLog
from agents.errors import InputError

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

    def with_covariates(self, covariates: Mapping[str, Floats]) -> CustomerHistories:
        """The same customers with covariates, shape (n,) each, standardised.

        Raises
        ------
        InputError
            If one has another length or a value that is not finite, or does not vary.
        """
        n = len(self.frequency)
        for name, values in covariates.items():
            if len(values) != n or not np.isfinite(values).all():
                raise InputError(f"covariate {name}: allowed: {n} finite numbers, one per customer")
            if values.std() == 0:
                raise InputError(f"covariate {name} is the same for everybody; allowed: it varies")
        columns = np.column_stack([np.asarray(values, float) for values in covariates.values()])
        standard = (columns - columns.mean(axis=0)) / columns.std(axis=0)
        return replace(self, covariates=np.asarray(standard, np.float64))


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
