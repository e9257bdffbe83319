"""A transaction log as events, for the fold that simulator and scoring share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agents.calibration.log import TransactionLog
from agents.profile import EventKind
from agents.records import EVENT


def log_events(log: TransactionLog) -> npt.NDArray[np.void]:
    """Events of a log, shape (rows or more,), `customer` being the customer's code.

    With origin `first_purchase` the first purchase is the JOIN event and carries its amount;
    with `log_start` everybody joins at time 0 and every row is a PURCHASE. Customers without a
    row never join under `first_purchase`.
    """
    rows = np.zeros(log.n_transactions, EVENT)
    rows["customer"] = log.customer
    rows["time"] = log.time
    rows["kind"] = EventKind.PURCHASE
    rows["amount"] = log.amount
    first = np.ones(log.n_transactions, bool)
    first[1:] = log.customer[1:] != log.customer[:-1]
    sequence = np.arange(log.n_transactions)
    rows["sequence"] = 1 + sequence - np.maximum.accumulate(np.where(first, sequence, 0))
    if log.origin == "first_purchase":
        rows["kind"][first] = EventKind.JOIN
        return rows
    join = np.zeros(log.n_customers, EVENT)
    join["customer"] = np.arange(log.n_customers)
    join["kind"] = EventKind.JOIN
    return np.concatenate([join, rows])
